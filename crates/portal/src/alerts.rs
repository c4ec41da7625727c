//! Alerts over HTTP: rules and how they stand, and the test button.

use axum::extract::State;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::extract::Segment;
use crate::problem::Problem;
use crate::server::Portal;

/// Alert rules.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AlertList {
    /// One object each: the rule, whether it ships with Gatehouse, what fires, and why it could not be looked
    /// at.
    pub rules: Vec<Value>,
}

/// What became of a test: what was measured, and what each sink answered.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AlertTest(pub Value);

pub(crate) async fn list(State(portal): State<Portal>) -> Json<AlertList> {
    Json(portal.operations.alerts().await)
}

pub(crate) async fn test(
    State(portal): State<Portal>,
    Segment(rule): Segment,
) -> Result<Json<AlertTest>, Problem> {
    portal.operations.test_alert(&rule).await.map(Json)
}

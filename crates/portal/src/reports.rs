//! Scheduled reports over HTTP: how they stand, and the button that makes one now.

use axum::extract::State;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::access::Caller;
use crate::admin::recorded;
use crate::extract::Segment;
use crate::problem::Problem;
use crate::server::Portal;

/// Scheduled reports.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ReportList {
    /// One object each: the report, as whom it asks, when it is made next, what became of the last one, and why
    /// one has not arrived.
    pub reports: Vec<Value>,
}

/// What became of a report: its period, its size, and what each place it goes to answered.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ReportRun(pub Value);

pub(crate) async fn list(State(portal): State<Portal>) -> Json<ReportList> {
    Json(portal.operations.reports().await)
}

pub(crate) async fn run(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(report): Segment,
) -> Result<Json<ReportRun>, Problem> {
    let done = portal.operations.run_report(&report).await;
    recorded(&portal, &caller, ("reports/run", "report", &report), done).await
}

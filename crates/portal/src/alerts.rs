//! Alerts over HTTP: rules and how they stand, and the test button.

use axum::extract::State;
use axum::response::Json;

use crate::extract::Segment;
use crate::inner::Portal;
use crate::operations::{AlertList, AlertTest};
use crate::problem::Problem;

pub(crate) async fn list(State(portal): State<Portal>) -> Json<AlertList> {
    Json(portal.operations.alerts().await)
}

pub(crate) async fn test(
    State(portal): State<Portal>,
    Segment(rule): Segment,
) -> Result<Json<AlertTest>, Problem> {
    portal.operations.test_alert(&rule).await.map(Json)
}

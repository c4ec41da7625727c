//! Scheduled reports over HTTP: how they stand, and the button that makes one now.

use axum::extract::State;
use axum::response::Json;

use crate::access::Caller;
use crate::admin::recorded;
use crate::extract::Segment;
use crate::inner::Portal;
use crate::operations::{ReportList, ReportRun};
use crate::problem::Problem;

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

//! Stream jobs over HTTP: how they stand.

use axum::extract::State;
use axum::response::Json;

use crate::inner::Portal;
use crate::operations::StreamJobList;

pub(crate) async fn list(State(portal): State<Portal>) -> Json<StreamJobList> {
    Json(portal.operations.stream_jobs())
}

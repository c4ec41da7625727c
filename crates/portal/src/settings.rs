//! The configuration in force, value by value, with where each comes from. Secrets are references only.

use axum::extract::State;
use axum::response::Json;

use crate::inner::Portal;
use crate::operations::SettingList;

pub(crate) async fn list(State(portal): State<Portal>) -> Json<SettingList> {
    Json(portal.operations.settings().await)
}

//! The configuration in force, value by value, with where each comes from. Secrets are references only.

use axum::extract::State;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::server::Portal;

/// The configuration in force.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SettingList {
    /// The configuration file.
    pub file: String,
    /// Every value, by its path.
    pub settings: Vec<Setting>,
}

/// One value of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Setting {
    /// Sections and field, such as `edge.head_timeout_ms`.
    pub path: String,
    /// What holds. Secrets are shown as references, never as what they refer to.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// The environment variable, where it comes from one.
    pub variable: Option<String>,
    /// A change takes a restart.
    pub needs_restart: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment.
    Environment,
    /// The desired state, in its database.
    Database,
}

pub(crate) async fn list(State(portal): State<Portal>) -> Json<SettingList> {
    Json(portal.operations.settings().await)
}

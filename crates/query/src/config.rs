//! Settings of the engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose logs these are, as Azure's columns name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Log workspace id: the column `TenantId`.
    pub workspace_id: String,
    /// Resource path of the gateway: the column `_ResourceId`.
    pub resource_id: String,
    /// Cloud subscription of that resource: the column `_SubscriptionId`.
    pub subscription_id: String,
    /// API entity: the column `ApiId`.
    pub api_id: String,
    /// Its revision: the column `ApiRevision`.
    pub api_revision: String,
    /// Gateway workspace that owns the API: the column `WorkspaceId`.
    pub gateway_workspace_id: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            workspace_id: "00000000-0000-0000-0000-000000000000".into(),
            resource_id: "/gatehouse".into(),
            subscription_id: String::new(),
            api_id: "azure-openai".into(),
            api_revision: "1".into(),
            gateway_workspace_id: String::new(),
        }
    }
}

/// Limits of the engine; those of a run are in [`kql::Options`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Memory that all running queries may use together.
    pub memory_bytes_max: usize,
    /// Threads that queries run on, beside the ones of the caller.
    pub threads: usize,
    /// Queries that run at once; more wait their turn.
    pub concurrency_max: usize,
    /// The name that `current_database()` answers.
    pub database: String,
    /// What the Azure columns say about the gateway.
    pub identity: Identity,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            threads: 2,
            concurrency_max: 16,
            database: "gatehouse".into(),
            identity: Identity::default(),
        }
    }
}

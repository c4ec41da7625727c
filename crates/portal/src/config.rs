//! Settings of the admin listener.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::roles::RoleConfig;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PortalConfig {
    /// Address and port; keep it on loopback unless a reverse proxy with TLS stands before it.
    pub listen: SocketAddr,
    /// Longest query text accepted, in bytes.
    pub query_bytes_max: usize,
    /// Queries that may run at once; further ones get 429.
    pub queries_max: usize,
    /// Which roles people and programs hold who come with a token of an identity provider. Without an
    /// entry they hold none.
    pub roles: Vec<RoleConfig>,
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            query_bytes_max: 2 << 20,
            queries_max: 16,
            roles: Vec::new(),
        }
    }
}

//! Settings of the admin listener.

use std::net::SocketAddr;
use std::num::NonZero;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::roles::RoleConfig;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PortalConfig {
    /// Address and port; keep it on loopback unless a reverse proxy with TLS stands before it.
    pub listen: SocketAddr,
    /// Networks of proxies whose `X-Forwarded-For` and `Forwarded` are believed, for limits and records.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Longest query text accepted, in bytes.
    pub query_bytes_max: usize,
    /// Queries that may run at once; further ones get 429.
    pub queries_max: usize,
    /// Which roles people and programs hold who come with a token of an identity provider. Without an
    /// entry they hold none.
    pub roles: Vec<RoleConfig>,
    /// Reading prompts and answers takes the approval of another person. Off unless it is given.
    pub second_approver: Option<SecondApproverConfig>,
    /// What clients of Kusto's API are told about where to sign in.
    pub kusto: KustoSignIn,
}

/// Reading prompts and answers takes the approval of another person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecondApproverConfig {
    /// Minutes for which an approval holds.
    pub holds_minutes: NonZero<u16>,
}

/// What clients of Kusto's API are told about where to sign in, before they have a token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KustoSignIn {
    /// Where tokens come from. Clients compare it with the clouds they know.
    pub login_endpoint: String,
    /// Application that clients sign people in with.
    pub client_app_id: String,
    /// Where that application sends people back to.
    pub redirect_uri: String,
    /// Resource that tokens are for: the audience that this listener accepts.
    pub service_resource_id: String,
}

impl Default for KustoSignIn {
    fn default() -> Self {
        Self {
            login_endpoint: "https://login.microsoftonline.com".into(),
            client_app_id: "db662dc1-0cfe-4e1c-a843-19a68e65be58".into(),
            redirect_uri: "http://localhost".into(),
            service_resource_id: "https://kusto.kusto.windows.net".into(),
        }
    }
}

impl Default for SecondApproverConfig {
    fn default() -> Self {
        Self { holds_minutes: NonZero::new(60).expect("it is not zero") }
    }
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            trusted_proxies: Vec::new(),
            query_bytes_max: 2 << 20,
            queries_max: 16,
            roles: Vec::new(),
            second_approver: None,
            kusto: KustoSignIn::default(),
        }
    }
}

//! Settings: whose tokens are trusted, and for what.

use net::{ClientConfig, EgressConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Identity providers, and how long what they say is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// The providers whose tokens are trusted; without one, callers have subscription keys only.
    pub providers: Vec<ProviderConfig>,
    /// Longest token accepted, in bytes.
    pub token_bytes_max: usize,
    /// Verified tokens remembered; more make others be verified again.
    pub cached_tokens_max: usize,
    /// Time after which a provider's keys are fetched again, in seconds.
    pub refresh_s: u64,
    /// Least time between two fetches because of a token signed by an unknown key, in seconds.
    pub unknown_key_refresh_s: u64,
    /// How long keys are trusted while their provider cannot be reached, in seconds; then its tokens
    /// are refused with 503.
    pub stale_keys_max_s: u64,
    /// Which addresses providers and their Graph may have. Unlike backends they are public by default.
    pub egress: EgressConfig,
}

/// One provider whose tokens are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Name, for errors and `/readyz`.
    pub id: String,
    /// Tenant id of Entra ID in Azure's public cloud: fills `issuer`, `other_issuers`, `tenants` and
    /// `graph`. Leave it empty for other providers.
    pub entra_tenant: String,
    /// Issuer, as the provider's discovery document and its tokens state it; `{tenant}` stands for
    /// each of `tenants`.
    pub issuer: String,
    /// More issuers of tokens signed by the same keys, such as `https://sts.windows.net/{tenant}/` for
    /// version 1 tokens of Entra ID.
    pub other_issuers: Vec<String>,
    /// Where the discovery document is; empty for `/.well-known/openid-configuration` below the issuer.
    pub discovery_url: String,
    /// Values of `aud` that mean this gateway: the application id of its registration, its application
    /// id URI, `https://cognitiveservices.azure.com` for clients that ask for Azure's own audience.
    pub audiences: Vec<String>,
    /// Values of `tid` accepted; empty accepts tokens without a look at it.
    pub tenants: Vec<String>,
    /// Client applications accepted, by `azp` (version 2), `appid` (version 1) or `client_id`; empty
    /// accepts all.
    pub clients: Vec<String>,
    /// Scopes of which a person's token must hold one; empty asks for none.
    pub scopes: Vec<String>,
    /// Signature algorithms accepted, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.
    pub algorithms: Vec<String>,
    /// How far clocks may be apart, in seconds.
    pub clock_skew_s: u64,
    /// Where in a token things stand.
    pub claims: ClaimNames,
    /// Where groups are looked up that do not fit into a token (the overage claim).
    pub graph: GraphConfig,
    /// How the provider is connected to.
    pub connection: ClientConfig,
}

/// Where in a token things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    /// The stable id of whoever the token is about. Empty means `oid` where `tenants` are checked, else
    /// issuer and subject together.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Groups, an array of ids.
    pub groups: String,
    /// App roles, an array of names.
    pub roles: String,
}

/// Microsoft Graph, or what answers like it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// Base URL, such as `https://graph.microsoft.com/v1.0`; empty leaves such groups unresolved, so
    /// that they grant nothing.
    pub url: String,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        let everywhere = ["0.0.0.0/0", "::/0"];
        let parse = |text: &str| text.parse().expect("the network is well formed");
        Self {
            providers: Vec::new(),
            token_bytes_max: 16 << 10,
            cached_tokens_max: 65_536,
            refresh_s: 3_600,
            unknown_key_refresh_s: 60,
            stale_keys_max_s: 86_400,
            egress: EgressConfig::only(everywhere.map(parse).to_vec()),
        }
    }
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            entra_tenant: String::new(),
            issuer: String::new(),
            other_issuers: Vec::new(),
            discovery_url: String::new(),
            audiences: Vec::new(),
            tenants: Vec::new(),
            clients: Vec::new(),
            scopes: Vec::new(),
            algorithms: vec!["RS256".into()],
            clock_skew_s: 60,
            claims: ClaimNames::default(),
            graph: GraphConfig::default(),
            connection: ClientConfig { answer_timeout_ms: 10_000, ..ClientConfig::default() },
        }
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: "name".into(),
            groups: "groups".into(),
            roles: "roles".into(),
        }
    }
}

//! Settings of the services that answer, and of how one of them is chosen, watched and left.

use std::collections::BTreeMap;

use net::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::{Carrier, CredentialSource, Identity, SecretRef};

/// A service that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackendConfig {
    /// Name that stands in `BackendId`.
    pub id: String,
    /// Scheme, host and port, as `https://name.openai.azure.com`; a path such as `/openai/v1` or
    /// `/v1` at its end is understood.
    pub base_url: String,
    /// What it speaks.
    pub kind: BackendKind,
    /// Where its key is found.
    pub api_key: Option<SecretRef>,
    /// The identity at Entra ID whose token it is shown, in place of a key.
    pub auth: Option<Identity>,
    /// What the token is for.
    pub auth_scope: String,
    /// Deployments (or models) it serves, exact names as callers know them; empty means every one.
    pub deployments: Vec<String>,
    /// Deployments (or models) that have another name here: the callers' name, then its own. The name
    /// is exchanged in the URL and in `model` of the body, and the change is recorded.
    pub names: BTreeMap<String, String>,
    /// Fine-tuned deployments (or models) that exist here only: their calls never go elsewhere.
    pub fine_tuned: Vec<String>,
    /// How its capacity was bought. Within one priority, provisioned backends come first and the
    /// others take what spills over.
    pub tier: Tier,
    /// Lower is tried first; the next is used when no backend of this one is available.
    pub priority: u32,
    /// Share of the calls among backends of the same priority and tier. 1 to 1,000.
    pub weight: u32,
    /// Chat streams are asked for their usage (`stream_options.include_usage`) where the API knows it,
    /// and what that adds to them is taken out again unless the caller asked for it too. Turned off, or
    /// where the API does not know it, tokens are counted here and marked as estimated.
    pub ask_for_usage: bool,
    /// New objects (files, threads, …) are made here. Of several such backends, or of all if none is
    /// marked, each subscription has one: what belongs together lands together.
    pub home: bool,
    /// How it is connected to.
    pub connection: ClientConfig,
    /// Whether and how it is probed.
    pub probe: ProbeConfig,
}

impl Default for BackendConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            base_url: String::new(),
            kind: BackendKind::default(),
            api_key: None,
            auth: None,
            auth_scope: "https://cognitiveservices.azure.com/.default".into(),
            deployments: Vec::new(),
            names: BTreeMap::new(),
            fine_tuned: Vec::new(),
            tier: Tier::default(),
            priority: 1,
            weight: 1,
            ask_for_usage: true,
            home: false,
            connection: ClientConfig::default(),
            probe: ProbeConfig::default(),
        }
    }
}

impl BackendConfig {
    /// What it is to be shown, and where; none if it wants nothing. The error names the fix.
    pub fn credential(&self) -> Result<Option<(CredentialSource, Carrier)>, String> {
        let carrier = match self.kind {
            BackendKind::Azure => Carrier::ApiKey,
            BackendKind::Openai => Carrier::Bearer,
        };
        match (&self.api_key, &self.auth) {
            (Some(_), Some(_)) => Err("it has `api_key` and `auth`: remove one".to_owned()),
            (Some(key), None) => Ok(Some((CredentialSource::Secret(key.clone()), carrier))),
            (None, Some(identity)) => {
                let token = CredentialSource::Token(identity.clone(), self.auth_scope.clone());
                Ok(Some((token, Carrier::Bearer)))
            }
            (None, None) => Ok(None),
        }
    }
}

/// What a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// Azure OpenAI: `/openai/…`, key in `api-key`.
    #[default]
    Azure,
    /// OpenAI or what speaks like it: `/v1/…`, key as bearer token.
    Openai,
}

/// How capacity was bought.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Provisioned throughput: paid whether used or not, so it is used first.
    Provisioned,
    /// Pay as you go.
    #[default]
    Standard,
}

/// Regular unbilled calls that tell whether a backend is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Probe at all.
    pub enabled: bool,
    /// Path called with GET, below the host of the backend.
    pub path: String,
    /// `Host` of the call; empty for the backend's own.
    pub host: String,
    /// Time between two probes, in milliseconds. After a failed connection it probes at once, and
    /// then every 250 ms until it is known whether the backend is down.
    pub interval_ms: u64,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// Failures in a row after which the backend counts as down.
    pub unhealthy_threshold: u32,
    /// Successes in a row that bring it back.
    pub healthy_threshold: u32,
    /// Statuses that count as success, as `200-399` or `401`. By default 401, 403 and 404 are among
    /// them: they prove that the backend is reached.
    pub healthy_status: Vec<String>,
    /// Text that the answer must contain, at most 4,090 bytes, looked for in the first 64 KiB; empty
    /// for none.
    pub body_contains: String,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/".into(),
            host: String::new(),
            interval_ms: 30_000,
            timeout_ms: 30_000,
            unhealthy_threshold: 3,
            healthy_threshold: 1,
            healthy_status: ["200-399", "401", "403", "404"].map(str::to_owned).to_vec(),
            body_contains: String::new(),
        }
    }
}

/// How a backend is chosen and left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// How calls are shared among backends of the same priority and tier.
    pub balance: Balance,
    /// Times that one request may be sent, to whichever backends. 1 to 16.
    pub attempts_max: u32,
    /// Time from the first attempt after which no other is begun, in milliseconds.
    pub attempts_budget_ms: u64,
    /// Answers that are discarded in favour of another backend, while there is one.
    pub failover_status: Vec<u16>,
    /// First pause before a backend that could not be reached is tried again, in milliseconds. Each
    /// further one is twice as long; up to half of it is taken off by chance.
    pub retry_pause_ms: u64,
    /// Longest such pause, in milliseconds.
    pub retry_pause_ms_max: u64,
    /// While every backend is throttled or out, a request waits for the first to come back if that
    /// takes at most this long, in milliseconds; otherwise it is refused with that moment.
    pub wait_ms_max: u64,
    /// A repeatable call without state that was not answered after this time is also sent to another
    /// backend, in milliseconds; the first answer counts, both calls may be billed. Absent: never.
    pub hedge_after_ms: Option<u64>,
    /// When a backend, or one deployment of it, is left alone.
    pub breaker: BreakerConfig,
    /// Time between two rows of `BackendHealth` that only tell how things stand, in milliseconds.
    pub health_interval_ms: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            attempts_max: 3,
            attempts_budget_ms: 30_000,
            failover_status: vec![429, 500, 502, 503, 504],
            retry_pause_ms: 100,
            retry_pause_ms_max: 2_000,
            wait_ms_max: 1_000,
            hedge_after_ms: None,
            breaker: BreakerConfig::default(),
            health_interval_ms: 60_000,
        }
    }
}

/// How calls are shared among backends of the same priority and tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In the proportion of their weights.
    #[default]
    Weighted,
    /// To the one with the fewest calls in flight for its weight.
    LeastOutstanding,
}

/// When a backend, or one deployment of it, is left alone. Connections that fail count for the
/// backend; calls that time out, break or are answered with 5xx count for its deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row that open the circuit.
    pub failures_in_a_row: u32,
    /// Share of failures in a window that opens it too, in percent.
    pub failure_percent: u32,
    /// Calls in a window before their share counts.
    pub calls_min: u32,
    /// Length of a window, in milliseconds.
    pub window_ms: u64,
    /// Time that the circuit stays open, in milliseconds; it doubles each time a trial fails.
    pub open_ms: u64,
    /// Longest such time, in milliseconds.
    pub open_ms_max: u64,
    /// Calls at once that may try whether it works again.
    pub trial_calls: u32,
    /// Trials that must succeed before the circuit is closed.
    pub trial_successes: u32,
    /// A backend that asks to be left alone (`Retry-After`, `x-ratelimit-reset-*`) is left alone for at
    /// most this long, in milliseconds. One that is throttled and names no time gets `open_ms`.
    pub retry_after_ms_max: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_in_a_row: 3,
            failure_percent: 50,
            calls_min: 20,
            window_ms: 10_000,
            open_ms: 1_000,
            open_ms_max: 60_000,
            trial_calls: 1,
            trial_successes: 1,
            retry_after_ms_max: 600_000,
        }
    }
}

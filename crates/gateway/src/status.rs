//! How the gateway and its backends stand at one moment, as health pages and metrics show it.

use std::time::Instant;

use serde::Serialize;
use vault::Credential;

use crate::backend::standing::{Drain, Lane};

/// The state of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: String,
    /// Calls reach it: its probes do not fail, and the circuit of its connections is not open.
    pub is_up: bool,
    /// Which calls it gets.
    pub drain: Drain,
    /// Calls in flight.
    pub in_flight: u32,
    /// Connections that failed since the last that did not.
    pub failures: u32,
    /// The last failure; empty if there was none.
    pub last_failure: String,
    /// Its key or token; none if it wants none.
    pub credential: Option<CredentialStatus>,
    /// The circuit of its connections.
    pub connections: CircuitStatus,
    /// The circuits of its deployments that are not closed, or whose last call failed.
    pub circuits: Vec<CircuitStatus>,
}

/// The state of what one backend is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialStatus {
    /// Home and name of its secret, or the identity whose token it is.
    pub source: String,
    /// It is at hand; without it the backend gets no calls.
    pub is_ready: bool,
    /// Why it could not be fetched the last time; empty if it could.
    pub trouble: String,
}

impl CredentialStatus {
    pub(crate) fn of(credential: &Credential) -> Self {
        Self {
            source: credential.source().to_owned(),
            is_ready: credential.header().is_some(),
            trouble: credential.trouble(),
        }
    }
}

/// The state of one circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CircuitStatus {
    /// Deployment; empty for calls that name none, and for connections.
    pub deployment: String,
    /// `closed`, `open`, `half_open` or `throttled`.
    pub state: &'static str,
    /// Milliseconds until calls pass again; none if they do.
    pub back_in_ms: Option<u64>,
    /// Failures since the last success.
    pub failures: u32,
}

impl CircuitStatus {
    pub(crate) fn of(lane: &Lane, now: Instant) -> Self {
        let breaker = lane.breaker();
        let state = breaker.state(now);
        let back_in = state.until().map(|until| until.saturating_duration_since(now));
        Self {
            deployment: lane.deployment.clone().unwrap_or_default(),
            state: state.name(),
            back_in_ms: back_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            failures: breaker.failures_in_a_row(),
        }
    }
}

/// The state of the gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Connections open.
    pub connections: u64,
    /// Connections refused since the start, since their address had too many.
    pub connections_refused: u64,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// Answers whose pieces are on their way.
    pub open_streams: u64,
    /// Requests received since the start.
    pub received: u64,
    /// Requests answered by the gateway itself since the start.
    pub refused: u64,
    /// The ledger takes records.
    pub ledger_serves: bool,
    /// Why it does not; empty if it does.
    pub ledger_reason: String,
    /// The backends.
    pub backends: Vec<BackendStatus>,
}

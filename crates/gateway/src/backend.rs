//! One backend: its client, its key, its names for deployments, and what is known of it.

pub(crate) mod breaker;
mod probe;
mod proof;
pub(crate) mod standing;
mod watch;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use event::Timestamp;
use http::{HeaderName, HeaderValue, Uri};
use net::{Client, EgressConfig, EgressRules};
use shared::{Notes, SecurityLog};
use tokio_util::sync::CancellationToken;
use vault::Credential;

use crate::backend::breaker::{Change, State};
use crate::backend::probe::Probe;
use crate::backend::standing::{Drain, Lane, Standing};
use crate::config::{BackendConfig, BackendKind, BreakerConfig, Tier};
use crate::error::Error;
use crate::status::{BackendStatus, CircuitStatus, CredentialStatus};

/// Largest weight of a backend.
const WEIGHT_MAX: u32 = 1_000;

/// A service that answers.
pub(crate) struct Backend {
    pub(crate) id: String,
    pub(crate) kind: BackendKind,
    pub(crate) client: Client,
    pub(crate) ask_for_usage: bool,
    pub(crate) priority: u32,
    pub(crate) tier: Tier,
    pub(crate) weight: u32,
    pub(crate) is_home: bool,
    pub(crate) probe: Probe,
    pub(crate) standing: Arc<Standing>,
    pub(crate) origin: Origin,
    /// It is no longer in the settings.
    pub(crate) retired: CancellationToken,
    /// Scheme, host and what of the path stands before `/openai` or `/v1`.
    base: String,
    prefix: String,
    deployments: HashSet<String>,
    names: BTreeMap<String, String>,
    logs: Logs,
}

/// Where backends note what happens to them.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    pub(crate) health: Notes<event::BackendState>,
    pub(crate) security: SecurityLog,
}

/// What a backend was made of: the same again means the same backend.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) config: BackendConfig,
    pub(crate) credential: Option<Arc<Credential>>,
    /// Of the files that its connections are made with.
    pub(crate) stamp: u64,
    pub(crate) egress: EgressConfig,
    pub(crate) breaker: BreakerConfig,
    pub(crate) region: String,
}

/// Why a state changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) reason: &'static str,
    /// Status of the answer that changed it.
    pub(crate) status: Option<u16>,
    pub(crate) message: &'a str,
}

impl<'a> Cause<'a> {
    pub(crate) const fn new(reason: &'static str, status: Option<u16>, message: &'a str) -> Self {
        Self { reason, status, message }
    }

    /// The time for which it held is over.
    pub(crate) const fn passed() -> Self {
        Self::new("time_passed", None, "")
    }
}

impl Backend {
    /// `former` is the one that had this id before.
    pub(crate) fn new(origin: Origin, former: Option<&Self>, logs: Logs) -> Result<Self, Error> {
        let Origin { config, egress, .. } = &origin;
        let wrong = |what: String| Error(format!("backend `{}`: {what}", config.id));
        if config.id.is_empty() {
            return Err(Error(format!("a backend has no id: give `{}` one", config.base_url)));
        }
        if !(1..=WEIGHT_MAX).contains(&config.weight) {
            return Err(wrong(format!("weight is {}; it may be 1 to {WEIGHT_MAX}", config.weight)));
        }
        let base = trim_base(&config.base_url);
        let uri: Uri = base.parse().map_err(|_| {
            wrong(format!("base_url `{}` is no URL: give one as https://host", config.base_url))
        })?;
        if uri.query().is_some() {
            let fix = "leave out the query: callers say it";
            return Err(wrong(format!("base_url `{}`: {fix}", config.base_url)));
        }
        let same_place = |other: &&Self| {
            other.base == base
                && other.origin.config.connection == config.connection
                && other.origin.stamp == origin.stamp
                && other.origin.egress == *egress
        };
        let client = match former.filter(same_place) {
            Some(former) => former.client.clone(),
            None => Client::new(&uri, &config.connection, egress_rules(&origin, &logs.security))
                .map_err(|error| wrong(error.story()))?,
        };
        config.credential().map_err(wrong)?;
        let standing = former.map_or_else(Arc::default, |former| former.standing.clone());
        if former.is_some_and(|former| former.base != base) {
            standing.forget_health();
        }
        let listed = config.deployments.iter().chain(&config.fine_tuned).chain(config.names.keys());
        Ok(Self {
            id: config.id.clone(),
            kind: config.kind,
            client,
            ask_for_usage: config.ask_for_usage,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            base: base.to_owned(),
            deployments: if config.deployments.is_empty() {
                HashSet::new()
            } else {
                listed.cloned().collect()
            },
            names: config.names.clone(),
            priority: config.priority,
            tier: config.tier,
            weight: config.weight,
            is_home: config.home,
            probe: Probe::new(&config.probe).map_err(wrong)?,
            standing,
            retired: CancellationToken::new(),
            logs,
            origin,
        })
    }

    /// Its own name of a deployment.
    pub(crate) fn own_name<'a>(&'a self, deployment: &'a str) -> &'a str {
        self.names.get(deployment).map_or(deployment, String::as_str)
    }

    pub(crate) fn is_fine_tuned(&self, deployment: &str) -> bool {
        self.origin.config.fine_tuned.iter().any(|name| name == deployment)
    }

    /// The deployments that it is said to have; none if it serves every one.
    pub(crate) fn deployments(&self) -> impl Iterator<Item = &str> {
        self.deployments.iter().map(String::as_str)
    }

    /// Somebody decreed that this deployment is here.
    pub(crate) fn lists(&self, deployment: &str) -> bool {
        self.deployments.contains(deployment) || self.is_fine_tuned(deployment)
    }

    /// It is up, and not drained.
    pub(crate) fn takes_new(&self, now: Instant) -> bool {
        self.is_up(now) && self.standing.drain() == Drain::Undrained
    }

    pub(crate) fn serves(&self, deployment: &str) -> bool {
        self.deployments.is_empty()
            || deployment.is_empty()
            || self.deployments.contains(deployment)
    }

    /// The absolute URL of a path, for the record.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The path to send for a path of the API.
    pub(crate) fn path(&self, path: &str) -> Result<Uri, http::uri::InvalidUri> {
        if self.prefix.is_empty() { path.parse() } else { format!("{}{path}", self.prefix).parse() }
    }

    /// Puts the backend's own key or token in.
    pub(crate) fn authorization(&self) -> Option<(HeaderName, HeaderValue)> {
        let credential = self.origin.credential.as_ref()?;
        Some((credential.name(), credential.header()?))
    }

    /// It wants a key or token that is not at hand.
    pub(crate) fn lacks_credential(&self) -> bool {
        self.origin.credential.as_ref().is_some_and(|credential| credential.header().is_none())
    }

    /// Calls reach it, as far as is known.
    pub(crate) fn is_up(&self, now: Instant) -> bool {
        !self.standing.is_down()
            && !self.lacks_credential()
            && self.standing.connecting().check(&self.origin.breaker, now).is_ok()
    }

    /// Changes which calls it gets.
    pub(crate) fn drain(&self, drain: Drain) {
        let former = self.standing.set_drain(drain);
        if former != drain {
            let (backend, drain, former) = (self.id.as_str(), drain.name(), former.name());
            tracing::info!(backend, drain, former, "drained or undrained");
            let cause = Cause::new("operator", None, "");
            self.logs.health.note(self.state("drain", (former, drain), cause));
        }
    }

    /// Probes say whether it is up.
    pub(crate) fn set_down(&self, is_down: bool, cause: Cause<'_>) {
        if !self.standing.set_down(is_down) {
            return;
        }
        let (backend, why) = (self.id.as_str(), cause.message);
        if is_down {
            tracing::warn!(backend, why, "probes fail: calls go to others");
        } else {
            tracing::info!(backend, "probes succeed: calls come again");
        }
        let former = probe_state(!is_down);
        self.logs.health.note(self.state("probe", (former, probe_state(is_down)), cause));
    }

    /// A circuit changed its state.
    pub(crate) fn note(&self, lane: &Lane, change: Option<Change>, cause: Cause<'_>, now: Instant) {
        let Some(Change { from, to }) = change else { return };
        let backend = self.id.as_str();
        let deployment = lane.deployment.as_deref();
        let Cause { reason, status, message } = cause;
        if matches!(to, State::Open(_)) {
            tracing::warn!(backend, deployment, reason, status, message, "circuit is open");
        } else {
            let (from, to) = (from.name(), to.name());
            tracing::debug!(backend, deployment, from, to, reason, status, "circuit changed");
        }
        let is_often = matches!((from, to), (State::Throttled(_), State::Closed))
            || matches!(to, State::Throttled(_));
        let unnoted = if is_often { lane.is_noted(now) } else { Some(0) };
        let Some(unnoted) = unnoted else { return };
        let state = self.circuit_state(lane, (from.name(), to), cause, now);
        self.logs.health.note(event::BackendState { unnoted, ..state });
    }

    /// Notes how it stands, though nothing has changed.
    pub(crate) fn note_standing(&self, now: Instant) {
        let last = self.standing.last_failure();
        let cause = Cause::new("periodic", None, &last);
        let noted =
            |state| self.logs.health.note(event::BackendState { is_periodic: true, ..state });
        let probe = probe_state(self.standing.is_down());
        noted(self.state("probe", (probe, probe), cause));
        let drain = self.standing.drain();
        if drain != Drain::Undrained {
            noted(self.state("drain", (drain.name(), drain.name()), cause));
        }
        let lanes = self.standing.lanes();
        for lane in lanes.iter().map(|lane| &**lane).chain([self.standing.connecting()]) {
            let state = lane.breaker().state(now);
            if state != State::Closed {
                noted(self.circuit_state(lane, (state.name(), state), cause, now));
            }
        }
    }

    fn circuit_state(
        &self,
        lane: &Lane,
        (from, to): (&str, State),
        cause: Cause<'_>,
        now: Instant,
    ) -> event::BackendState {
        let scope = if lane.deployment.is_some() { "deployment" } else { "connections" };
        let until =
            to.until().map(|until| SystemTime::now() + until.saturating_duration_since(now));
        event::BackendState {
            deployment: lane.deployment.clone().unwrap_or_default(),
            failures: lane.breaker().failures_in_a_row(),
            until: until.map(Timestamp::from),
            ..self.state(scope, (from, to.name()), cause)
        }
    }

    fn state(
        &self,
        scope: &str,
        (from, to): (&str, &str),
        cause: Cause<'_>,
    ) -> event::BackendState {
        event::BackendState {
            noted_at: Timestamp::from(SystemTime::now()),
            backend_id: self.id.clone(),
            backend_url: self.base.clone(),
            scope: scope.to_owned(),
            state: to.to_owned(),
            former_state: from.to_owned(),
            reason: cause.reason.to_owned(),
            message: cause.message.to_owned(),
            status: cause.status,
            in_flight: self.standing.in_flight(),
            region: self.origin.region.clone(),
            ..event::BackendState::default()
        }
    }

    pub(crate) fn status(&self, now: Instant) -> BackendStatus {
        let connecting = self.standing.connecting();
        let mut circuits: Vec<_> = self
            .standing
            .lanes()
            .iter()
            .map(|lane| CircuitStatus::of(lane, now))
            .filter(|circuit| circuit.state != State::Closed.name() || circuit.failures > 0)
            .collect();
        circuits.sort_by(|one, other| one.deployment.cmp(&other.deployment));
        let connections = CircuitStatus::of(connecting, now);
        BackendStatus {
            id: self.id.clone(),
            is_up: self.is_up(now),
            drain: self.standing.drain(),
            in_flight: self.standing.in_flight(),
            failures: connections.failures,
            last_failure: self.standing.last_failure(),
            credential: self.origin.credential.as_ref().map(|held| CredentialStatus::of(held)),
            connections,
            circuits,
        }
    }
}

const fn probe_state(is_down: bool) -> &'static str {
    if is_down { "unhealthy" } else { "healthy" }
}

/// The rules for dialling it; what they forbid is a security event.
fn egress_rules(origin: &Origin, security: &SecurityLog) -> EgressRules {
    let (backend_id, region) = (origin.config.id.clone(), origin.region.clone());
    let security = security.clone();
    EgressRules::new(&origin.egress).watched(move |denied| {
        let event = shared::denied_dial(denied, &region);
        security.note(event::SecurityEvent { backend_id: backend_id.clone(), ..event });
    })
}

/// People paste base URLs with the path that their client wanted; the gateway adds it itself.
fn trim_base(text: &str) -> &str {
    let mut base = text.trim().trim_end_matches('/');
    for end in ["/v1", "/openai"] {
        base = base.strip_suffix(end).unwrap_or(base).trim_end_matches('/');
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_base_urls_are_understood() {
        for (text, want) in [
            ("https://x.openai.azure.com/", "https://x.openai.azure.com"),
            ("https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com"),
            ("https://api.openai.com/v1", "https://api.openai.com"),
            ("http://host:1/proxy/v1", "http://host:1/proxy"),
        ] {
            assert_eq!(trim_base(text), want);
        }
    }
}

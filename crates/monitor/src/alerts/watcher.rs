//! Looks at rules, keeps the state, writes history, delivers.
//!
//! Two loops share the state: one looks at rules, one delivers, so that a sink that does not answer holds
//! nothing up. Where nodes share a [`StateStore`], only the one with the lease does either.

use std::path::PathBuf;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use event::{Alert, InteractionId, Note, Record, Timestamp};
use kql::{Options, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, Value};
use ledger::Ledger;
use policy::{AlertRule, AlertRuleOrigin};
use serde::Serialize;
use serde_json::{Map, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::delivery::Courier;
use super::engine::{Change, ChangeKind, Measured, SERIES_MAX};
use super::history::{digest, push, put, row};
use super::in_force::Settings;
use super::outbox::{Delivery, Fate};
use super::pauses::Pauses;
use super::payload;
use super::rule::{AlertsConfig, RuleInForce, gauge};
use super::sink::Failure;
use super::state::State;
use crate::kept::{Kept, Lease, StateStore};
use crate::metrics::{Metric, Metrics};

/// Between two rounds.
const TICK: Duration = Duration::from_secs(1);
/// Deliveries at once.
const DELIVERIES_AT_ONCE: usize = 8;
/// Longest time of one evaluation.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// What a watcher works with.
pub struct WatcherParts {
    /// Answers KQL.
    pub engine: Arc<dyn kql::Engine>,
    /// Takes history.
    pub ledger: Ledger,
    /// Gauges that rules look at, and what is counted here.
    pub metrics: Arc<Metrics>,
    /// Brings the gauges up to date.
    pub look: Box<dyn Fn() + Send + Sync>,
    /// Up to when the tables hold all that is recorded, at this moment; none while that is not known.
    pub complete_until: Box<dyn Fn(Timestamp) -> Option<Timestamp> + Send + Sync>,
    /// Where the state is kept.
    pub state_file: PathBuf,
    /// Where nodes agree on who looks, if there are several.
    pub store: Option<Box<dyn StateStore>>,
    /// The clock.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// How a rule stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleStatus {
    /// The rule.
    pub rule: AlertRule,
    /// It ships with Gatehouse.
    pub is_builtin: bool,
    /// Whose it is.
    pub origin: AlertRuleOrigin,
    /// Whose rule would be in force without it; none if none would.
    pub replaces: Option<AlertRuleOrigin>,
    /// Sinks that it names and that this gateway does not have.
    pub missing_sinks: Vec<String>,
    /// What fires: dimensions, alert id, since when.
    pub firing: Vec<serde_json::Value>,
    /// Why it could not be looked at last; empty if it could.
    pub failure: String,
}

/// Looks at rules.
pub struct Watcher {
    parts: WatcherParts,
    settings: ArcSwap<Settings>,
    kept: Kept,
    state: Mutex<State>,
    /// Rules that cannot be looked at, and why.
    failures: SyncMutex<Vec<(String, String)>>,
    pauses: SyncMutex<Pauses>,
}

impl Watcher {
    /// Goes on where the state file stops.
    pub fn open(
        mut parts: WatcherParts,
        config: AlertsConfig,
        courier: Courier,
    ) -> Result<Self, String> {
        let (file, store) = (parts.state_file.clone(), parts.store.take());
        let kept = Kept { of: "alerts", file, store };
        let state =
            kept.load()?.map_or_else(|| Ok(State::default()), |text| State::parse(&text))?;
        Ok(Self {
            parts,
            settings: ArcSwap::from_pointee(Settings::new(config, courier, None)),
            kept,
            state: Mutex::new(state),
            failures: SyncMutex::default(),
            pauses: SyncMutex::default(),
        })
    }

    /// Other rules and sinks from now on.
    pub fn reconfigure(&self, config: AlertsConfig, courier: Courier) {
        let before = self.settings.load_full();
        self.settings.store(Arc::new(Settings::new(config, courier, Some(&before))));
        // What made a query fail may be over.
        *self.lock_pauses() = Pauses::default();
    }

    /// Looks and delivers until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        let looking = async {
            loop {
                self.look((self.parts.now)()).await;
                tokio::time::sleep(TICK).await;
            }
        };
        let delivering = async {
            loop {
                self.deliver((self.parts.now)()).await;
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = looking => {}
            () = delivering => {}
            () = self.fetch_secrets() => {}
        }
        // What is under way is put down, whatever it was.
        let state = self.state.lock().await;
        self.keep(&state).await;
    }

    /// Fetches the secrets of sinks once they are known, so that they are at hand when a home is down.
    async fn fetch_secrets(&self) {
        let mut known = None;
        loop {
            let settings = self.settings.load_full();
            if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &settings)) {
                settings.courier.fetch_secrets(&settings.config.sinks).await;
                known = Some(settings);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// One round over all rules.
    pub async fn look(&self, now: Timestamp) {
        let settings = self.settings.load_full();
        if !settings.config.enabled || !self.is_ours().await {
            return;
        }
        (self.parts.look)();
        let delay = i64::try_from(settings.config.delay_s).unwrap_or(i64::MAX);
        let complete = (self.parts.complete_until)(now).map(|until| earlier(until, delay));
        let mut has_looked = self.forget(&settings, now).await;
        for rule in settings.looked_at() {
            let until = if rule.query.is_empty() { Some(now) } else { complete };
            let Some(until) = until else { continue };
            if !self.lock_pauses().rests(&rule.id, now) {
                has_looked |= self.look_at(&settings, rule, until).await;
            }
        }
        let mut state = self.state.lock().await;
        self.show(&settings, &state);
        if has_looked {
            self.keep(&state).await;
        }
        self.record(&mut state).await;
    }

    /// One round over what waits to be delivered.
    pub async fn deliver(&self, now: Timestamp) {
        let settings = self.settings.load_full();
        let due = self.state.lock().await.outbox.due(now);
        if due.is_empty() || !self.is_ours().await {
            return;
        }
        let mut running = JoinSet::new();
        for delivery in due {
            if running.len() >= DELIVERIES_AT_ONCE {
                self.settle(&settings, running.join_next().await).await;
            }
            running.spawn(attempt(settings.clone(), delivery, now));
        }
        while !running.is_empty() {
            self.settle(&settings, running.join_next().await).await;
        }
        let state = self.state.lock().await;
        self.keep(&state).await;
    }

    /// Sends an alert of this rule to its sinks, as a test; answers what became of it, by sink.
    pub async fn test(&self, rule_id: &str) -> Result<serde_json::Value, String> {
        let settings = self.settings.load_full();
        let rule = settings.rules.iter().map(|one| &one.rule).find(|rule| rule.id == rule_id);
        let rule = rule.ok_or_else(|| format!("there is no alert rule `{rule_id}`"))?;
        let now = (self.parts.now)();
        let end_s = now.unix_millis().div_euclid(1_000);
        let mut change = Change {
            kind: ChangeKind::Fired,
            alert_id: format!("test-{}-{end_s}", rule.id),
            rule_id: rule.id.clone(),
            dimensions: json!({}).to_string(),
            value: None,
            window_start_s: end_s - i64::try_from(rule.window_s).unwrap_or(0),
            window_end_s: end_s,
            fired_at_s: end_s,
            is_test: true,
        };
        let mut found = None;
        if !rule.query.is_empty() {
            found = Some(self.measure(rule, end_s).await?);
        }
        change.value = found.iter().flat_map(Measured::values).copied().reduce(f64::max);
        let mut results = Map::new();
        for sink in settings.sinks_of(rule) {
            let sent = settings.courier.deliver(sink, rule, &change, now).await;
            let result = sent.map_or_else(|failure| failure.why, |()| "delivered".to_owned());
            results.insert(sink.id.clone(), result.into());
        }
        Ok(json!({ "rule": rule.id, "measured": found, "sinks": results }))
    }

    /// The rules in force.
    pub fn in_force(&self) -> Vec<RuleInForce> {
        self.settings.load().rules.clone()
    }

    /// Ids of the sinks.
    pub fn sinks(&self) -> Vec<String> {
        self.settings.load().config.sinks.iter().map(|sink| sink.id.clone()).collect()
    }

    /// All rules and how they stand.
    pub async fn rules(&self) -> Vec<RuleStatus> {
        let settings = self.settings.load_full();
        let state = self.state.lock().await;
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |RuleInForce { rule, origin, replaces }: &RuleInForce| RuleStatus {
            rule: rule.clone(),
            is_builtin: *origin == AlertRuleOrigin::BuiltIn,
            origin: *origin,
            replaces: *replaces,
            missing_sinks: settings.config.missing_sinks(rule).cloned().collect(),
            firing: state
                .engine
                .firing(&rule.id)
                .into_iter()
                .map(|(dimensions, firing)| {
                    let dimensions: serde_json::Value =
                        serde_json::from_str(dimensions).unwrap_or_default();
                    json!({
                        "dimensions": dimensions,
                        "alert_id": firing.alert_id,
                        "fired_at": payload::iso(payload::at(firing.fired_at_s)),
                    })
                })
                .collect(),
            failure: failures
                .iter()
                .find(|(id, _)| *id == rule.id)
                .map_or_else(String::new, |(_, why)| why.clone()),
        };
        settings.rules.iter().map(status).collect()
    }

    /// This node may look and deliver. A state that another node kept is taken over.
    async fn is_ours(&self) -> bool {
        match self.kept.lease().await {
            Lease::Ours(None) => true,
            Lease::Ours(Some(text)) => match State::parse(&text) {
                Ok(state) => {
                    *self.state.lock().await = state;
                    true
                }
                Err(error) => {
                    tracing::error!(error, "alerts rest: their shared state cannot be read");
                    false
                }
            },
            Lease::Theirs => false,
        }
    }

    /// Forgets rules that are gone or off. What fired of them is over, which is told; true if anything did.
    async fn forget(&self, settings: &Settings, now: Timestamp) -> bool {
        let is_kept = |id: &str| settings.looked_at().any(|rule| rule.id == id);
        let mut state = self.state.lock().await;
        {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.retain(|(id, _)| is_kept(id));
        }
        self.lock_pauses().keep_only(is_kept);
        let over = state.engine.keep_only(is_kept, now);
        for change in &over {
            tracing::info!(
                rule = change.rule_id,
                alert = change.alert_id,
                "the rule of an alert is gone or off"
            );
            let unknown = AlertRule { id: change.rule_id.clone(), ..AlertRule::default() };
            let known = settings.rule(&change.rule_id);
            let mut row = row(known.unwrap_or(&unknown), change, "Resolved", now);
            row.message = "its rule is gone or off".into();
            push(&mut state, row);
            if let Some(rule) = known {
                put(settings, &mut state, rule, change, now);
            }
        }
        !over.is_empty()
    }

    /// Looks at the slots of a rule that are due; false if there are none. The state is not held while a
    /// query runs.
    async fn look_at(&self, settings: &Settings, rule: &AlertRule, until: Timestamp) -> bool {
        let mut due = {
            let mut state = self.state.lock().await;
            if rule.query.is_empty() && gauge(rule).is_none() {
                let why = format!("`{}` is no gauge of /metrics", rule.metric);
                self.note_failure(&mut state, rule, &why, until);
                return false;
            }
            state.engine.due(rule, until)
        };
        if rule.query.is_empty() {
            // A gauge has no past.
            due.ends_s = due.ends_s.pop().into_iter().collect();
        }
        let has_some = !due.ends_s.is_empty();
        for end_s in due.ends_s {
            let measured = match rule.query.is_empty() {
                true => Ok(self.gauge(rule)),
                false => self.measure(rule, end_s).await,
            };
            let result = if measured.is_ok() { "done" } else { "failed" };
            self.parts.metrics.add(Metric::AlertEvaluations, &[&rule.id, result], 1.0);
            let mut state = self.state.lock().await;
            match measured {
                Ok(measured) => {
                    // Until it can be looked at again, it is the failure that is told.
                    let given_up = std::mem::take(&mut due.given_up);
                    if given_up > 0 {
                        let why = format!("{given_up} evaluations are given up: they are too old");
                        self.note_failure(&mut state, rule, &why, until);
                    }
                    self.lock_pauses().end(&rule.id);
                    self.take(settings, &mut state, rule, (end_s, &measured), until);
                }
                Err(why) => {
                    // The slot stays due. The query may have taken long, so its end counts.
                    self.lock_pauses().failed(rule, (self.parts.now)());
                    self.note_failure(&mut state, rule, &why, until);
                    break;
                }
            }
        }
        has_some
    }

    /// Takes over what one evaluation found.
    fn take(
        &self,
        settings: &Settings,
        state: &mut State,
        rule: &AlertRule,
        (end_s, measured): (i64, &Measured),
        now: Timestamp,
    ) {
        let changes = state.engine.evaluate(rule, end_s, measured);
        if state.engine.is_full(rule) {
            let why = format!("only {SERIES_MAX} combinations of its dimensions are followed");
            self.note_failure(state, rule, &why, now);
        } else {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.retain(|(id, _)| *id != rule.id);
        }
        changes.iter().for_each(|change| self.note(settings, state, rule, change, now));
    }

    /// What a query finds in the window that ends then, by dimensions.
    async fn measure(&self, rule: &AlertRule, end_s: i64) -> Result<Measured, String> {
        let ticks = |seconds: i64| UNIX_EPOCH_TICKS + seconds.saturating_mul(TICKS_PER_SECOND);
        let start_s = end_s - i64::try_from(rule.window_s).unwrap_or(i64::MAX / 2);
        let options = Options {
            now_ticks: Some(ticks(end_s)),
            timeout: QUERY_TIMEOUT,
            rows_max: SERIES_MAX as u64 + 1,
            time_range: Some((ticks(start_s.max(0)), ticks(end_s))),
            principal: Some("system".into()),
            access: kql::Access::without_content(),
            ..Options::default()
        };
        let frame = self.parts.engine.run(&rule.aggregated(), &options).await;
        let frame = frame.map_err(|error| error.message().to_owned())?;
        let mut measured = Measured::new();
        for row in &frame.rows {
            let named = frame.columns.iter().zip(row);
            let mut dimensions = Map::new();
            let mut value = None;
            for (column, cell) in named {
                match &*column.name {
                    "AggregatedValue" => value = number(cell),
                    name => drop(dimensions.insert(name.to_owned(), text(cell).into())),
                }
            }
            if let Some(value) = value {
                measured.insert(serde_json::Value::Object(dimensions).to_string(), value);
            }
        }
        Ok(measured)
    }

    /// What a gauge says, by dimensions.
    fn gauge(&self, rule: &AlertRule) -> Measured {
        let Some(definition) = gauge(rule) else { return Measured::new() };
        self.parts.metrics.gauge(
            definition.metric,
            &rule.metric_labels,
            &rule.dimensions,
            rule.aggregation,
        )
    }

    fn note(
        &self,
        settings: &Settings,
        state: &mut State,
        rule: &AlertRule,
        change: &Change,
        now: Timestamp,
    ) {
        let kind = match change.kind {
            ChangeKind::Fired => "Fired",
            ChangeKind::Resolved => "Resolved",
        };
        tracing::info!(rule = rule.id, alert = change.alert_id, state = kind, "alert");
        push(state, row(rule, change, kind, now));
        put(settings, state, rule, change, now);
    }

    /// Says once that a rule cannot be looked at.
    fn note_failure(&self, state: &mut State, rule: &AlertRule, why: &str, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.iter().any(|(id, known)| *id == rule.id && known == why) {
            return;
        }
        failures.retain(|(id, _)| *id != rule.id);
        failures.push((rule.id.clone(), why.to_owned()));
        tracing::warn!(rule = rule.id, why, "an alert rule could not be looked at");
        push(
            state,
            Alert {
                time_generated: now,
                rule_id: rule.id.clone(),
                rule_name: rule.title().to_owned(),
                severity: i32::from(rule.severity),
                state: "EvaluationFailed".into(),
                message: why.to_owned(),
                ..Alert::default()
            },
        );
    }

    /// Books the end of an attempt.
    async fn settle(
        &self,
        settings: &Settings,
        ended: Option<Result<Attempted, tokio::task::JoinError>>,
    ) {
        let Some(Ok((delivery, result))) = ended else { return };
        let now = (self.parts.now)();
        let mut state = self.state.lock().await;
        let (kind, message) = match &result {
            Ok(()) => {
                state.outbox.delivered(&delivery.key);
                ("Delivered", String::new())
            }
            Err(failure) => match state.outbox.failed(&delivery.key, now, failure.is_final) {
                Fate::Retry if delivery.failures > 0 => ("", String::new()),
                Fate::Retry => ("DeliveryFailed", format!("{failure}; it is tried again")),
                Fate::GivenUp => ("DeliveryFailed", format!("{failure}; it is given up")),
            },
        };
        let outcome = if result.is_ok() { "delivered" } else { "failed" };
        self.parts.metrics.add(Metric::AlertDeliveries, &[&delivery.sink, outcome], 1.0);
        let rule = settings.rule(&delivery.change.rule_id);
        if let (Some(rule), false) = (rule, kind.is_empty()) {
            let mut row = row(rule, &delivery.change, kind, now);
            row.target.clone_from(&delivery.sink);
            row.message = message;
            push(&mut state, row);
        }
    }

    /// Shows what fires and what waits.
    fn show(&self, settings: &Settings, state: &State) {
        let metrics = &self.parts.metrics;
        metrics.clear(Metric::AlertsFiring);
        for RuleInForce { rule, .. } in &settings.rules {
            let firing = state.engine.firing(&rule.id).len();
            if firing > 0 {
                let labels = [rule.id.as_str(), &rule.severity.to_string()];
                metrics.set(Metric::AlertsFiring, &labels, firing as f64);
            }
        }
        metrics.set(Metric::AlertsUndelivered, &[], state.outbox.len() as f64);
    }

    fn lock_pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, state: &State) {
        self.kept.keep(serde_json::to_string(state).expect("keys are strings")).await;
    }

    /// Writes history into the ledger. What it does not take is tried again in the next round.
    async fn record(&self, state: &mut State) {
        if state.unrecorded.is_empty() {
            return;
        }
        let frames: Vec<_> = state
            .unrecorded
            .iter()
            .map(|row| {
                let id = InteractionId::mint(row.time_generated, digest(row));
                Record::Note(Box::new(Note::Alert(row.clone()))).encode(id)
            })
            .collect();
        let kept = match self.parts.ledger.append(frames).await {
            Ok(commit) => commit.durable().await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(_) => {
                state.unrecorded.clear();
                self.keep(state).await;
            }
            Err(error) => tracing::warn!(%error, "the history of alerts waits for the ledger"),
        }
    }
}

type Attempted = (Delivery, Result<(), Failure>);

async fn attempt(settings: Arc<Settings>, delivery: Delivery, now: Timestamp) -> Attempted {
    let gone = |what: &str| Failure { is_final: true, why: format!("its {what} is gone") };
    let rule = settings.rule(&delivery.change.rule_id);
    let sink = settings.config.sinks.iter().find(|sink| sink.id == delivery.sink);
    let result = match (rule, sink) {
        (Some(rule), Some(sink)) => {
            settings.courier.deliver(sink, rule, &delivery.change, now).await
        }
        (None, _) => Err(gone("rule")),
        (_, None) => Err(gone("sink")),
    };
    (delivery, result)
}

fn earlier(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(at.unix_micros().saturating_sub(seconds.saturating_mul(1_000_000)))
}

fn number(cell: &Value) -> Option<f64> {
    match cell {
        Value::Real(number) if number.is_finite() => Some(*number),
        Value::Long(number) => Some(*number as f64),
        Value::Int(number) => Some(f64::from(*number)),
        _ => None,
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::String(text) | Value::Dynamic(text) => text.clone(),
        Value::Long(number) => number.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(is_set) => is_set.to_string(),
        Value::Null => String::new(),
        Value::Datetime(ticks) => kql::format_datetime(*ticks),
        other => format!("{other:?}"),
    }
}

//! What can be asked of the running gateway behind this listener, and what it answers.

use async_trait::async_trait;
use event::Erasure;
use policy::{AlertRule, AlertRuleOrigin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;

/// What can be asked of a running gateway; the wiring implements it.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Reads the configuration again and swaps it; answers what changed and what waits for a restart.
    async fn reload(&self) -> Result<ReloadReport, Problem>;
    /// The backends and how they fare.
    fn backends(&self) -> BackendList;
    /// The certificates that listeners show.
    fn certificates(&self) -> CertificateList;
    /// The counters of limits of which something counts.
    fn limits(&self) -> CounterList;
    /// The configuration in force.
    async fn settings(&self) -> SettingList;
    /// The alert rules and how they stand.
    async fn alerts(&self) -> AlertList;
    /// The alert rules in force, and whose they are.
    fn alert_rules(&self) -> Vec<AlertRuleLine>;
    /// Sends an alert of this rule to its sinks, as a test.
    async fn test_alert(&self, rule: &str) -> Result<AlertTest, Problem>;
    /// The scheduled reports and how they stand.
    async fn reports(&self) -> ReportList;
    /// Makes a report now and delivers it.
    async fn run_report(&self, report: &str) -> Result<ReportRun, Problem>;
    /// The stream jobs and how they stand.
    fn stream_jobs(&self) -> StreamJobList;
    /// The budgets and how they stand.
    async fn budgets(&self) -> BudgetList;
    /// Rates past days anew by the prices that hold now.
    async fn rerate(&self, body: &RerateBody) -> Result<RerateReport, Problem>;
    /// Records orders to erase, and waits a while until they are carried out; answers whether they are, and
    /// how far orders are carried out.
    async fn erase(&self, orders: Vec<Erasure>) -> Result<(bool, ErasureState), Problem>;
    /// How far orders to erase are carried out.
    fn erasures(&self) -> ErasureState;
    /// Sends a backend no new calls; those about objects that live on it only if `with_stateful`.
    fn drain(&self, backend: &str, with_stateful: bool) -> Result<BackendList, Problem>;
    /// Sends a backend its calls again.
    fn undrain(&self, backend: &str) -> Result<BackendList, Problem>;
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReloadReport {
    /// Top-level settings that changed and are in force now.
    pub changed: Vec<String>,
    /// Settings that changed in the file and wait for a restart.
    pub restart_needed: Vec<String>,
    /// Settings of the file that are not in force, because the database holds the desired state.
    pub overruled: Vec<String>,
}

/// How far orders to erase are carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErasureState {
    /// Sequence in the ledger up to which every order is carried out.
    pub carried_out_sequence: u64,
    /// Interactions that were ordered to be erased and are not yet.
    pub waiting: u64,
    /// Those among them that had not ended, as far as was looked: they are erased once they have.
    pub open: u64,
    /// Why the last attempt failed; it is tried again. Empty if it did not.
    pub failure: String,
}

/// The backends.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BackendList {
    /// One object each: whether it takes calls, its circuits, its calls in flight.
    pub backends: Vec<Value>,
}

/// The certificates of the listeners that speak TLS.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct CertificateList {
    /// One for each such listener.
    pub certificates: Vec<ListenerCertificate>,
}

/// The certificate that a listener shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListenerCertificate {
    /// Address of the listener, as it stands in the configuration, or `admin`.
    pub listener: String,
    /// When the certificate ends, in seconds since 1970; null while there is none yet.
    pub ends_at_s: Option<i64>,
}

/// Counters of limits.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct CounterList {
    /// One object each: its name and what was used.
    pub counters: Vec<Value>,
}

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

/// Alert rules.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AlertList {
    /// One object each: the rule, whose it is, whose it replaces, what fires, why it could not be looked at, and
    /// which of its sinks this gateway does not have.
    pub rules: Vec<Value>,
    /// Ids of the sinks that this gateway has.
    pub sinks: Vec<String>,
    /// Names of the gauges that a rule can look at.
    pub gauges: Vec<String>,
}

/// An alert rule in force.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AlertRuleLine {
    /// The rule.
    pub rule: AlertRule,
    /// Whose it is.
    pub origin: AlertRuleOrigin,
    /// Whose rule would be in force without it; null if none would.
    pub replaces: Option<AlertRuleOrigin>,
}

/// What became of a test: what was measured, and what each sink answered.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AlertTest(pub Value);

/// Scheduled reports.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ReportList {
    /// One object each: the report, as whom it asks, when it is made next, what became of the last one, and why
    /// one has not arrived.
    pub reports: Vec<Value>,
}

/// What became of a report: its period, its size, and what each place it goes to answered.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ReportRun(pub Value);

/// Stream jobs.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct StreamJobList {
    /// One object each: the job, as whom it asks, what it is doing and why not, how far it has come and how far it
    /// is behind.
    pub stream_jobs: Vec<Value>,
}

/// Budgets.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BudgetList {
    /// One object each: the budget, dollars spent in its period so far and forecast for its end, which part of
    /// the period is over, and why it could not be asked for. They are a minute old at most.
    pub budgets: Vec<Value>,
}

/// Which days are rated anew.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RerateBody {
    /// The first day, in UTC, such as `2026-11-01`.
    pub from: String,
    /// The day after the last one.
    pub to: String,
    /// Only tell what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the record.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub reason: String,
}

/// What a re-rating changed, or would.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct RerateReport {
    /// Version of the prices that hold now.
    pub price_version: String,
    /// US dollars that the calls cost so far.
    pub before_usd: String,
    /// US dollars that they cost by these prices.
    pub after_usd: String,
    /// Rows of `CostAdjustments` that it made, or would.
    pub adjustments: usize,
    /// The same by subscription and model, with how many calls there are and how many have no price.
    pub differences: Vec<Value>,
}

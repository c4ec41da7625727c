//! Administration of a running gateway: reload, backends, drain, counters of limits.

use async_trait::async_trait;
use axum::extract::State;
use axum::response::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::Caller;
use crate::alerts::{AlertList, AlertTest};
use crate::cost::{BudgetList, RerateBody, RerateReport};
use crate::extract::{Parameters, Segment};
use crate::problem::Problem;
use crate::reports::{ReportList, ReportRun};
use crate::server::Portal;
use crate::settings::SettingList;
use crate::state::action;

/// What can be asked of a running gateway; the wiring implements it.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Reads the configuration again and swaps it; answers what changed and what waits for a restart.
    async fn reload(&self) -> Result<ReloadReport, Problem>;
    /// The backends and how they fare.
    fn backends(&self) -> BackendList;
    /// The counters of limits of which something counts.
    fn limits(&self) -> CounterList;
    /// The configuration in force.
    async fn settings(&self) -> SettingList;
    /// The alert rules and how they stand.
    async fn alerts(&self) -> AlertList;
    /// Sends an alert of this rule to its sinks, as a test.
    async fn test_alert(&self, rule: &str) -> Result<AlertTest, Problem>;
    /// The scheduled reports and how they stand.
    async fn reports(&self) -> ReportList;
    /// Makes a report now and delivers it.
    async fn run_report(&self, report: &str) -> Result<ReportRun, Problem>;
    /// The budgets and how they stand.
    async fn budgets(&self) -> BudgetList;
    /// Rates past days anew by the prices that hold now.
    async fn rerate(&self, body: &RerateBody) -> Result<RerateReport, Problem>;
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

/// The backends.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BackendList {
    /// One object each: whether it takes calls, its circuits, its calls in flight.
    pub backends: Vec<Value>,
}

/// Counters of limits.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct CounterList {
    /// One object each: its name and what was used.
    pub counters: Vec<Value>,
}

/// How to drain.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DrainQuery {
    /// Also hold off calls about objects that live on the backend, which no other can answer.
    stateful: bool,
}

pub(crate) async fn reload(
    State(portal): State<Portal>,
    caller: Caller,
) -> Result<Json<ReloadReport>, Problem> {
    let done = portal.operations.reload().await;
    recorded(&portal, &caller, ("configuration/reload", "configuration", ""), done).await
}

pub(crate) async fn backends(State(portal): State<Portal>) -> Json<BackendList> {
    Json(portal.operations.backends())
}

pub(crate) async fn limits(State(portal): State<Portal>) -> Json<CounterList> {
    Json(portal.operations.limits())
}

pub(crate) async fn drain(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    Parameters(query): Parameters<DrainQuery>,
) -> Result<Json<BackendList>, Problem> {
    let done = portal.operations.drain(&id, query.stateful);
    recorded(&portal, &caller, ("backends/drain", "backend", &id), done).await
}

pub(crate) async fn undrain(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Json<BackendList>, Problem> {
    let done = portal.operations.undrain(&id);
    recorded(&portal, &caller, ("backends/undrain", "backend", &id), done).await
}

/// Answers once the record of what was done, or failed, is durable.
pub(crate) async fn recorded<T>(
    portal: &Portal,
    caller: &Caller,
    (operation, kind, id): (&'static str, &'static str, &str),
    done: Result<T, Problem>,
) -> Result<Json<T>, Problem> {
    let (outcome, message) = match &done {
        Ok(_) => ("succeeded", String::new()),
        Err(problem) => ("failed", problem.detail.clone()),
    };
    let action = action(operation, kind, id, message);
    portal.control.record(&caller.author(), &action, outcome).await?;
    done.map(Json)
}

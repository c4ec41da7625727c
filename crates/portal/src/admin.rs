//! Administration of a running gateway: reload, backends, drain, certificates, counters of limits.

use axum::extract::State;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::extract::{Parameters, Segment};
use crate::inner::Portal;
use crate::operations::{BackendList, CertificateList, CounterList, ReloadReport};
use crate::problem::Problem;
use crate::state::action;

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

pub(crate) async fn certificates(State(portal): State<Portal>) -> Json<CertificateList> {
    Json(portal.operations.certificates())
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

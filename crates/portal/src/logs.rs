//! Azure Monitor's Logs query API: queries with a timespan, batches, metadata.
//!
//! Copies <https://learn.microsoft.com/azure/azure-monitor/logs/api/overview>, so that clients written for
//! it connect unchanged. There is one workspace; the id that a request gives is not looked at.

mod answer;
mod timespan;

pub(crate) use answer::denied;

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kql::{Frame, Options, QueryError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::Caller;
use crate::extract::Parameters;
use crate::inner::Portal;
use crate::kusto::{Catalogued, header, now_ticks, purpose, stream};
use crate::problem::Problem;
use crate::reading::{Asked, access};

/// Longest wait that a client may ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Wait of a client that asks for none.
const WAIT: Duration = Duration::from_secs(180);
/// Most bytes of an answer.
const BYTES_MAX: u64 = 100 << 20;
/// Queries of one batch.
const BATCH_MAX: usize = 100;

/// A query.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LogsQuery {
    /// KQL.
    query: String,
    /// Only rows of this time: an ISO 8601 duration that ends now, or an interval.
    #[serde(default)]
    timespan: Option<String>,
    /// Further workspaces; there is one, so they are not looked at.
    #[serde(default)]
    #[expect(dead_code, reason = "it is there so that the OpenAPI document names it")]
    workspaces: Option<Vec<String>>,
}

/// A query that stands in the address.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LogsAddress {
    /// KQL.
    query: String,
    /// Only rows of this time: an ISO 8601 duration that ends now, or an interval.
    timespan: Option<String>,
}

/// Several queries.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LogsBatch {
    requests: Vec<LogsRequest>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LogsRequest {
    /// Ties the answer to it.
    id: String,
    body: LogsQuery,
    /// `Prefer` and others.
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
}

/// The answer to a query.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LogsAnswer {
    /// `name`, `columns` and `rows` of each result.
    tables: Vec<Value>,
    /// What it cost, where the client prefers to know.
    statistics: Option<Value>,
    /// How to show it, where the client prefers to know.
    render: Option<Value>,
    /// Why it is not whole, if it is not.
    error: Option<Value>,
}

/// What a client prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Preference {
    wait: Duration,
    statistics: bool,
    render: bool,
}

/// A query in a body.
pub(crate) async fn query(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match serde_json::from_slice(&body) {
        Ok(asked) => answer(&portal, &caller, &headers, &asked).await,
        Err(error) => {
            let detail = format!("the body is not {{\"query\": \"…\"}}: {error}");
            failed(400, &answer::bad_argument(&detail, &caller.correlation_id))
        }
    }
}

/// A query in the address.
pub(crate) async fn query_by_address(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    asked: Result<Parameters<LogsAddress>, Problem>,
) -> Response {
    let LogsAddress { query, timespan } = match asked {
        Ok(Parameters(asked)) => asked,
        Err(problem) => {
            let body = answer::bad_argument(&problem.detail, &caller.correlation_id);
            return failed(problem.status, &body);
        }
    };
    let asked = LogsQuery { query, timespan, workspaces: None };
    answer(&portal, &caller, &headers, &asked).await
}

/// Several queries, one after the other.
pub(crate) async fn batch(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let batch: LogsBatch = match serde_json::from_slice::<LogsBatch>(&body) {
        Ok(batch) if batch.requests.len() <= BATCH_MAX => batch,
        Ok(_) => {
            let detail = format!("a batch has at most {BATCH_MAX} requests: send several");
            return failed(400, &answer::bad_argument(&detail, &caller.correlation_id));
        }
        Err(error) => {
            let detail = format!("the body is not {{\"requests\": […]}}: {error}");
            return failed(400, &answer::bad_argument(&detail, &caller.correlation_id));
        }
    };
    let mut responses = Vec::with_capacity(batch.requests.len());
    let mut rest = BYTES_MAX;
    for request in batch.requests {
        let told = |name: &str| {
            let found = request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        let preference = Preference::read(&told("prefer").unwrap_or_default());
        let stated = told(crate::reading::PURPOSE).unwrap_or_else(|| purpose(&headers));
        let query = LogsRun { query: &request.body, preference, purpose: &stated, bytes_max: rest };
        let (status, body) = match query.run(&portal, &caller).await {
            Ok(frame) => {
                let body = answer::whole(frame, preference.statistics, preference.render);
                rest = rest.saturating_sub(body.to_string().len() as u64);
                (200, body)
            }
            Err(error) => answer::error(&error, &caller.correlation_id),
        };
        responses.push(json!({ "id": request.id, "status": status, "headers": {}, "body": body }));
    }
    Json(json!({ "responses": responses })).into_response()
}

/// The tables of the workspace.
pub(crate) async fn metadata(
    State(portal): State<Portal>,
    caller: Caller,
    Path(workspace): Path<String>,
) -> Json<Value> {
    let shown = access(&caller.principal, "");
    let catalogued = Catalogued::new(&*portal.engine, &shown);
    Json(answer::metadata(&catalogued, &workspace))
}

async fn answer(
    portal: &Portal,
    caller: &Caller,
    headers: &HeaderMap,
    asked: &LogsQuery,
) -> Response {
    let preference = Preference::read(header(headers, "prefer"));
    let stated = purpose(headers);
    let query = LogsRun { query: asked, preference, purpose: &stated, bytes_max: BYTES_MAX };
    match query.run(portal, caller).await {
        Ok(frame) => {
            let pieces = answer::pieces(frame, preference.statistics, preference.render);
            stream("application/json; charset=utf-8", pieces, headers)
        }
        Err(error) => {
            let (status, body) = answer::error(&error, &caller.correlation_id);
            failed(status, &body)
        }
    }
}

fn failed(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body.clone())).into_response()
}

/// A query with all that decides its answer.
struct LogsRun<'a> {
    query: &'a LogsQuery,
    preference: Preference,
    purpose: &'a str,
    bytes_max: u64,
}

impl LogsRun<'_> {
    async fn run(&self, portal: &Portal, caller: &Caller) -> Result<Frame, QueryError> {
        let now = now_ticks();
        let time_range = match self.query.timespan.as_deref() {
            None | Some("") => None,
            Some(text) => Some(timespan::read(text, now).ok_or_else(|| {
                let text = format!(
                    "the timespan {text} is no ISO 8601 duration or interval, such as PT1H or \
                     2026-01-01/P1D"
                );
                QueryError::new(kql::QueryErrorKind::Syntax, text)
            })?),
        };
        let options = Options {
            now_ticks: Some(now),
            timeout: self.preference.wait,
            bytes_max: self.bytes_max,
            time_range,
            ..Options::default()
        };
        let asked = Asked { caller, query: &self.query.query, purpose: self.purpose, via: None };
        portal.ask(&asked, options).await
    }
}

impl Preference {
    /// Reads `Prefer`; what we do not know is ignored (RFC 7240).
    fn read(text: &str) -> Self {
        let mut all = Self { wait: WAIT, statistics: false, render: false };
        for item in text.split([',', ';']) {
            let (name, value) = item.split_once('=').unwrap_or((item, "true"));
            let is_true = value.trim().eq_ignore_ascii_case("true");
            match name.trim().to_ascii_lowercase().as_str() {
                "wait" => {
                    let seconds = value.trim().parse().map_or(WAIT, Duration::from_secs);
                    all.wait = seconds.clamp(Duration::from_secs(1), WAIT_MAX);
                }
                "include-statistics" => all.statistics = is_true,
                "include-render" => all.render = is_true,
                _ => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_within_their_bounds() {
        let seconds = Duration::from_secs;
        let read = Preference::read("wait=900, include-statistics=true,include-render=true");
        assert_eq!(read, Preference { wait: seconds(600), statistics: true, render: true });
        assert_eq!(Preference::read("wait=5").wait, seconds(5));
        assert_eq!(Preference::read("").wait, WAIT);
        assert!(!Preference::read("include-statistics=false").statistics);
    }
}

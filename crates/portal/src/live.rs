//! The live tail: interactions as they end, pushed to whoever listens.
//!
//! Server-sent events: `rows` with the interactions of one look, oldest first, without content; a comment
//! now and then as a sign of life. The filters are values, never query text.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kql::{Access, Frame, Options, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::extract::Parameters;
use crate::inner::{LISTENERS_MAX, Portal};
use crate::kusto::json_value;
use crate::problem::Problem;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(300);
/// So long a silence is broken by a comment, so that proxies keep the connection.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Interactions that the first look shows.
const ROWS_FIRST: u32 = 50;
/// Interactions of one look; more come with the next.
const ROWS_MAX: u32 = 500;
const COLUMNS: &str = "TimeGenerated, CorrelationId, LedgerSequence, ResponseCode, Outcome, Kind, \
    OperationId, Method, DeploymentName, ModelName, ApimSubscriptionId, UserId, CallerIpAddress, \
    BackendId, TotalTokens, CostUsd, TotalTime, TimeToFirstByte, IsStreamCompletion";

/// Which interactions; a value that is left out lets all through.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// Kind of operation, such as `chat`.
    kind: Option<String>,
    /// Deployment called.
    deployment: Option<String>,
    /// Subscription whose key was used.
    subscription: Option<String>,
    /// Backend used last.
    backend: Option<String>,
    /// How it ended, such as `refused`.
    outcome: Option<String>,
    /// A status, or a family of them such as `4xx`.
    status: Option<String>,
}

/// One listener.
struct Tail {
    portal: Portal,
    /// The query up to the condition on the sequence.
    source: String,
    /// Sequence of the last interaction that was shown; none before the first look.
    last: Option<i64>,
    spoke_at: Instant,
    _place: OwnedSemaphorePermit,
}

/// The tail as an endless answer.
pub(crate) async fn tail(
    State(portal): State<Portal>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    let source = wanted.source()?;
    let Ok(place) = Arc::clone(&portal.listeners).try_acquire_owned() else {
        let detail = format!("{LISTENERS_MAX} listen already: close a live tail elsewhere");
        return Err(Problem::new(429, detail));
    };
    let tail = Tail { portal, source, last: None, spoke_at: Instant::now(), _place: place };
    let events = stream::unfold(tail, Tail::next);
    let heads = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((heads, Body::from_stream(events)).into_response())
}

impl Wanted {
    fn source(&self) -> Result<String, Problem> {
        let mut source = "Interactions".to_owned();
        for (column, value) in [
            ("Kind", &self.kind),
            ("DeploymentName", &self.deployment),
            ("ApimSubscriptionId", &self.subscription),
            ("BackendId", &self.backend),
            ("Outcome", &self.outcome),
        ] {
            if let Some(value) = value {
                source.push_str(&format!(" | where {column} == {}", literal(value)));
            }
        }
        if let Some(status) = &self.status {
            let digits = status.strip_suffix("xx").unwrap_or(status);
            let number: u16 = digits.parse().map_err(|_| {
                Problem::new(400, "`status` is a status such as 404, or a family such as 4xx")
            })?;
            source.push_str(&match status.ends_with("xx") {
                true => format!(" | where ResponseCode between ({number}00 .. {number}99)"),
                false => format!(" | where ResponseCode == {number}"),
            });
        }
        Ok(source)
    }
}

impl Tail {
    /// The next event; none once the listener is to close.
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if self.last.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = self.portal.stop.cancelled() => return None,
                }
            }
            let event = match self.look().await {
                Ok(rows) if !rows.is_empty() => {
                    let data = serde_json::Value::from(rows);
                    format!("event: rows\ndata: {data}\n\n")
                }
                Ok(_) if self.spoke_at.elapsed() < SILENCE_MAX => continue,
                Ok(_) => ": nothing new\n\n".to_owned(),
                Err(error) => {
                    let data = json!({ "message": error.message() });
                    return Some((Ok(format!("event: failed\ndata: {data}\n\n").into()), self));
                }
            };
            self.spoke_at = Instant::now();
            return Some((Ok(event.into()), self));
        }
    }

    /// What has ended since the last look, oldest first.
    async fn look(&mut self) -> Result<Vec<serde_json::Value>, kql::QueryError> {
        let query = match self.last {
            None => format!(
                "{} | top {ROWS_FIRST} by LedgerSequence desc | project {COLUMNS} \
                 | sort by LedgerSequence asc",
                self.source
            ),
            Some(last) => format!(
                "{} | where LedgerSequence > {last} | top {ROWS_MAX} by LedgerSequence asc \
                 | project {COLUMNS}",
                self.source
            ),
        };
        let before = self.last.unwrap_or(0);
        self.last = Some(before);
        let options = Options { access: Access::without_content(), ..Options::default() };
        let frame = self.portal.engine.run(&query, &options).await?;
        let at = frame.columns.iter().position(|column| &*column.name == "LedgerSequence");
        let last = frame.rows.last().zip(at).and_then(|(row, at)| match row.get(at) {
            Some(Value::Long(sequence)) => Some(*sequence),
            _ => None,
        });
        self.last = Some(last.unwrap_or(before));
        Ok(objects(&frame))
    }
}

fn objects(frame: &Frame) -> Vec<serde_json::Value> {
    let object = |row: &Vec<Value>| {
        let names = frame.columns.iter().map(|column| column.name.to_string());
        names.zip(row.iter().map(json_value)).collect::<Map<_, _>>().into()
    };
    frame.rows.iter().map(object).collect()
}

/// A string literal of KQL: a value can never become part of the query.
fn literal(text: &str) -> String {
    let mut found = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some(plain @ (' '..='!' | '#'..='[' | ']'..='~')) => found.push(plain),
            _ => found.push_str(&format!("\\u{unit:04x}")),
        }
    }
    found.push('"');
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values() {
        let wanted = Wanted {
            deployment: Some("x\" | project RequestBody //\n\u{1F600}".into()),
            status: Some("4xx".into()),
            ..Wanted::default()
        };
        let source = wanted.source().expect("well-formed");
        let expected = "Interactions | where DeploymentName == \
            \"x\\u0022 | project RequestBody //\\u000a\\ud83d\\ude00\" \
            | where ResponseCode between (400 .. 499)";
        assert_eq!(source, expected);
        let wrong = Wanted { status: Some("4xx or true".into()), ..Wanted::default() };
        assert!(wrong.source().is_err());
    }
}

//! Kusto's query protocol, versions 1 and 2: queries, `.show` commands, where to sign in.
//!
//! Copies <https://learn.microsoft.com/azure/data-explorer/kusto/api/rest/>, so that clients written for
//! it connect unchanged. There is one database; the name that a request gives is not looked at.

mod answer;
mod cells;
mod commands;
mod error;
mod pieces;
mod request;
mod schema;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::access::Caller;
use crate::inner::Portal;
use crate::problem::Problem;

use answer::About;

pub(crate) use answer::{Pieces, now_ticks};
pub use cells::json_value;
pub(crate) use cells::{json_text_value, row_pieces, visualization};
pub(crate) use error::{denied, error};
pub(crate) use pieces::stream;
pub(crate) use request::{Asked, TIMEOUT_MAX, header, purpose};
pub(crate) use schema::Catalogued;

/// A query or a command.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema stands in the OpenAPI document")]
pub(crate) struct QueryBody {
    /// The query, or a command that begins with a dot.
    csl: String,
    /// Database; there is one, so the name is not looked at.
    db: Option<String>,
    /// Client request properties, `Options` and `Parameters`; an object or its JSON text.
    properties: Option<Value>,
}

/// The tables of an answer of version 1.
#[derive(Serialize, JsonSchema)]
pub(crate) struct QueryAnswer {
    /// A table for each result; then properties, status and a table of contents.
    #[serde(rename = "Tables")]
    tables: Vec<Value>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A query, answered in version 1. Grafana sends commands here as well.
pub(crate) async fn query_v1(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&portal, &caller, &headers, &body, Version::One).await
}

/// A query, answered in version 2.
pub(crate) async fn query_v2(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&portal, &caller, &headers, &body, Version::Two).await
}

/// A command.
pub(crate) async fn command(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match read(&portal, &headers, &body) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let activity = Uuid::now_v7();
    let response = run_command(&portal, &caller, &asked, &headers).await;
    marked(response, &asked.id, activity)
}

/// Where clients of a cluster sign in. Everybody may ask: clients do so before they have a token.
pub(crate) async fn metadata(State(portal): State<Portal>) -> Json<Value> {
    let sign_in = &portal.kusto;
    Json(json!({
        "AzureAD": {
            "LoginEndpoint": sign_in.login_endpoint,
            "LoginMfaRequired": false,
            "KustoClientAppId": sign_in.client_app_id,
            "KustoClientRedirectUri": sign_in.redirect_uri,
            "KustoServiceResourceId": sign_in.service_resource_id,
            "FirstPartyAuthorityUrl": sign_in.login_endpoint,
        },
        "dSTS": null,
    }))
}

async fn answer(
    portal: &Portal,
    caller: &Caller,
    headers: &HeaderMap,
    body: &[u8],
    version: Version,
) -> Response {
    let asked = match read(portal, headers, body) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let activity = Uuid::now_v7();
    if commands::is_command(&asked.csl) {
        let response = run_command(portal, caller, &asked, headers).await;
        return marked(response, &asked.id, activity);
    }
    let query =
        crate::reading::Asked { caller, query: &asked.csl, purpose: &asked.purpose, via: None };
    let running = portal.queries.begin(&caller.principal, &asked.id);
    let result = tokio::select! {
        result = portal.ask(&query, asked.options.clone()) => result,
        () = running.cancelled.cancelled() => {
            let text = "the query was cancelled by .cancel query";
            Err(kql::QueryError::new(kql::QueryErrorKind::Cancelled, text))
        }
    };
    drop(running);
    let response = match result {
        Ok(frame) => {
            let about = About {
                id: asked.id.clone(),
                activity,
                now_ticks: now_ticks(),
                defers_failures: asked.defers_failures,
                is_progressive: asked.is_progressive,
            };
            let pieces = match version {
                Version::One => answer::v1(frame, &about),
                Version::Two => answer::v2(frame, &about),
            };
            stream("application/json; charset=utf-8", pieces, headers)
        }
        Err(error) => failed(&error, &asked.id),
    };
    marked(response, &asked.id, activity)
}

async fn run_command(
    portal: &Portal,
    caller: &Caller,
    asked: &Asked,
    headers: &HeaderMap,
) -> Response {
    match commands::run(portal, caller, asked).await {
        Ok(frame) => {
            let pieces = answer::single_v1(frame);
            stream("application/json; charset=utf-8", pieces, headers)
        }
        Err(error) => failed(&error, &asked.id),
    }
}

/// The answer to a query that failed.
fn failed(failure: &kql::QueryError, id: &str) -> Response {
    let (status, body) = error(failure, id);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

fn read(portal: &Portal, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Box<Response>> {
    Asked::read(headers, body, portal.query_bytes_max)
        .map_err(|detail| Box::new(denied(&Problem::new(400, detail), headers)))
}

/// The ids by which client and server speak of the request.
fn marked(mut response: Response, id: &str, activity: Uuid) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-ms-client-request-id", id);
    }
    if let Ok(activity) = HeaderValue::from_str(&activity.to_string()) {
        headers.insert("x-ms-activity-id", activity);
    }
    response
}

/// The whole answer of version 1 to a query that ran elsewhere.
pub fn whole_answer(frame: kql::Frame) -> Value {
    let bytes: Vec<u8> = answer::v1(frame, &About::default()).flatten().collect();
    serde_json::from_slice(&bytes).expect("what is made here is JSON")
}

/// The tables of an answer of version 1 that hold results: all but properties, status and contents.
pub fn results(answer: &Value) -> &[Value] {
    let tables = answer["Tables"].as_array().map_or(&[][..], Vec::as_slice);
    match tables.len() {
        0..=3 => &tables[..tables.len().min(1)],
        len => &tables[..len - 3],
    }
}

/// Rows of a result as one object each, columns in order.
pub fn rows_as_objects(table: &Value) -> Option<Vec<Map<String, Value>>> {
    let names: Vec<&str> = table["Columns"]
        .as_array()?
        .iter()
        .map(|column| column["ColumnName"].as_str())
        .collect::<Option<_>>()?;
    let rows = table["Rows"].as_array()?;
    rows.iter()
        .map(|row| {
            let cells = row.as_array()?;
            Some(names.iter().map(|name| (*name).to_owned()).zip(cells.iter().cloned()).collect())
        })
        .collect()
}

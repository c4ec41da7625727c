//! Kusto's query API: a query of the record.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::kusto::{self, QueryRequest};
use crate::problem::Problem;
use crate::routes::{Dialect, deny};
use crate::server::Portal;

/// A query.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema stands in the OpenAPI document")]
pub(crate) struct QueryBody {
    /// The query text.
    csl: String,
    /// Database; there is one, so the name is not looked at.
    db: Option<String>,
    /// Client request properties: `Options` and `Parameters`.
    properties: Option<Value>,
}

/// The tables of an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct QueryAnswer {
    /// The result, then the properties of the query.
    #[serde(rename = "Tables")]
    tables: Vec<Value>,
}

/// Runs a query.
pub(crate) async fn run(State(portal): State<Portal>, headers: HeaderMap, body: Bytes) -> Response {
    let refuse =
        |status, detail: String| deny(&Problem { status, detail }, Dialect::Kusto, &headers);
    let request: QueryRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return refuse(400, format!("the body is not {{\"csl\": \"…\"}}: {error}"));
        }
    };
    let Ok(_running) = portal.running.clone().try_acquire_owned() else {
        return refuse(429, "too many queries are running: try again when one has ended".into());
    };
    let id = headers.get("x-ms-client-request-id").and_then(|id| id.to_str().ok()).unwrap_or("");
    tracing::debug!(database = request.db, id, "query");
    let options = kusto::options(request.properties);
    let engine = Arc::clone(&portal.engine);
    match engine.run(&request.csl, &options).await {
        Ok(frame) => Json(kusto::response(&frame)).into_response(),
        Err(error) => {
            let (status, body) = kusto::error(&error, id);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(body)).into_response()
        }
    }
}

//! Administration of a running gateway over HTTP: reload, backends, drain.
//!
//! Shapes: success is 200 with a JSON object; an error is `application/problem+json` (RFC 9457) with
//! `title`, `status` and `detail`, which names the fix.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::server::{Portal, is_authorised};

/// What can be asked of a running gateway; the wiring implements it.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Reads the configuration again and swaps it; answers what changed and what waits for a restart.
    async fn reload(&self) -> Result<Value, Problem>;
    /// The backends and how they fare.
    fn backends(&self) -> Value;
    /// The counters of limits of which something counts.
    fn limits(&self) -> Value;
    /// Sends a backend no new calls; those about objects that live on it only if `with_stateful`.
    fn drain(&self, backend: &str, with_stateful: bool) -> Result<Value, Problem>;
    /// Sends a backend its calls again.
    fn undrain(&self, backend: &str) -> Result<Value, Problem>;
}

/// Why something was not done; the text names the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({ "title": title, "status": self.status, "detail": self.detail });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, content_type, body.to_string()).into_response()
    }
}

/// The routes below `/admin/v1`.
pub(crate) fn routes() -> Router<Portal> {
    Router::new()
        .route("/admin/v1/reload", post(reload))
        .route("/admin/v1/backends", get(backends))
        .route("/admin/v1/limits", get(limits))
        .route("/admin/v1/backends/{id}/drain", post(drain))
        .route("/admin/v1/backends/{id}/undrain", post(undrain))
}

async fn reload(State(portal): State<Portal>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    operations(&portal, &headers)?.reload().await.map(Json)
}

async fn backends(
    State(portal): State<Portal>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    Ok(Json(operations(&portal, &headers)?.backends()))
}

async fn limits(State(portal): State<Portal>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    Ok(Json(operations(&portal, &headers)?.limits()))
}

async fn drain(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let with_stateful = match query.as_deref() {
        None | Some("" | "stateful=false") => false,
        Some("stateful=true") => true,
        Some(_) => {
            let detail = "the query may be stateful=true or stateful=false".to_owned();
            return Err(Problem { status: 400, detail });
        }
    };
    operations(&portal, &headers)?.drain(&id, with_stateful).map(Json)
}

async fn undrain(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    operations(&portal, &headers)?.undrain(&id).map(Json)
}

fn operations<'a>(
    portal: &'a Portal,
    headers: &HeaderMap,
) -> Result<&'a Arc<dyn Operations>, Problem> {
    if is_authorised(&portal.token, headers) {
        return Ok(&portal.operations);
    }
    Err(Problem {
        status: 401,
        detail: "present the admin token of the data folder as `Authorization: Bearer …`".into(),
    })
}

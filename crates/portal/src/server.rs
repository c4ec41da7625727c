//! Routes, authentication and life of the admin listener.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use kql::Engine;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Operations};
use crate::config::PortalConfig;
use crate::kusto::{self, QueryRequest};

/// The secret that opens the admin listener.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// From its text; use at least 32 random bytes.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    fn opens(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The admin listener before it listens.
#[derive(Clone)]
pub struct Portal {
    engine: Arc<dyn Engine>,
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) token: Token,
    running: Arc<Semaphore>,
    query_bytes_max: usize,
}

impl Portal {
    /// A portal that asks `engine` and `operations` for whoever presents `token`.
    pub fn new(
        config: &PortalConfig,
        engine: Arc<dyn Engine>,
        operations: Arc<dyn Operations>,
        token: Token,
    ) -> Self {
        let running = Arc::new(Semaphore::new(config.queries_max));
        Self { engine, operations, token, running, query_bytes_max: config.query_bytes_max }
    }

    /// Serves until `stop`, then lets running queries end.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    }

    fn router(self) -> Router {
        let limit = DefaultBodyLimit::max(self.query_bytes_max);
        Router::new()
            .route("/v1/rest/query", post(query))
            .merge(admin::routes())
            .fallback(unknown)
            .layer(limit)
            .with_state(self)
    }
}

async fn query(State(portal): State<Portal>, headers: HeaderMap, body: Bytes) -> Response {
    let id = text(&headers, "x-ms-client-request-id").to_owned();
    if !is_authorised(&portal.token, &headers) {
        let message = "present the admin token of the data folder as `Authorization: Bearer …`";
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized", message, &id);
    }
    let request: QueryRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the body is not {{\"csl\": \"…\"}}: {error}");
            return refuse(StatusCode::BAD_REQUEST, "General_BadRequest", &message, &id);
        }
    };
    let Ok(_running) = portal.running.clone().try_acquire_owned() else {
        let message = "too many queries are running: try again when one has ended";
        return refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message, &id);
    };
    tracing::debug!(database = request.db, id, "query");
    let options = kusto::options(request.properties);
    match portal.engine.run(&request.csl, &options).await {
        Ok(frame) => Json(kusto::response(&frame)).into_response(),
        Err(error) => {
            let (status, body) = kusto::error(&error, &id);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(body)).into_response()
        }
    }
}

async fn unknown(headers: HeaderMap) -> Response {
    let message = "this listener holds POST /v1/rest/query and what stands below /admin/v1";
    refuse(StatusCode::NOT_FOUND, "NotFound", message, text(&headers, "x-ms-client-request-id"))
}

pub(crate) fn is_authorised(token: &Token, headers: &HeaderMap) -> bool {
    let presented = text(headers, header::AUTHORIZATION.as_str());
    presented.strip_prefix("Bearer ").is_some_and(|presented| token.opens(presented))
}

fn refuse(status: StatusCode, code: &str, message: &str, id: &str) -> Response {
    let kind = "Kusto.Data.Exceptions.KustoBadRequestException";
    let is_permanent = status != StatusCode::TOO_MANY_REQUESTS;
    (status, Json(kusto::body(code, kind, message, is_permanent, id))).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

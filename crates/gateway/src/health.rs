//! Whether the gateway lives and can serve, for load balancers and orchestrators.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::inner::Inner;

/// Connections open at once.
const CONNECTIONS_MAX: usize = 64;
/// Time for a request.
const TIMEOUT: Duration = Duration::from_secs(10);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/metrics` holds at this moment, as OpenMetrics text.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers `/healthz` (the process lives) and `/readyz` (it can serve) on a listener of its own, and
/// `/metrics` if it was given that page.
#[derive(Clone)]
pub struct Health {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) metrics: Option<MetricsPage>,
    pub(crate) parts: Vec<(&'static str, Telling)>,
}

/// Tells how a part beside the gateway stands.
pub type Telling = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl Health {
    /// Answers `/metrics` too.
    pub fn with_metrics(self, page: MetricsPage) -> Self {
        Self { metrics: Some(page), ..self }
    }

    /// Lets `/readyz?verbose` tell of a part under this name.
    pub fn telling(mut self, name: &'static str, part: Telling) -> Self {
        self.parts.push((name, part));
        self
    }

    /// Serves until stopped.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tasks = TaskTracker::new();
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let health = self.clone();
                    let stop = stop.child_token();
                    tasks.spawn(async move {
                        health.converse(stream, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the health listener");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Status and JSON body for a path and query; none if it is not ours.
    pub fn answer(&self, target: &str) -> Option<(StatusCode, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/healthz" => Some((StatusCode::OK, json!({"status": "alive"}).to_string())),
            "/readyz" => Some(self.readiness(query == "verbose")),
            _ => None,
        }
    }

    fn respond(&self, target: &str) -> Response<Full<Bytes>> {
        let page = self.metrics.as_ref().filter(|_| target == "/metrics");
        let (status, content_type, body) = match (page, self.answer(target)) {
            (Some(page), _) => (StatusCode::OK, OPEN_METRICS, page()),
            (None, Some((status, body))) => (status, "application/json", body),
            (None, None) => {
                let message = "Ask /healthz, /readyz or, where metrics are enabled, /metrics here.";
                let hint = json!({"error": { "code": "NotFound", "message": message }});
                (StatusCode::NOT_FOUND, "application/json", hint.to_string())
            }
        };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = status;
        let content_type = http::HeaderValue::from_static(content_type);
        answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
        answer
    }

    fn readiness(&self, is_verbose: bool) -> (StatusCode, String) {
        let status = self.gateway.status();
        let mut reasons = Vec::new();
        if !status.ledger_serves {
            reasons.push(format!("the ledger takes no records: {}", status.ledger_reason));
        }
        if !self.gateway.live.load().pool.is_any_up(Instant::now()) {
            reasons.push("no backend is up: see `backends`".to_owned());
        }
        if self.gateway.stop.is_cancelled() {
            reasons.push("the gateway is stopping".to_owned());
        }
        let is_ready = reasons.is_empty();
        let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let text = if is_ready { "ready" } else { "not_ready" };
        let mut body = json!({
            "status": text, "reasons": reasons, "ledger_serves": status.ledger_serves,
            "in_flight": status.in_flight, "backends": status.backends, "identity_providers": self.identity_providers(),
        });
        if is_verbose {
            for (name, part) in &self.parts {
                body[*name] = part();
            }
        }
        (code, body.to_string())
    }

    /// Callers of a provider that is closed are refused; all others are served, so the gateway is ready.
    fn identity_providers(&self) -> Vec<serde_json::Value> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        let status = self.gateway.identity.status(now).into_iter();
        let shown = status.map(|provider| {
            json!({
                "id": provider.id, "state": provider.state.name(), "keys": provider.keys,
                "keys_age_s": provider.keys_age_s, "error": provider.error,
            })
        });
        shown.collect()
    }

    async fn converse(&self, stream: TcpStream, stop: CancellationToken) {
        let service = service_fn(|request: Request<Incoming>| {
            let answer = self.respond(target(request.uri()));
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(TIMEOUT);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a health connection ended");
        }
    }
}

/// Path and query.
fn target(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

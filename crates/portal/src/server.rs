//! Life of the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::response::Response;
use kql::Engine;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::admin::Operations;
use crate::config::PortalConfig;
use crate::problem::Problem;
use crate::routes::{self, Dialect, deny};

/// What the admin listener asks.
pub struct Wiring {
    /// Answers queries of the record.
    pub engine: Arc<dyn Engine>,
    /// The running gateway.
    pub operations: Arc<dyn Operations>,
    /// Tells who asks.
    pub access: Access,
}

/// The admin listener before it listens.
#[derive(Clone)]
pub struct Portal {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) access: Access,
    pub(crate) running: Arc<Semaphore>,
    query_bytes_max: usize,
}

impl Portal {
    /// A portal that asks what `wiring` holds.
    pub fn new(config: &PortalConfig, wiring: Wiring) -> Self {
        let Wiring { engine, operations, access } = wiring;
        let running = Arc::new(Semaphore::new(config.queries_max));
        Self { engine, operations, access, running, query_bytes_max: config.query_bytes_max }
    }

    /// Serves until `stop`, then lets running queries end.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    }

    pub(crate) fn router(self) -> Router {
        routes::router(&self)
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(self.query_bytes_max))
            .with_state(self)
    }
}

async fn unknown(headers: HeaderMap) -> Response {
    let detail = "this listener holds what GET /admin/v1/openapi.json describes";
    deny(&Problem::new(404, detail), Dialect::Problem, &headers)
}

async fn wrong_method(headers: HeaderMap) -> Response {
    let detail = "this path takes other methods: GET /admin/v1/openapi.json names them";
    deny(&Problem::new(405, detail), Dialect::Problem, &headers)
}

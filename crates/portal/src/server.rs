//! Life of the admin listener.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::serve::{Listener, ListenerExt};
use tokio_util::sync::CancellationToken;

use crate::inner::{Portal, Vouch};
use crate::problem::Problem;
use crate::routes::{self, Dialect, deny};
use crate::ui;

impl Portal {
    /// Serves until `stop`, then lets running queries end.
    pub async fn serve<L>(mut self, listener: L, stop: CancellationToken) -> std::io::Result<()>
    where
        L: Listener<Addr = SocketAddr>,
    {
        // Live tails never end by themselves.
        self.stop = stop.clone();
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        // Tapped, a listener of any kind tells where its connections come from.
        axum::serve(listener.tap_io(|_| {}), service)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    }

    pub(crate) fn router(self) -> Router {
        routes::router(&self)
            .fallback(elsewhere)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(self.query_bytes_max))
            .layer(map_response(ui::harden))
            .layer(from_fn_with_state(self.vouch.clone(), known_by_its_caller))
            .with_state(self)
    }
}

/// From here on a request comes from the caller that trusted proxies state, for limits and records alike.
async fn known_by_its_caller(
    State(vouch): State<Vouch>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied()
    {
        let caller = SocketAddr::new(vouch(peer.ip(), request.headers()), peer.port());
        request.extensions_mut().insert(ConnectInfo(caller));
    }
    next.run(request).await
}

/// What stands in no line of the table: a page or file of the portal, or nothing.
async fn elsewhere(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    ui::answer(&method, &uri, &headers).unwrap_or_else(|| unknown(&headers))
}

fn unknown(headers: &HeaderMap) -> Response {
    let detail = "this listener holds what GET /admin/v1/openapi.json describes";
    deny(&Problem::new(404, detail), Dialect::Problem, headers)
}

async fn wrong_method(headers: HeaderMap) -> Response {
    let detail = "this path takes other methods: GET /admin/v1/openapi.json names them";
    deny(&Problem::new(405, detail), Dialect::Problem, &headers)
}

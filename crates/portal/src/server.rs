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

/// What stands in no line of the table: a page or file of the portal, or nothing. A browser is told by the
/// portal itself that there is nothing.
async fn elsewhere(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let found = ui::answer(&method, &uri, &headers);
    let found = found.or_else(|| ui::nowhere(&method, &uri, &headers));
    found.unwrap_or_else(|| {
        deny(&Problem::new(404, unknown(uri.path())), Dialect::Problem, &headers)
    })
}

/// Characters of a path that are said again.
const PATH_CHARS_MAX: usize = 200;
/// What paths of calls to models begin with.
const OF_MODELS: [&str; 4] = ["/openai/", "/models", "/v1/chat/", "/v1/responses"];

fn unknown(path: &str) -> String {
    let fix = match OF_MODELS.iter().any(|start| path.starts_with(start)) {
        true => {
            "calls to models go to a listener under `edge.listeners`, not to that of administration"
        }
        false => "GET /admin/v1/openapi.json lists what there is; the portal is at /",
    };
    format!("there is nothing at {}: {fix}", shortened(path))
}

async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = shortened(uri.path());
    let detail =
        format!("{path} takes no {method}: GET /admin/v1/openapi.json names the methods it takes");
    deny(&Problem::new(405, detail), Dialect::Problem, &headers)
}

fn shortened(path: &str) -> String {
    path.chars().take(PATH_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_with_the_way_to_what_is() {
        let said = unknown("/admin/v1/backend");
        assert!(
            said.starts_with("there is nothing at /admin/v1/backend: GET /admin/v1/openapi.json")
        );
        let said = unknown("/openai/deployments/gpt-4o/chat/completions");
        assert!(said.contains("edge.listeners"), "{said}");
        assert!(unknown(&"/a".repeat(9_000)).len() < 400);
    }
}

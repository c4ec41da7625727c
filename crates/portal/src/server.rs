//! Life of the admin listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::serve::{Listener, ListenerExt};
use control::Control;
use kql::Engine;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::admin::Operations;
use crate::approvals::Approvals;
use crate::config::{KustoSignIn, PortalConfig};
use crate::entrance::Watch;
use crate::interactions::Records;
use crate::kusto;
use crate::live::LISTENERS_MAX;
use crate::problem::Problem;
use crate::record::Record;
use crate::routes::{self, Answers, Dialect, deny};
use crate::sign_in::SignIn;
use crate::ui;

/// Tells who calls, by the peer and the head of its request: the peer, or whom a trusted proxy states.
pub type Vouch = Arc<dyn Fn(IpAddr, &HeaderMap) -> IpAddr + Send + Sync>;

/// What the admin listener asks.
pub struct Wiring {
    /// Answers queries of the record.
    pub engine: Arc<dyn Engine>,
    /// The running gateway.
    pub operations: Arc<dyn Operations>,
    /// The ledger.
    pub records: Arc<dyn Records>,
    /// Tells who asks.
    pub access: Access,
    /// Signs people in.
    pub sign_in: SignIn,
    /// Keeps what is noted of it.
    pub record: Arc<dyn Record>,
    /// The desired state, and the record of what is done here.
    pub control: Control,
    /// Is told of security events.
    pub watch: Watch,
    /// Tells who calls.
    pub vouch: Vouch,
}

/// The admin listener before it listens.
#[derive(Clone)]
pub struct Portal {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) access: Access,
    pub(crate) record: Arc<dyn Record>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) sign_in: SignIn,
    pub(crate) control: Control,
    pub(crate) watch: Watch,
    vouch: Vouch,
    pub(crate) approvals: Approvals,
    pub(crate) answers: Answers,
    pub(crate) running: Arc<Semaphore>,
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) walk: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
    pub(crate) kusto: Arc<KustoSignIn>,
    pub(crate) queries: kusto::Running,
    pub(crate) query_bytes_max: usize,
}

impl Portal {
    /// A portal that asks what `wiring` holds.
    pub fn new(config: &PortalConfig, wiring: Wiring) -> Self {
        let Wiring { engine, operations, records, access, sign_in, record, control, watch, vouch } =
            wiring;
        Self {
            engine,
            operations,
            access,
            sign_in,
            records,
            record,
            control,
            watch,
            vouch,
            approvals: Approvals::new(config.second_approver.as_ref()),
            answers: Answers::default(),
            running: Arc::new(Semaphore::new(config.queries_max)),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
            walk: Arc::new(Semaphore::new(1)),
            stop: CancellationToken::new(),
            kusto: Arc::new(config.kusto.clone()),
            queries: kusto::Running::default(),
            query_bytes_max: config.query_bytes_max,
        }
    }

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

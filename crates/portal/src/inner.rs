//! What all handlers of this listener share.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use control::Control;
use kql::Engine;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::config::{KustoSignIn, PortalConfig};
use crate::idempotency::Answers;
use crate::leave::Approvals;
use crate::operations::Operations;
use crate::record::Record;
use crate::records::Records;
use crate::running::Running;
use crate::sign_in::SignIn;
use crate::visit::Watch;

/// Live tails that are listened to at once; further ones get 429.
pub(crate) const LISTENERS_MAX: usize = 64;

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
    pub(crate) vouch: Vouch,
    pub(crate) approvals: Approvals,
    pub(crate) answers: Answers,
    pub(crate) running: Arc<Semaphore>,
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) walk: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
    pub(crate) kusto: Arc<KustoSignIn>,
    pub(crate) queries: Running,
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
            queries: Running::default(),
            query_bytes_max: config.query_bytes_max,
        }
    }
}

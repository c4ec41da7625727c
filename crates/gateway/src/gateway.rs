//! Starting, watching and stopping the gateway.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use event::{SecurityEvent, Timestamp};
use ledger::{Ledger, State};
use openai::{Catalogue, Tokenizer};
use serde::Serialize;
use shared::{Limiter, SecurityLog};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vault::Credential;

use crate::config::EdgeConfig;
use crate::connection::Door;
use crate::health::Health;
use crate::listener::{self, Peers};
use crate::live::{Live, Settings};
use crate::pool::{Drain, Lane};
use crate::server_tls::{Next, ServerTls};

/// Time for exchanges to write their end records once the drain time is over.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What the gateway is made of.
pub struct Wiring {
    /// What an administrator sets.
    pub settings: Settings,
    /// The operations of the API.
    pub catalogue: Arc<Catalogue>,
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// What has been used of the limits.
    pub limiter: Limiter,
    /// Verifies callers' tokens.
    pub identity: identity::Verifier,
    /// Where objects are at home; the snapshot they are in follows the ledger.
    pub objects: shared::Objects,
    /// Where security events are noted; whoever made it writes them.
    pub security: SecurityLog,
    /// Folder for request bodies too long for memory; made if it is not there. The files have no
    /// names, so nothing stays behind.
    pub spool_dir: PathBuf,
}

/// Why the gateway cannot start; the text names the fix.
#[derive(Debug)]
pub struct Error(pub(crate) String);

/// The state of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: String,
    /// Calls reach it: its probes do not fail, and the circuit of its connections is not open.
    pub is_up: bool,
    /// Which calls it gets.
    pub drain: Drain,
    /// Calls in flight.
    pub in_flight: u32,
    /// Connections that failed since the last that did not.
    pub failures: u32,
    /// The last failure; empty if there was none.
    pub last_failure: String,
    /// Its key or token; none if it wants none.
    pub credential: Option<CredentialStatus>,
    /// The circuit of its connections.
    pub connections: CircuitStatus,
    /// The circuits of its deployments that are not closed, or whose last call failed.
    pub circuits: Vec<CircuitStatus>,
}

/// The state of what one backend is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialStatus {
    /// Home and name of its secret, or the identity whose token it is.
    pub source: String,
    /// It is at hand; without it the backend gets no calls.
    pub is_ready: bool,
    /// Why it could not be fetched the last time; empty if it could.
    pub trouble: String,
}

impl CredentialStatus {
    pub(crate) fn of(credential: &Credential) -> Self {
        Self {
            source: credential.source().to_owned(),
            is_ready: credential.header().is_some(),
            trouble: credential.trouble(),
        }
    }
}

/// The state of one circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CircuitStatus {
    /// Deployment; empty for calls that name none, and for connections.
    pub deployment: String,
    /// `closed`, `open`, `half_open` or `throttled`.
    pub state: &'static str,
    /// Milliseconds until calls pass again; none if they do.
    pub back_in_ms: Option<u64>,
    /// Failures since the last success.
    pub failures: u32,
}

impl CircuitStatus {
    pub(crate) fn of(lane: &Lane, now: Instant) -> Self {
        let breaker = lane.breaker();
        let state = breaker.state(now);
        let back_in = state.until().map(|until| until.saturating_duration_since(now));
        Self {
            deployment: lane.deployment.clone().unwrap_or_default(),
            state: state.name(),
            back_in_ms: back_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            failures: breaker.failures_in_a_row(),
        }
    }
}

/// The state of the gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Connections open.
    pub connections: u64,
    /// Connections refused since the start, since their address had too many.
    pub connections_refused: u64,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// Answers whose pieces are on their way.
    pub open_streams: u64,
    /// Requests received since the start.
    pub received: u64,
    /// Requests answered by the gateway itself since the start.
    pub refused: u64,
    /// The ledger takes records.
    pub ledger_serves: bool,
    /// Why it does not; empty if it does.
    pub ledger_reason: String,
    /// The backends.
    pub backends: Vec<BackendStatus>,
}

/// A running gateway.
pub struct Gateway {
    inner: Arc<Inner>,
    addresses: Vec<SocketAddr>,
    /// Of the listeners that speak TLS, by the address in the settings.
    certificates: Vec<(SocketAddr, Arc<ServerTls>)>,
}

/// What all exchanges share.
pub(crate) struct Inner {
    pub(crate) live: ArcSwap<Live>,
    /// Held while the settings are swapped: one reload at a time.
    reloading: Mutex<()>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) ledger: Ledger,
    pub(crate) limiter: Limiter,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) identity: identity::Verifier,
    pub(crate) objects: shared::Objects,
    pub(crate) security: SecurityLog,
    pub(crate) spool_dir: Arc<PathBuf>,
    pub(crate) counters: Counters,
    pub(crate) peers: Arc<Peers>,
    /// Exchanges, and what they started.
    pub(crate) tasks: TaskTracker,
    /// Listeners, connections and probes.
    pub(crate) doors: TaskTracker,
    /// Nothing new begins.
    pub(crate) stop: CancellationToken,
    /// What still runs ends.
    pub(crate) halt: CancellationToken,
}

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: Arc<AtomicU64>,
    connections_refused: AtomicU64,
    in_flight: Arc<AtomicU64>,
    open_streams: Arc<AtomicU64>,
    received: AtomicU64,
    refused: AtomicU64,
}

/// Counts one while it is held.
pub(crate) struct Counted(Arc<AtomicU64>);

impl Gateway {
    /// Binds the listeners and begins to serve.
    pub async fn start(wiring: Wiring) -> Result<Self, Error> {
        let live = Live::new(wiring.settings, &wiring.security, None)?;
        std::fs::create_dir_all(&wiring.spool_dir).map_err(|error| {
            Error(format!("cannot make the folder {}: {error}", wiring.spool_dir.display()))
        })?;
        let mut doors = Vec::new();
        for listener in &live.config.edge.listeners {
            let tls = listener.tls.as_ref().map(ServerTls::new).transpose()?.map(Arc::new);
            let bound = TcpListener::bind(listener.address).await.map_err(|error| {
                let address = listener.address;
                Error(format!("cannot listen on {address}: {error}; choose another address under edge.listeners"))
            })?;
            doors.push((bound, tls, Arc::new(listener.clone())));
        }
        let inner = Arc::new(Inner {
            live: ArcSwap::new(live.clone()),
            reloading: Mutex::new(()),
            catalogue: wiring.catalogue,
            ledger: wiring.ledger,
            limiter: wiring.limiter,
            tokenizer: Tokenizer::new(),
            identity: wiring.identity,
            objects: wiring.objects,
            security: wiring.security,
            spool_dir: Arc::new(wiring.spool_dir),
            counters: Counters::default(),
            peers: Arc::default(),
            tasks: TaskTracker::new(),
            doors: TaskTracker::new(),
            stop: CancellationToken::new(),
            halt: CancellationToken::new(),
        });
        let room = Arc::new(Semaphore::new(live.config.edge.connections_max.max(1) as usize));
        let mut addresses = Vec::new();
        let mut certificates = Vec::new();
        for (listener, tls, config) in doors {
            let address = listener.local_addr().map_err(|error| Error(error.to_string()))?;
            tracing::info!(%address, tls = tls.is_some(), "listening");
            addresses.push(address);
            certificates.extend(tls.clone().map(|tls| (config.address, tls)));
            let door = Door { gateway: inner.clone(), tls, listener: config };
            inner.doors.spawn(listener::accept(listener, door, room.clone()));
        }
        inner.watch_new(&live, None);
        let log = live.pool.log().clone();
        inner.doors.spawn(log.write(inner.ledger.clone(), inner.stop.child_token()));
        inner.doors.spawn(tell_standing(inner.clone()));
        Ok(Self { inner, addresses, certificates })
    }

    /// The addresses listened on, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// Swaps the settings: requests that have begun end with those they began with, later ones get
    /// the new ones. Settings that contradict themselves are refused and change nothing.
    pub fn reload(&self, settings: Settings) -> Result<(), Error> {
        let _turn = self.inner.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.inner.live.load_full();
        let live = Live::new(settings, &self.inner.security, Some(&before))?;
        let certificates = self.read_certificates(&live)?;
        self.inner.live.store(live.clone());
        for (tls, address, next) in certificates {
            tls.take(next);
            self.inner.tell_certificate(address);
        }
        self.inner.watch_new(&live, Some(&before));
        Ok(())
    }

    /// The certificates that changed, of listeners that stay where they are.
    fn read_certificates(&self, live: &Live) -> Result<Vec<(&ServerTls, SocketAddr, Next)>, Error> {
        let mut changed = Vec::new();
        for (address, tls) in &self.certificates {
            let listeners = &live.config.edge.listeners;
            let same = listeners.iter().find(|listener| listener.address == *address);
            if let Some(settings) = same.and_then(|listener| listener.tls.as_ref()) {
                changed.extend(tls.read_again(settings)?.map(|next| (&**tls, *address, next)));
            }
        }
        Ok(changed)
    }

    /// Sends a backend fewer calls, or none; those in flight finish. It holds until
    /// [`undrain`](Self::undrain), whatever is reloaded meanwhile, but not beyond a restart.
    pub fn drain(&self, id: &str, drain: Drain) -> Result<(), Error> {
        self.inner.live.load().pool.drain(id, drain)
    }

    /// Sends a backend its calls again.
    pub fn undrain(&self, id: &str) -> Result<(), Error> {
        self.inner.live.load().pool.drain(id, Drain::Undrained)
    }

    /// Answers health questions on another listener.
    pub fn health(&self) -> Health {
        Health { gateway: self.inner.clone(), metrics: None, parts: Vec::new() }
    }

    /// Accepts nothing new, lets what is in flight finish within the drain time, then ends. The
    /// ledger is to be closed after this.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.doors.close();
        inner.tasks.close();
        let finish = async {
            inner.doors.wait().await;
            inner.tasks.wait().await;
        };
        let drain = Duration::from_millis(inner.live.load().config.edge.drain_timeout_ms);
        if tokio::time::timeout(drain, finish).await.is_ok() {
            return;
        }
        let in_flight = inner.counters.in_flight.load(Ordering::Relaxed);
        tracing::warn!(in_flight, "the drain time is over, what is in flight is cut");
        inner.halt.cancel();
        inner.doors.wait().await;
        if tokio::time::timeout(LAST_RECORDS, inner.tasks.wait()).await.is_err() {
            tracing::warn!("some exchanges did not end; recovery will close them as interrupted");
        }
    }
}

impl Inner {
    /// Watches the backends that have come and lets those go that have left.
    fn watch_new(&self, live: &Live, before: Option<&Live>) {
        let old = before.map_or(&[][..], |live| live.pool.backends());
        let new = live.pool.backends();
        for backend in new.iter().filter(|b| !old.iter().any(|o| Arc::ptr_eq(o, b))) {
            self.doors.spawn(backend.clone().watch(self.stop.child_token()));
            self.doors.spawn(backend.clone().prove(self.stop.child_token()));
        }
        for backend in old.iter().filter(|b| !new.iter().any(|n| Arc::ptr_eq(n, b))) {
            backend.retired.cancel();
        }
    }

    fn tell_certificate(&self, address: SocketAddr) {
        tracing::info!(%address, "new connections get another certificate");
        self.security.note(SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: "certificate_reloaded".to_owned(),
            severity: "informational".to_owned(),
            target: address.to_string(),
            reason: "changed".to_owned(),
            region: self.live.load().config.region.clone(),
            ..SecurityEvent::default()
        });
    }

    pub(crate) fn status(&self) -> Status {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let ledger_reason = self.ledger_reason();
        Status {
            connections: count(&self.counters.connections),
            connections_refused: count(&self.counters.connections_refused),
            in_flight: count(&self.counters.in_flight),
            open_streams: count(&self.counters.open_streams),
            received: count(&self.counters.received),
            refused: count(&self.counters.refused),
            ledger_serves: ledger_reason.is_empty(),
            ledger_reason,
            backends: self.live.load().pool.status(Instant::now()),
        }
    }

    /// Why the ledger takes no records; empty if it does.
    pub(crate) fn ledger_reason(&self) -> String {
        match self.ledger.state() {
            State::Serving => String::new(),
            State::Poisoned { reason } => reason.to_string(),
            State::Closed => "it was closed".to_owned(),
        }
    }
}

impl Counters {
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    pub(crate) fn open_stream(&self) -> Counted {
        Counted::new(&self.open_streams)
    }
}

impl Counted {
    pub(crate) fn new(counter: &Arc<AtomicU64>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Notes how the backends stand, from time to time.
async fn tell_standing(gateway: Arc<Inner>) {
    loop {
        let interval = gateway.live.load().config.pool.health_interval_ms.max(100);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(interval)) => {}
            () = gateway.stop.cancelled() => return,
        }
        gateway.live.load().pool.note_standing(Instant::now());
    }
}

pub(crate) fn check(edge: &EdgeConfig) -> Result<(), Error> {
    if edge.listeners.is_empty() {
        return Err(Error("edge.listeners is empty: give at least one address".into()));
    }
    if !(8_192..=1 << 20).contains(&edge.head_bytes_max) {
        return Err(Error(format!(
            "edge.head_bytes_max is {}; it may be 8192 to 1048576",
            edge.head_bytes_max
        )));
    }
    for (name, value) in [
        ("header_count_max", u64::from(edge.header_count_max)),
        ("streams_max", u64::from(edge.streams_max)),
        ("connections_per_address_max", u64::from(edge.connections_per_address_max)),
        ("head_timeout_ms", edge.head_timeout_ms),
        ("idle_timeout_ms", edge.idle_timeout_ms),
        ("body_gap_timeout_ms", edge.body_gap_timeout_ms),
        ("answer_stall_timeout_ms", edge.answer_stall_timeout_ms),
    ] {
        if value == 0 {
            return Err(Error(format!("edge.{name} is 0: nothing could be served; give it more")));
        }
    }
    Ok(())
}

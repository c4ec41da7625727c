//! Starting, watching and stopping the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use event::{SecurityEvent, Timestamp};
use ledger::Ledger;
use openai::{Catalogue, Tokenizer};
use shared::{Limiter, SecurityLog};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acme::OrderedCertificates;
use crate::backend::standing::Drain;
use crate::connection::Door;
use crate::error::Error;
use crate::health::Health;
use crate::inner::{Counters, Inner};
use crate::listener;
use crate::live::{Live, Settings};
use crate::server_tls::{Next, ServerTls};
use crate::status::Status;

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
    /// Certificates that an authority issues while it runs; whoever made it orders them.
    pub ordered: OrderedCertificates,
}

/// A running gateway.
pub struct Gateway {
    inner: Arc<Inner>,
    /// Held while the settings are swapped: one reload at a time.
    reloading: Mutex<()>,
    addresses: Vec<SocketAddr>,
    /// Of the listeners that speak TLS, by the address in the settings.
    certificates: Vec<(SocketAddr, Arc<ServerTls>)>,
}

impl Gateway {
    /// Binds the listeners and begins to serve.
    pub async fn start(wiring: Wiring) -> Result<Self, Error> {
        let live = Live::new(wiring.settings, &wiring.security, None)?;
        std::fs::create_dir_all(&wiring.spool_dir).map_err(|error| {
            Error(format!("cannot make the folder {}: {error}", wiring.spool_dir.display()))
        })?;
        let mut doors = Vec::new();
        for listener in &live.config.edge.listeners {
            let new = |settings| ServerTls::new(settings, &wiring.ordered);
            let tls = listener.tls.as_ref().map(new).transpose()?.map(Arc::new);
            let bound = TcpListener::bind(listener.address).await.map_err(|error| {
                let address = listener.address;
                Error(format!("cannot listen on {address}: {error}; choose another address under edge.listeners"))
            })?;
            doors.push((bound, tls, Arc::new(listener.clone())));
        }
        let inner = Arc::new(Inner {
            live: ArcSwap::new(live.clone()),
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
        watch_new(&inner, &live, None);
        let log = live.pool.log().clone();
        inner.doors.spawn(log.write(inner.ledger.clone(), inner.stop.child_token()));
        inner.doors.spawn(tell_standing(inner.clone()));
        Ok(Self { inner, reloading: Mutex::new(()), addresses, certificates })
    }

    /// The addresses listened on, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// When the certificate of each listener that speaks TLS ends; none while it has none.
    pub fn certificates(&self) -> impl Iterator<Item = (SocketAddr, Option<SystemTime>)> + '_ {
        self.certificates.iter().map(|(address, tls)| (*address, tls.ends_at()))
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// Swaps the settings: requests that have begun end with those they began with, later ones get
    /// the new ones. Settings that contradict themselves are refused and change nothing.
    pub fn reload(&self, settings: Settings) -> Result<(), Error> {
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.inner.live.load_full();
        let live = Live::new(settings, &self.inner.security, Some(&before))?;
        let certificates = self.read_certificates(&live)?;
        self.inner.live.store(live.clone());
        for (tls, address, next) in certificates {
            tls.take(next);
            self.tell_certificate(address);
        }
        watch_new(&self.inner, &live, Some(&before));
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

    fn tell_certificate(&self, address: SocketAddr) {
        tracing::info!(%address, "new connections get another certificate");
        self.inner.security.note(SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: "certificate_reloaded".to_owned(),
            severity: "informational".to_owned(),
            target: address.to_string(),
            reason: "changed".to_owned(),
            region: self.inner.live.load().config.region.clone(),
            ..SecurityEvent::default()
        });
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

/// Watches the backends that have come and lets those go that have left.
fn watch_new(inner: &Inner, live: &Live, before: Option<&Live>) {
    let old = before.map_or(&[][..], |live| live.pool.backends());
    let new = live.pool.backends();
    for backend in new.iter().filter(|b| !old.iter().any(|o| Arc::ptr_eq(o, b))) {
        inner.doors.spawn(backend.clone().watch(inner.stop.child_token()));
        inner.doors.spawn(backend.clone().prove(inner.stop.child_token()));
    }
    for backend in old.iter().filter(|b| !new.iter().any(|n| Arc::ptr_eq(n, b))) {
        backend.retired.cancel();
    }
}

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

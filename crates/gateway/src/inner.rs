//! What all exchanges share, and what is counted of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use ledger::{Ledger, State};
use openai::{Catalogue, Tokenizer};
use shared::{Limiter, SecurityLog};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;
use crate::peers::Peers;
use crate::status::Status;

/// What all exchanges share.
pub(crate) struct Inner {
    pub(crate) live: ArcSwap<Live>,
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
    pub(crate) in_flight: Arc<AtomicU64>,
    open_streams: Arc<AtomicU64>,
    received: AtomicU64,
    refused: AtomicU64,
}

/// Counts one while it is held.
pub(crate) struct Counted(Arc<AtomicU64>);

impl Inner {
    /// How it stands.
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

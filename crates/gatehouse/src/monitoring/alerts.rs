//! Wiring of alerts: what they look at, where they go, who of several nodes looks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use kql::Engine;
use ledger::Ledger;
use monitor::{Lease, StateStore, Watcher, WatcherParts};
use shared::{LeasedText, Limiter};

use crate::clock::now;
use crate::config::Config;
use crate::parts::Parts;

/// How long another node waits for one that has died. Longer than any evaluation takes.
const LEASE: Duration = Duration::from_secs(120);

/// Where nodes that share Redis agree.
struct SharedState(LeasedText);

#[async_trait]
impl StateStore for SharedState {
    async fn lease(&self) -> Result<Lease, String> {
        let lease = self.0.take().await.map_err(|error| error.story())?;
        Ok(match lease {
            shared::Lease::Kept => Lease::Ours(None),
            shared::Lease::Taken(text) => Lease::Ours(text),
            shared::Lease::Theirs => Lease::Theirs,
        })
    }

    async fn keep(&self, state: &str) -> Result<bool, String> {
        self.0.keep(state).await.map_err(|error| error.story())
    }
}

/// Where nodes agree on who does this, if they share Redis.
pub(super) fn shared_state(
    config: &Config,
    parts: &Parts,
    (of, node): (&str, String),
    lease: Duration,
) -> anyhow::Result<Option<Box<dyn StateStore>>> {
    Ok(config.redis(&parts.security)?.map(|redis| {
        let text = LeasedText::new(redis, of, node, lease);
        Box::new(SharedState(text)) as Box<dyn StateStore>
    }))
}

/// Up to when the tables hold all that is recorded.
pub(super) fn complete_until(
    parts: &Arc<Parts>,
) -> impl Fn(Timestamp) -> Option<Timestamp> + Send + Sync + 'static {
    // The parts own whoever asks, so it does not own them.
    let (parts, last) = (Arc::downgrade(parts), Mutex::new(None));
    move |now: Timestamp| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.upgrade().is_some_and(|parts| parts.pipeline.lag() == 0) {
            *last = Some(now);
        }
        *last
    }
}

/// A watcher of this node's record. `node` is its name.
pub(crate) fn watcher(
    config: &Config,
    parts: &Arc<Parts>,
    engine: Arc<dyn Engine>,
    (ledger, limiter): (&Ledger, &Limiter),
    node: String,
) -> anyhow::Result<Watcher> {
    let store = shared_state(config, parts, ("alerts", node), LEASE)?;
    let look = {
        // The parts own the watcher, so it does not own them.
        let (parts, limiter) = (Arc::downgrade(parts), limiter.clone());
        let ledger = ledger.clone();
        move || {
            if let Some(parts) = parts.upgrade() {
                parts.monitoring.look(&parts, &ledger, &limiter);
            }
        }
    };
    let watcher_parts = WatcherParts {
        engine,
        ledger: ledger.clone(),
        metrics: parts.monitoring.metrics.clone(),
        look: Box::new(look),
        complete_until: Box::new(complete_until(parts)),
        state_file: state_file(config),
        store,
        now: Box::new(now),
    };
    let watcher = Watcher::open(
        watcher_parts,
        config.alerts.clone(),
        config.courier(&parts.security, &parts.vault)?,
    );
    watcher.map_err(|why| anyhow::anyhow!(why))
}

fn state_file(config: &Config) -> PathBuf {
    config.data_dir.join("alerts.json")
}

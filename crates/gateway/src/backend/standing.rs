//! What is known of a backend: whether it is up, drained, busy, and its circuits. It stays when the
//! settings are reloaded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use crate::backend::breaker::{Away, Breaker, Entry};
use crate::config::BreakerConfig;

/// Deployments of one backend with a circuit of their own; calls to further ones share one.
const LANES_MAX: usize = 1_024;

/// Time between two notes that one circuit is throttled or not any more.
const NOTE_GAP: Duration = Duration::from_secs(1);

/// Which calls a drained backend still gets. Calls in flight always finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// It is not drained: all.
    #[default]
    Undrained,
    /// Only those that no other backend can serve: about objects that live on it, and to its
    /// fine-tuned deployments.
    Balanced,
    /// None.
    Everything,
}

/// The standing of one backend.
#[derive(Default)]
pub(crate) struct Standing {
    in_flight: AtomicU32,
    /// Probes say that it is down.
    is_down: AtomicBool,
    drain: AtomicU8,
    connecting: Lane,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    last_failure: Mutex<String>,
    /// A connection has failed: the prober looks at once.
    pub(crate) suspicion: Notify,
}

/// A circuit: of one deployment, or of all connections to a backend.
#[derive(Default)]
pub(crate) struct Lane {
    /// Empty for calls that name none; none for the connections.
    pub(crate) deployment: Option<String>,
    breaker: Mutex<Breaker>,
    pace: Mutex<Pace>,
}

/// How often changes of one circuit are noted.
#[derive(Default)]
struct Pace {
    noted_at: Option<Instant>,
    unnoted: u64,
}

impl Drain {
    /// Its name in tables and status.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Undrained => "undrained",
            Self::Balanced => "balanced",
            Self::Everything => "everything",
        }
    }

    fn of_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Balanced,
            2 => Self::Everything,
            _ => Self::Undrained,
        }
    }
}

impl Standing {
    /// Connections to it.
    pub(crate) fn connecting(&self) -> &Lane {
        &self.connecting
    }

    /// The circuit of a deployment.
    pub(crate) fn lane(&self, deployment: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        let name =
            if lanes.len() < LANES_MAX || lanes.contains_key(deployment) { deployment } else { "" };
        if let Some(lane) = lanes.get(name) {
            return lane.clone();
        }
        let lane = Arc::new(Lane { deployment: Some(name.to_owned()), ..Lane::default() });
        lanes.insert(name.to_owned(), lane.clone());
        lane
    }

    /// All circuits of deployments.
    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).values().cloned().collect()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn takes_off(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lands(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// What probes say; true if they said otherwise before.
    pub(crate) fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Ordering::Relaxed) != is_down
    }

    pub(crate) fn drain(&self) -> Drain {
        Drain::of_byte(self.drain.load(Ordering::Relaxed))
    }

    /// Answers how it was drained before.
    pub(crate) fn set_drain(&self, drain: Drain) -> Drain {
        let byte = match drain {
            Drain::Undrained => 0,
            Drain::Balanced => 1,
            Drain::Everything => 2,
        };
        Drain::of_byte(self.drain.swap(byte, Ordering::Relaxed))
    }

    pub(crate) fn last_failure(&self) -> String {
        lock(&self.last_failure).clone()
    }

    pub(crate) fn set_last_failure(&self, why: &str) {
        why.clone_into(&mut lock(&self.last_failure));
    }

    /// Another service has its name now: what was known of the former says nothing of it.
    pub(crate) fn forget_health(&self) {
        self.set_down(false);
        self.set_last_failure("");
        self.connecting.breaker().close();
        for lane in self.lanes() {
            lane.breaker().close();
        }
    }
}

impl Lane {
    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        lock(&self.breaker)
    }

    pub(crate) fn check(&self, limits: &BreakerConfig, now: Instant) -> Result<(), Away> {
        self.breaker().check(limits, now)
    }

    /// Whether a change that may come often is noted now: then with how many others were not.
    pub(crate) fn is_noted(&self, now: Instant) -> Option<u64> {
        let mut pace = lock(&self.pace);
        if pace.noted_at.is_some_and(|at| now.saturating_duration_since(at) < NOTE_GAP) {
            pace.unnoted += 1;
            return None;
        }
        pace.noted_at = Some(now);
        Some(std::mem::take(&mut pace.unnoted))
    }

    pub(crate) fn abandon(&self, entry: Entry) {
        self.breaker().abandoned(entry);
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing that holds one of these locks can leave its value half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How many attempts a request has, and how long they may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::config::PoolConfig;

/// The attempts of one request: how many, where, and for how long.
pub(crate) struct Course {
    attempts: u32,
    attempts_max: u32,
    /// No attempt begins after this.
    ends_at: Instant,
    pub(crate) tried: Vec<Arc<Backend>>,
    /// What is left of the time to wait while no backend is available.
    patience: Duration,
    pause: Duration,
    pause_max: Duration,
}

impl Course {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        Self {
            attempts: 0,
            attempts_max: config.attempts_max.max(1),
            ends_at: Instant::now() + Duration::from_millis(config.attempts_budget_ms),
            tried: Vec::new(),
            patience: Duration::from_millis(config.wait_ms_max),
            pause: Duration::from_millis(config.retry_pause_ms),
            pause_max: Duration::from_millis(config.retry_pause_ms_max),
        }
    }

    /// Another attempt begins, at this backend: its number, from 1.
    pub(crate) fn begins(&mut self, backend: &Arc<Backend>) -> u32 {
        self.attempts += 1;
        self.tried.push(backend.clone());
        self.attempts
    }

    pub(crate) fn may_go_on(&self) -> bool {
        self.attempts < self.attempts_max && Instant::now() < self.ends_at
    }

    /// The pause before a backend is tried again; up to half of it is taken off by chance, so that
    /// callers that failed together do not come back together.
    pub(crate) fn next_pause(&mut self) -> Option<Duration> {
        let whole = self.pause.min(self.pause_max);
        self.pause = whole.saturating_mul(2);
        let pause = whole.mul_f64(rand::random_range(0.5..=1.0));
        (Instant::now() + pause < self.ends_at).then_some(pause)
    }

    /// The time to wait for a backend that comes back at a moment, if it is worth it.
    pub(crate) fn wait_until(&mut self, until: Instant, now: Instant) -> Option<Duration> {
        // A little later, and not all at the same moment.
        let wait = until.saturating_duration_since(now) + Duration::from_millis(1);
        let wait = wait.mul_f64(rand::random_range(1.0..=1.1));
        if wait > self.patience || (self.attempts > 0 && now + wait >= self.ends_at) {
            return None;
        }
        self.patience -= wait;
        Some(wait)
    }
}

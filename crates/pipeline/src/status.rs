//! What the pipeline says of itself.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What the pipeline is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It follows the ledger.
    #[default]
    Running,
    /// Something refused; it is tried again until it works, nothing is skipped.
    Retrying {
        /// What refused, fit for an administrator.
        reason: String,
    },
    /// It was stopped.
    Stopped,
}

/// How far the pipeline has come, and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Everything up to this sequence of the ledger has been read, and its rows written.
    pub applied: u64,
    /// Rows of `Interactions` written since the start.
    pub rows: u64,
    /// Rows of `Messages` written since the start.
    pub messages: u64,
    /// Interactions that have begun and not ended.
    pub open: u64,
    /// Bytes of bodies held in memory.
    pub memory_bytes: u64,
    /// Frames that could not be read, or belong to no interaction.
    pub damaged_frames: u64,
    /// Attempts to write that failed.
    pub failures: u64,
    /// The last failure, fit for an administrator; empty if there was none.
    pub last_failure: String,
}

/// A status that one thread changes and others read or wait for.
#[derive(Debug, Default)]
pub(crate) struct Board {
    status: Mutex<Status>,
    changed: Condvar,
}

impl Board {
    pub(crate) fn read(&self) -> Status {
        self.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `done`, or until the time is up; answers whether it is done.
    pub(crate) fn wait(&self, wait: Duration, done: impl Fn(&Status) -> bool) -> bool {
        let until = Instant::now() + wait;
        let mut status = self.lock();
        while !done(&status) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            status = match self.changed.wait_timeout(status, left) {
                Ok((status, _)) => status,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// A status is whole whatever panicked while it was locked: it has no invariant of its own.
    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

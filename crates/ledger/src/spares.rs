//! Files at hand that were written in advance, so that a change of segment waits for nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use crate::locks::LOCK;

/// A file that is ready to become a segment.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    /// Bytes of an earlier use stand in it.
    pub(crate) is_used: bool,
}

/// The spares at hand.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Spare>,
    /// Number of the newest spare; numbers are never used twice.
    number: u64,
    preparing: bool,
    /// An erasure is at work: files with bytes of an earlier use are not taken.
    fresh_only: bool,
}

impl Spares {
    pub(crate) fn new(ready: VecDeque<Spare>, number: u64) -> Self {
        let state = State { ready, number, preparing: false, fresh_only: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.state.lock().expect(LOCK).ready.len()
    }

    /// A number for a new spare.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.state.lock().expect(LOCK);
        state.number += 1;
        state.number
    }

    /// Adds a spare that is complete and durable.
    pub(crate) fn put(&self, spare: Spare) {
        self.state.lock().expect(LOCK).ready.push_back(spare);
        self.changed.notify_all();
    }

    /// Says that one is being prepared, or no longer.
    pub(crate) fn set_preparing(&self, preparing: bool) {
        self.state.lock().expect(LOCK).preparing = preparing;
        self.changed.notify_all();
    }

    /// Whether a file with bytes of an earlier use may become a spare.
    pub(crate) fn takes_used(&self) -> bool {
        !self.state.lock().expect(LOCK).fresh_only
    }

    /// From now on only files of zeros may become spares; answers the others that there were, to be removed.
    pub(crate) fn refuse_used(&self) -> VecDeque<Spare> {
        let mut state = self.state.lock().expect(LOCK);
        state.fresh_only = true;
        let (used, fresh) = state.ready.drain(..).partition(|spare| spare.is_used);
        state.ready = fresh;
        used
    }

    /// Ends what [`Spares::refuse_used`] began.
    pub(crate) fn admit_used(&self) {
        self.state.lock().expect(LOCK).fresh_only = false;
    }

    /// Takes a spare, waiting for one that is being prepared; none if there is none.
    pub(crate) fn take(&self) -> Option<Spare> {
        let state = self.state.lock().expect(LOCK);
        let wait = |state: &mut State| state.ready.is_empty() && state.preparing;
        self.changed.wait_while(state, wait).expect(LOCK).ready.pop_front()
    }
}

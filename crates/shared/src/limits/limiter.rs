//! Lets calls in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::Timestamp;
use policy::{Applied, Estimate, Exceeded};

use super::book::{Book, Refused};
use super::projection;
use super::{CounterState, Reservation};
use crate::{Error, Snapshot};

/// The counters of this node; clones share them.
#[derive(Clone)]
pub struct Limiter {
    book: Arc<Mutex<Book>>,
}

impl Limiter {
    /// Counters that begin at nothing.
    pub fn new() -> Self {
        Self { book: Arc::new(Mutex::new(Book::new(Vec::new(), false))) }
    }

    /// Counters as the snapshot has them, once the follower has brought it up to the ledger's end.
    pub fn load(snapshot: &Snapshot, now: Timestamp) -> Result<Self, Error> {
        let counters = projection::load(snapshot, now)?;
        Ok(Self { book: Arc::new(Mutex::new(Book::new(counters, false))) })
    }

    /// Sets aside what a call may need of all its limits, or nothing of any.
    pub async fn reserve(
        &self,
        applied: Vec<Applied>,
        estimate: &Estimate,
        now: Timestamp,
    ) -> Result<Reservation, Box<Exceeded>> {
        let reserved = self.book().reserve(&applied, estimate, now, false);
        match reserved {
            Ok(held) => Ok(Reservation::new(self.clone(), held, now)),
            Err(Refused::Exceeded(exceeded)) => Err(exceeded),
            Err(Refused::Shares(wanted)) => unreachable!("no shares, but {wanted:?}"),
        }
    }

    /// Every counter of which something counts.
    pub fn counters(&self, now: Timestamp) -> Vec<CounterState> {
        self.book().states(now)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

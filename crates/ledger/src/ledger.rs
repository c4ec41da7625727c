//! The handle: open, append, read, release, close.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Frame, InteractionId, Timestamp};
use tokio::sync::watch;

use crate::{Durability, Error, LedgerConfig};

/// The ledger of one folder; clones share it.
#[derive(Clone)]
pub struct Ledger;

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Interactions a crash had left open; each has got its `Closed` with outcome `interrupted`.
    pub interrupted: Vec<InteractionId>,
    /// Bytes of unfinished commits behind the last good one; none of them had been acknowledged.
    pub truncated_bytes: u64,
    /// Sequence of the last frame, those of `interrupted` included; 0 in a new ledger.
    pub last_sequence: u64,
    /// First sequence that can still be read.
    pub first_sequence: u64,
}

/// Whether the ledger takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Serving,
    /// A write or flush failed; a reopen is being tried, nothing is acknowledged meanwhile.
    Poisoned {
        /// What failed, fit for an administrator.
        reason: Arc<str>,
    },
    /// It was closed.
    Closed,
}

/// An append that was queued. Dropping it forgets the outcome, not the record.
#[must_use = "an append is kept only once `durable` says so"]
pub struct Commit;

impl Commit {
    /// Waits until the frames are kept as the configured [`Durability`] demands; answers the
    /// sequence of the last of them.
    pub async fn durable(self) -> Result<u64, Error> {
        todo!()
    }
}

/// A durable frame and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence: gapless, from 1.
    pub sequence: u64,
    /// What was appended.
    pub frame: Frame,
}

/// Reads durable frames in order, following the writer. Calls block.
pub struct Reader;

impl Reader {
    /// The next durable frame; waits up to `wait` for one, then answers none.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Entry>, Error> {
        let _ = wait;
        todo!()
    }
}

impl Ledger {
    /// Opens the ledger in `dir`, or starts one. Blocks; recovers what a crash left.
    pub fn open(
        dir: &Path,
        config: LedgerConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<(Self, Recovery), Error> {
        let _ = (dir, config, now);
        todo!()
    }

    /// Queues frames as one unit; waits only while the queue has no room.
    pub fn append<I: IntoIterator<Item = Frame>>(
        &self,
        frames: I,
    ) -> impl Future<Output = Result<Commit, Error>> + Send + use<'_, I> {
        let _ = frames.into_iter().count();
        async move { todo!() }
    }

    /// Queues frames if there is room at this moment; [`ErrorKind::Full`](crate::ErrorKind) if not.
    pub fn try_append(&self, frames: impl IntoIterator<Item = Frame>) -> Result<Commit, Error> {
        let _ = frames.into_iter().count();
        todo!()
    }

    /// The configured durability.
    pub fn durability(&self) -> Durability {
        todo!()
    }

    /// Whether it takes records.
    pub fn state(&self) -> State {
        todo!()
    }

    /// It takes records.
    pub fn ready(&self) -> bool {
        todo!()
    }

    /// Sequence of the last frame on disk, and its changes.
    pub fn durable(&self) -> watch::Receiver<u64> {
        todo!()
    }

    /// A reader that starts at this sequence.
    pub fn reader(&self, from_sequence: u64) -> Result<Reader, Error> {
        let _ = from_sequence;
        todo!()
    }

    /// No consumer needs frames below this sequence any more: whole segments of them are recycled
    /// once the retention rule lets go too. With several consumers, pass the lowest.
    pub fn release(&self, below: u64) {
        let _ = below;
        todo!()
    }

    /// Writes what is queued, flushes, and ends the threads. Appends fail from now on.
    pub async fn close(&self) -> Result<(), Error> {
        todo!()
    }
}

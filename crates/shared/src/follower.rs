//! Follows the ledger and applies its frames to the snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Frame, Kind};
use ledger::{Entry, Ledger, Reader};
use redb::WriteTransaction;

use crate::{Error, ErrorKind, Snapshot};

/// The ledger's name for this consumer.
const CONSUMER: &str = "shared";
/// With all read, the thread rests so long: nobody waits for it, and to be woken by every commit would
/// cost each call.
const REST: Duration = Duration::from_millis(20);
/// Frames wait this long for others to be applied with them.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// With nothing to apply the cursor still moves, so that a start reads little and segments go.
const CURSOR_INTERVAL: Duration = Duration::from_secs(10);
/// Most frames and bytes of them applied at once.
const BATCH_FRAMES_MAX: usize = 8192;
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Pauses after a failure; each doubles the one before.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// State made from the frames of the ledger, kept in tables of its own in the snapshot.
pub trait Projection: Send {
    /// Frames of these kinds are applied; the others are not even read.
    fn kinds(&self) -> &'static [Kind];

    /// Changes the tables as these frames say, which come in order and each in exactly one transaction
    /// that is committed. Called with none when the follower starts, so that the tables are made.
    /// An error rolls back and is tried again: what a frame says wrongly is to be passed over.
    fn apply(&mut self, frames: &[Entry], transaction: &WriteTransaction) -> Result<(), Error>;

    /// All up to and with this sequence is durable in the snapshot.
    fn committed(&mut self, sequence: u64);
}

/// The thread that follows.
pub struct Follower {
    ledger: Ledger,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// Somebody waits: what is at hand is applied now.
    hurry: AtomicBool,
    applied: AtomicU64,
    moved: Condvar,
    lock: Mutex<()>,
}

struct Worker {
    ledger: Ledger,
    snapshot: Arc<Snapshot>,
    projections: Vec<Box<dyn Projection>>,
    shared: Arc<Shared>,
    batch: Vec<Entry>,
    batch_bytes: usize,
    batch_since: Option<Instant>,
    /// First sequence that has not been read.
    next: u64,
    /// First sequence that is not in the snapshot.
    cursor: u64,
    moved_at: Instant,
}

impl Follower {
    /// Brings the snapshot up to the end of the ledger, then follows it in a thread. Blocks.
    pub fn start(
        ledger: &Ledger,
        snapshot: Arc<Snapshot>,
        projections: Vec<Box<dyn Projection>>,
    ) -> Result<Self, Error> {
        let cursor = snapshot.cursor()?;
        let end = *ledger.durable().borrow();
        if cursor > end + 1 {
            let text = format!(
                "the snapshot holds the ledger up to sequence {}, but that ends at {end}: it is not the \
                 ledger it was made from; put that one back, or move the snapshot away",
                cursor - 1
            );
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        ledger.release(CONSUMER, cursor);
        let shared = Arc::new(Shared::default());
        let mut worker = Worker {
            ledger: ledger.clone(),
            snapshot,
            projections,
            shared: shared.clone(),
            batch: Vec::new(),
            batch_bytes: 0,
            batch_since: None,
            next: cursor,
            cursor,
            moved_at: Instant::now(),
        };
        worker.catch_up(end)?;
        let thread = std::thread::Builder::new()
            .name("shared".into())
            .spawn(move || worker.run())
            .map_err(|source| {
                Error::new(ErrorKind::Io, "cannot start the thread that follows the ledger")
                    .with_source(source)
            })?;
        Ok(Self { ledger: ledger.clone(), shared, thread: Some(thread) })
    }

    /// The last sequence in the snapshot.
    pub fn applied(&self) -> u64 {
        self.shared.applied.load(Ordering::Acquire)
    }

    /// Waits until all that is durable at this moment is in the snapshot; false if the time is up first.
    pub fn settle(&self, wait: Duration) -> bool {
        let target = *self.ledger.durable().borrow();
        self.shared.hurry.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        let held = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.moved.wait_timeout_while(held, wait, |()| self.applied() < target);
        self.shared.hurry.store(false, Ordering::Release);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// Applies what is in the ledger, and ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!(
                "the thread that follows the ledger panicked; the next start catches up"
            );
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

impl Worker {
    fn catch_up(&mut self, end: u64) -> Result<(), Error> {
        self.commit()?;
        let mut reader = self.reader()?;
        while self.next <= end && self.step(&mut reader)? {
            if self.is_due() {
                self.commit()?;
            }
        }
        self.commit()
    }

    /// Follows until told to stop; after a failure, from where the snapshot stands.
    fn run(mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let before = self.cursor;
            let followed = catch_unwind(AssertUnwindSafe(|| self.follow())).unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "a projection of the ledger panicked"))
            });
            let Err(error) = followed else { return };
            tracing::warn!(
                reason = error.story(),
                "the ledger cannot be followed; it is tried again"
            );
            if self.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            if self.cursor > before {
                pause = RETRY_PAUSE_MIN;
            }
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
            if let Err(error) = self.rewind() {
                tracing::warn!(reason = error.story(), "the snapshot cannot be opened");
            }
        }
    }

    fn follow(&mut self) -> Result<(), Error> {
        let mut reader = self.reader()?;
        loop {
            let is_stopping = self.shared.stopping.load(Ordering::Acquire);
            let found = self.step(&mut reader)?;
            if self.is_due() || (is_stopping && !found) {
                self.commit()?;
            }
            if found {
                continue;
            }
            if self.batch.is_empty() {
                self.report();
            }
            if is_stopping {
                return Ok(());
            }
            std::thread::park_timeout(REST);
        }
    }

    /// Takes one frame; false if there was none.
    fn step(&mut self, reader: &mut Reader) -> Result<bool, Error> {
        let found = reader.next(Duration::ZERO);
        self.next = reader.position();
        match found {
            Ok(Some(entry)) => self.take(entry),
            Ok(None) => return Ok(false),
            // One frame that only a newer version can read; the reader has gone past it.
            Err(error) if error.kind() == ledger::ErrorKind::Invalid => {}
            Err(error) => return Err(Error::ledger(error)),
        }
        Ok(true)
    }

    fn take(&mut self, entry: Entry) {
        let Frame { interaction, kind, ref payload } = entry.frame;
        // A copy: the original would keep the whole commit that it came in.
        let payload = Bytes::copy_from_slice(payload);
        self.batch_bytes += payload.len();
        self.batch_since.get_or_insert_with(Instant::now);
        let frame = Frame { interaction, kind, payload };
        self.batch.push(Entry { frame, ..entry });
    }

    fn is_due(&self) -> bool {
        match self.batch_since {
            Some(since) => {
                self.shared.hurry.load(Ordering::Acquire)
                    || since.elapsed() >= COMMIT_INTERVAL
                    || self.batch.len() >= BATCH_FRAMES_MAX
                    || self.batch_bytes >= BATCH_BYTES_MAX
            }
            None => self.next > self.cursor && self.moved_at.elapsed() >= CURSOR_INTERVAL,
        }
    }

    /// Applies the batch and moves the cursor behind it, in one transaction.
    fn commit(&mut self) -> Result<(), Error> {
        let (batch, projections) = (&self.batch, &mut self.projections);
        self.snapshot.write(self.next, |transaction| {
            for projection in projections.iter_mut() {
                let wanted: Vec<Entry> = batch
                    .iter()
                    .filter(|entry| projection.kinds().contains(&entry.frame.kind))
                    .cloned()
                    .collect();
                projection.apply(&wanted, transaction)?;
            }
            Ok(())
        })?;
        self.cursor = self.next;
        self.forget_batch();
        let applied = self.cursor.saturating_sub(1);
        for projection in &mut self.projections {
            projection.committed(applied);
        }
        self.ledger.release(CONSUMER, self.cursor);
        self.report();
        Ok(())
    }

    /// Nothing pending, all that was read is in the snapshot or means nothing to it.
    fn report(&self) {
        let applied = self.next.saturating_sub(1);
        if applied > self.shared.applied.load(Ordering::Acquire) {
            let held = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.applied.store(applied, Ordering::Release);
            drop(held);
            self.shared.moved.notify_all();
        }
    }

    fn forget_batch(&mut self) {
        self.batch.clear();
        self.batch_bytes = 0;
        self.batch_since = None;
        self.moved_at = Instant::now();
    }

    /// Begins again where the file says: a commit that was reported as failed may be in it.
    fn rewind(&mut self) -> Result<(), Error> {
        self.snapshot.reopen()?;
        self.cursor = self.snapshot.cursor()?;
        self.next = self.cursor;
        self.forget_batch();
        Ok(())
    }

    fn reader(&self) -> Result<Reader, Error> {
        let reader = match self.ledger.reader(self.next) {
            Err(error) if error.kind() == ledger::ErrorKind::Released => {
                tracing::error!(%error, "records were given up before the snapshot had them");
                self.ledger.reader(0)
            }
            reader => reader,
        };
        let kinds: Vec<_> = self.projections.iter().flat_map(|one| one.kinds()).copied().collect();
        Ok(reader.map_err(Error::ledger)?.only(&kinds))
    }
}

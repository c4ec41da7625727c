//! What is open, what is in memory, and what is written next.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use event::{Batch, Cursor, Timestamp};

use crate::blobs::Blobs;
use crate::extent::{Extents, TABLE_COUNT, TABLES};
use crate::files::Files;
use crate::given_up::GivenUp;
use crate::manifest::Manifest;
use crate::snapshot::{Snapshot, TableView};
use crate::tail::{Chunks, Rows, Tail};
use crate::{Error, ErrorKind, StoreConfig};

/// What the store, its thread and its readers have in common.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) config: ArcSwap<StoreConfig>,
    pub(crate) manifest: Manifest,
    pub(crate) erased_up_to: AtomicU64,
    /// By the table's index.
    pub(crate) given_up: Mutex<[GivenUp; TABLE_COUNT]>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) files: Arc<Files>,
    pub(crate) state: Mutex<State>,
    /// Held for a whole seal.
    pub(crate) sealing: Mutex<()>,
    /// Held while extents are merged or given up. Taken before `sealing`, never after.
    pub(crate) maintaining: Mutex<Remembered>,
    /// Blobs and their bytes on disk as of the last sweep; none before it.
    pub(crate) blob_totals: Mutex<Option<(u64, u64)>>,
    /// When that sweep was.
    pub(crate) swept_at: Mutex<Option<Timestamp>>,
    pub(crate) next_extent_id: AtomicU64,
    pub(crate) is_closed: AtomicBool,
    pub(crate) wishes: Mutex<Wishes>,
    pub(crate) wake: Condvar,
}

/// What rounds of merging remember. Nothing of it outlives the process.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// Extents from this id on have come since the last round.
    pub(crate) first_new: u64,
    /// Extents that could not be merged; there are never more of them than extents.
    pub(crate) unmergeable: BTreeSet<u64>,
}

impl Remembered {
    /// At the start, all that is there has been there for long.
    pub(crate) fn new(next_extent_id: u64) -> Self {
        Self { first_new: next_extent_id, unmergeable: BTreeSet::new() }
    }
}

/// All that a snapshot is made from. Its lock is never held while a file is read or written.
pub(crate) struct State {
    pub(crate) tail: Tail,
    /// Rows on their way to disk.
    pub(crate) sealing: Arc<Chunks>,
    pub(crate) sealing_bytes: usize,
    pub(crate) extents: Arc<Extents>,
    /// The cursor after the last batch.
    pub(crate) cursor: Cursor,
    /// The cursor in the manifest.
    pub(crate) durable: Cursor,
}

/// What the thread is asked to do.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) seal: bool,
    pub(crate) stop: bool,
}

/// Takes a lock. A thread that panicked while holding it left valid data: it is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn refuse_if_closed(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the store was closed: open it again"));
        }
        Ok(())
    }

    /// Takes a batch into memory. With no room there, it first seals; if that fails, nothing of the
    /// batch was taken.
    pub(crate) fn write(&self, batch: &Batch) -> Result<(), Error> {
        self.refuse_if_closed()?;
        let made = self.blobs.made();
        let rows = Rows::new(batch)?;
        while !self.push(&rows) {
            self.seal()?;
        }
        self.blobs.are_named(made);
        Ok(())
    }

    fn push(&self, rows: &Rows) -> bool {
        let config = self.config.load();
        let mut state = lock(&self.state);
        let held = state.tail.bytes + state.sealing_bytes;
        if held > 0 && (held + rows.bytes) as u64 > config.tail_bytes_max {
            return false;
        }
        state.tail.push(rows, Instant::now());
        state.cursor = rows.cursor;
        let is_due = state.tail.bytes as u64 >= config.seal_bytes
            || state.tail.rows_max() as u64 >= config.seal_rows;
        drop(state);
        if is_due {
            lock(&self.wishes).seal = true;
            self.wake.notify_all();
        }
        true
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut state = lock(&self.state);
        let tail = state.tail.chunks();
        let (sealing, extents) = (state.sealing.clone(), state.extents.clone());
        drop(state);
        let mut tables = Vec::with_capacity(TABLES.len());
        for (index, newest) in tail.into_iter().enumerate() {
            let mut chunks = sealing[index].clone();
            chunks.extend(newest);
            tables.push(Arc::new(TableView { chunks, extents: extents.tables[index].clone() }));
        }
        Snapshot::new(tables, self.files.clone(), self.blobs.clone())
    }

    pub(crate) fn next_extent_id(&self) -> u64 {
        self.next_extent_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The upkeep is to end soon.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.wishes).stop
    }

    /// True once the rows in memory have waited long enough.
    pub(crate) fn is_seal_due(&self) -> bool {
        let state = lock(&self.state);
        state.tail.since.is_some_and(|since| since.elapsed() >= self.config.load().seal_age())
    }
}

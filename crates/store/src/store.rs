//! The store itself: what is open, what is written, who cleans up.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use datafusion::catalog::TableProvider;
use event::{Batch, BlobWriter, Cursor, InteractionId, Sink, SinkError, Timestamp};

use crate::blobs::{BlobReader, Blobs, Text};
use crate::compact::Merge;
use crate::extent::{Extent, Extents, index_of};
use crate::files::Files;
use crate::given_up::GivenUp;
use crate::manifest::{Change, Manifest};
use crate::provider::StoredTable;
use crate::retain::Maintenance;
use crate::shared::{Remembered, Shared, State, lock};
use crate::snapshot::Snapshot;
use crate::tail::Tail;
use crate::{Erasure, Error, ErrorKind, StoreConfig, disk};

/// After a seal that failed, the next is tried this much later.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The tables, open for writing and reading. One process at a time has a folder open.
///
/// [`close`](Store::close) writes what is in memory; a store that is only dropped does not, and the
/// pipeline writes those rows again.
pub struct Store {
    shared: Arc<Shared>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in a folder, which is made if it is missing. Removes what a crash left
    /// half-written and what is older than the retention at `now`, and starts the upkeep.
    pub fn open(folder: &Path, config: StoreConfig, now: Timestamp) -> Result<Arc<Self>, Error> {
        config.validate()?;
        disk::create_folder(folder)?;
        let folder = folder
            .canonicalize()
            .map_err(|error| Error::io("resolve the folder", folder, error))?;
        let (manifest, contents) = Manifest::open(folder.join("manifest.redb"))?;
        disk::sync_folder(&folder)?;
        let extents: Vec<_> =
            contents.extents.into_iter().map(|record| Extent::new(&folder, record)).collect();
        check_files(&extents)?;
        remove_orphans(&folder, &extents)?;
        let last_id = extents.iter().map(|extent| extent.record.id).max().unwrap_or(0);
        let state = State {
            tail: Tail::new(),
            sealing: Arc::default(),
            sealing_bytes: 0,
            extents: Arc::new(Extents::default().changed(&[], &extents)),
            cursor: contents.cursor,
            durable: contents.cursor,
        };
        let shared = Arc::new(Shared {
            blobs: Blobs::open(folder.join("blobs"))?,
            files: Files::new(config.metadata_cache_bytes),
            folder,
            config: ArcSwap::from_pointee(config),
            manifest,
            erased_up_to: AtomicU64::new(contents.erased_up_to),
            given_up: Mutex::new(contents.given_up),
            state: Mutex::new(state),
            sealing: Mutex::new(()),
            maintaining: Mutex::new(Remembered::new(last_id + 1)),
            blob_totals: Mutex::new(None),
            swept_at: Mutex::new(None),
            next_extent_id: AtomicU64::new(last_id + 1),
            is_closed: AtomicBool::new(false),
            wishes: Mutex::default(),
            wake: Condvar::new(),
        });
        shared.give_up_old_days(now)?;
        let upkeep = spawn_upkeep(&shared)?;
        Ok(Arc::new(Self { shared, upkeep: Mutex::new(Some(upkeep)) }))
    }

    /// Goes on with other settings; all but `metadata_cache_bytes` take effect at once.
    pub fn reconfigure(&self, config: StoreConfig) -> Result<(), Error> {
        config.validate()?;
        self.shared.config.store(Arc::new(config));
        Ok(())
    }

    /// Writes the rows in memory to disk; [`durable_cursor`](Sink::durable_cursor) passes them.
    pub fn seal(&self) -> Result<(), Error> {
        self.shared.seal()
    }

    /// Gives up what is too old or too much, and merges small extents. The upkeep does it
    /// by itself, with days once they get no more.
    pub fn maintain(&self, now: Timestamp) -> Result<Maintenance, Error> {
        self.shared.maintain(now, Merge::All)
    }

    /// Takes the content of these interactions out of all tables, for good: what was said, headers and
    /// what cites them. Who called, when, tokens, cost and sizes stay, and `IsContentErased` says so.
    ///
    /// Blocking, as long as the disk needs. Interactions without a row yet are not waited for. It may be
    /// ordered again: what is erased stays so, what a crash or an error left is done. A file that
    /// cannot be written anew is an error that names it, after all others are done. Files that are
    /// given up go when their last reader does.
    pub fn erase(&self, interactions: &BTreeSet<InteractionId>) -> Result<Erasure, Error> {
        self.shared.erase(interactions)
    }

    /// Orders to erase up to this sequence of the ledger are carried out.
    pub fn erased_up_to(&self) -> u64 {
        self.shared.erased_up_to.load(Ordering::Acquire)
    }

    /// Keeps that orders to erase up to this sequence of the ledger are carried out.
    pub fn note_erased(&self, up_to: u64) -> Result<(), Error> {
        if up_to <= self.erased_up_to() {
            return Ok(());
        }
        let change = Change { erased_up_to: Some(up_to), ..Change::default() };
        self.shared.manifest.commit(&change).map_err(|failed| failed.error)?;
        self.shared.erased_up_to.store(up_to, Ordering::Release);
        Ok(())
    }

    /// Up to where rows of a table may be gone by now.
    pub fn given_up(&self, table: &str) -> Result<GivenUp, Error> {
        Ok(lock(&self.shared.given_up)[index_of(table)?])
    }

    /// A view of all tables at one moment.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// A table for DataFusion; every scan sees the rows of its moment. For several tables at one
    /// moment, take them from one [`snapshot`](Store::snapshot).
    pub fn provider(&self, table: &str) -> Result<Arc<dyn TableProvider>, Error> {
        let index = index_of(table)?;
        Ok(Arc::new(StoredTable::live(index, self.shared.clone())))
    }

    /// The text of a blob, at most `limit_bytes` of it. The hash is checked when all of it is read.
    pub fn read_text(&self, sha256: &str, limit_bytes: usize) -> Result<Text, Error> {
        self.shared.blobs.read_text(sha256, limit_bytes)
    }

    /// Opens a blob to be read as a stream.
    pub fn open_blob(&self, sha256: &str) -> Result<BlobReader, Error> {
        self.shared.blobs.reader(sha256)
    }

    /// Stops the upkeep and writes the rows in memory. Writes fail afterwards; reading goes on.
    pub fn close(&self) -> Result<(), Error> {
        self.shared.is_closed.store(true, Ordering::Release);
        self.stop_upkeep();
        self.shared.seal()
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    pub(crate) fn blob_totals(&self) -> Option<(u64, u64)> {
        *lock(&self.shared.blob_totals)
    }

    fn stop_upkeep(&self) {
        lock(&self.shared.wishes).stop = true;
        self.shared.wake.notify_all();
        if let Some(thread) = lock(&self.upkeep).take()
            && thread.join().is_err()
        {
            tracing::error!("the upkeep of the store panicked");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop_upkeep();
    }
}

impl Sink for Store {
    fn durable_cursor(&self) -> Cursor {
        lock(&self.shared.state).durable
    }

    fn write(&self, batch: &Batch) -> Result<(), SinkError> {
        Ok(self.shared.write(batch)?)
    }

    fn blob(&self) -> Result<Box<dyn BlobWriter>, SinkError> {
        self.shared.refuse_if_closed()?;
        Ok(Box::new(self.shared.blobs.writer()?))
    }
}

/// Every extent of the manifest must be there, in its length.
fn check_files(extents: &[Arc<Extent>]) -> Result<(), Error> {
    for extent in extents {
        let found = extent.path.metadata().map(|metadata| metadata.len());
        if found.as_ref().ok() == Some(&extent.record.bytes) {
            continue;
        }
        let state = found.map_or("missing".to_owned(), |bytes| format!("{bytes} bytes long"));
        let text = format!(
            "extent {} is {state}, it should have {} bytes: restore it, or move the store's folder \
             away so that the tables are rebuilt from the ledger",
            extent.path.display(),
            extent.record.bytes
        );
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(())
}

/// Removes extents that the manifest does not know: a crash came before their transaction, or after
/// the one that gave them up.
fn remove_orphans(folder: &Path, extents: &[Arc<Extent>]) -> Result<(), Error> {
    let known: HashSet<_> = extents.iter().map(|extent| extent.path.as_path()).collect();
    for table in disk::entries(&folder.join("tables"))? {
        for day in disk::entries(&table.path())? {
            let mut is_empty = true;
            for file in disk::entries(&day.path())? {
                let path = file.path();
                if known.contains(path.as_path()) {
                    is_empty = false;
                } else {
                    disk::remove_file(&path)?;
                    tracing::info!(path = %path.display(), "removed an unfinished extent");
                }
            }
            if is_empty && let Err(error) = std::fs::remove_dir(day.path()) {
                tracing::debug!(%error, "an empty day folder stays");
            }
        }
    }
    Ok(())
}

fn spawn_upkeep(shared: &Arc<Shared>) -> Result<JoinHandle<()>, Error> {
    let shared = shared.clone();
    std::thread::Builder::new().name("store-upkeep".into()).spawn(move || shared.keep_up()).map_err(
        |error| Error::new(ErrorKind::Io, "cannot start the upkeep thread").with_source(error),
    )
}

impl Shared {
    /// Seals and maintains until told to stop.
    fn keep_up(&self) {
        let mut maintained_at = Instant::now();
        let mut retry_at = Instant::now();
        loop {
            let config = self.config.load_full();
            let interval = config.maintain_interval();
            let look_every = config.seal_age().min(interval).min(Duration::from_secs(1));
            let mut wishes = lock(&self.wishes);
            if !wishes.stop && !wishes.seal {
                let waited = self.wake.wait_timeout(wishes, look_every);
                wishes = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if wishes.stop {
                return;
            }
            let is_wished = std::mem::take(&mut wishes.seal);
            drop(wishes);
            let now = Instant::now();
            if (is_wished || self.is_seal_due())
                && now >= retry_at
                && let Err(error) = self.seal()
            {
                retry_at = now + RETRY_AFTER;
                tracing::warn!(%error, kind = ?error.kind(), "rows stay in memory");
            }
            if now.saturating_duration_since(maintained_at) >= interval {
                maintained_at = now;
                if let Err(error) = self.maintain(SystemTime::now().into(), Merge::AtRest) {
                    tracing::warn!(%error, kind = ?error.kind(), "the upkeep of the store failed");
                }
            }
        }
    }
}

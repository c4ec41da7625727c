//! The handle: open, append, read, release, close.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use event::{Frame, InteractionId, LedgerCheckpoint, Note, Record, Timestamp};
use tokio::sync::watch;

use crate::appender::Appender;
use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::erase::{self, Erased};
use crate::folder::{self, Files, FolderLock};
use crate::keeper;
use crate::locks::LOCK;
use crate::picked::Picked;
use crate::queue::{Commit, Frames, Queue};
use crate::random;
use crate::reader::Reader;
use crate::real_disk::RealDisk;
use crate::recent::Recent;
use crate::recovery::{self, Found, Recovery};
use crate::shared::{Bell, Counters, Progress, Shared};
use crate::signing::SigningKey;
use crate::spares::{Spare, Spares};
use crate::writer::Writer;
use crate::{Durability, Error, ErrorKind, LedgerConfig};

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

/// Figures about a ledger; counts are since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Last durable sequence.
    pub durable_sequence: u64,
    /// Bytes that wait for the disk.
    pub queued_bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Bytes of the segments in use, the unwritten part of the last one included.
    pub segment_bytes: u64,
    /// Segments written in advance.
    pub spare_segments: u64,
    /// Frames written.
    pub frames: u64,
    /// Commits written.
    pub commits: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes written.
    pub stored_bytes: u64,
    /// Flushes.
    pub syncs: u64,
    /// Microseconds spent in flushes.
    pub sync_micros: u64,
    /// Times that a write or flush failed.
    pub failures: u64,
}

/// The ledger of one folder; clones share it. The folder is let go when the last one is dropped.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Let go after both threads have ended.
    _lock: FolderLock,
}

impl Ledger {
    /// Opens the ledger in `dir`, or starts one. Blocks; recovers what a crash left.
    pub fn open(
        dir: &Path,
        config: LedgerConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<(Self, Recovery), Error> {
        Self::open_on(Arc::new(RealDisk), dir, config, now)
    }

    /// As [`Ledger::open`], on a file system of the caller's, such as [`crate::fault::FaultyDisk`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: LedgerConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<(Self, Recovery), Error> {
        config.validate()?;
        folder::create(dir)?;
        let lock = FolderLock::take(dir)?;
        let files = Files::list(dir)?;
        let found = recovery::find(disk.as_ref(), dir, &files, now())?;
        let spares = keep_spares(disk.as_ref(), &files, &config)?;
        let Found { head, segments, tail } = found;
        let position = tail.as_ref().map(|tail| tail.end).unwrap_or_default();
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            disk,
            now: Arc::new(now),
            ledger: head.head().ledger,
            queue: Queue::new(config.queue_bytes_max),
            progress: Progress::new(position),
            recent: Recent::default(),
            picked: Picked::default(),
            state: watch::Sender::new(State::Serving),
            segments: Mutex::new(segments),
            spares,
            erasing: Mutex::default(),
            segment_due: AtomicBool::new(false),
            askers: Mutex::default(),
            head: Mutex::new(head),
            released: Mutex::default(),
            checkpointed: AtomicU64::new(0),
            keeper: Bell::default(),
            counters: Counters::default(),
            config,
        });
        let (appender, recovery) = recovery::resume(&shared, tail)?;
        say_opened(&shared, &recovery);
        let threads = Threads::start(&shared, appender, lock)?;
        let inner = Inner { shared, threads: Mutex::new(Some(threads)) };
        Ok((Self { inner: Arc::new(inner) }, recovery))
    }

    /// Queues frames as one unit, at most 16 MiB: they are written together, in this order. Waits
    /// only while the queue has no room.
    pub fn append<I: IntoIterator<Item = Frame>>(
        &self,
        frames: I,
    ) -> impl Future<Output = Result<Commit, Error>> + Send + use<'_, I> {
        let frames: Frames = frames.into_iter().collect();
        self.shared().queue.append(frames)
    }

    /// Queues frames for which nobody waits, such as pieces of a body, if there is room at this moment;
    /// [`ErrorKind::Full`] if not. They are written with the next append, or after 5 ms at the latest.
    pub fn try_append_unawaited(
        &self,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), Error> {
        self.shared().queue.try_append_unawaited(frames.into_iter().collect())
    }

    /// The configured durability.
    pub fn durability(&self) -> Durability {
        self.shared().config.durability
    }

    /// Whether it takes records.
    pub fn state(&self) -> State {
        self.shared().state.borrow().clone()
    }

    /// Whether it takes records, and every change of that.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared().state.subscribe()
    }

    /// It takes records.
    pub fn ready(&self) -> bool {
        matches!(&*self.shared().state.borrow(), State::Serving)
    }

    /// How often the ledger has failed since it was opened. Whoever drops [`Commit`]s compares it
    /// before the `Closed` with what it was at the `Opened`: if it has risen, frames in between may
    /// be lost, and the outcome must say so.
    pub fn failures(&self) -> u64 {
        self.shared().counters.failures.load(Ordering::Acquire)
    }

    /// Sequence of the last frame on disk, and its changes.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared().progress.watch()
    }

    /// A reader that starts at this sequence; 0 stands for the first that is still kept.
    pub fn reader(&self, from_sequence: u64) -> Result<Reader, Error> {
        Reader::new(Arc::clone(self.shared()), from_sequence)
    }

    /// This consumer needs no frames below this sequence any more: whole segments that no consumer
    /// needs are recycled once the retention rule lets go too. Every consumer says 0 before it
    /// begins, so that the others do not release what it still has to read. A crash forgets it.
    pub fn release(&self, consumer: &'static str, below: u64) {
        let mut released = self.shared().released.lock().expect(LOCK);
        let own = released.entry(consumer).or_default();
        *own = below.max(*own);
        drop(released);
        self.shared().keeper.ring();
    }

    /// Which of these interactions have begun and not ended, on disk or on the way there.
    pub fn open_among(
        &self,
        interactions: &HashSet<InteractionId>,
    ) -> Result<HashSet<InteractionId>, Error> {
        let open = erase::open(self.shared())?;
        Ok(interactions.intersection(&open).copied().collect())
    }

    /// Takes what these interactions said, every frame whose kind [holds content](event::Kind::is_content), out
    /// of the files: a hash stays in the place of each payload, so the chain holds and every signature with
    /// it. They must have ended: what is recorded later stays. Blocks, and reads the whole ledger, until `stop`
    /// says so. An order ([`event::Erasure`]) must be on disk before, or `verify` finds what nobody ordered.
    /// What failed or was cut short can be repeated; a damaged segment is named once all others are done.
    pub fn erase(
        &self,
        interactions: &HashSet<InteractionId>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Erased, Error> {
        erase::erase(self.shared(), interactions, stop)
    }

    /// Signs how far the ledger is on disk, and records that. There is nothing to be done, and no row, if only
    /// an earlier checkpoint has come since.
    pub async fn checkpoint(&self, key: &SigningKey) -> Result<Option<LedgerCheckpoint>, Error> {
        let shared = self.shared();
        let position = shared.progress.position();
        if position.sequence <= shared.checkpointed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let signed_at = (shared.now)();
        let row = Checkpoint { ledger: shared.ledger, position, signed_at }.sign(key);
        let id =
            InteractionId::mint(signed_at, random::identity()[..10].try_into().expect("10 of 16"));
        let frame = Record::Note(Box::new(Note::LedgerCheckpoint(row.clone()))).encode(id);
        let sequence = self.append([frame]).await?.durable().await?;
        shared.checkpointed.store(sequence, Ordering::Relaxed);
        Ok(Some(row))
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let counters = &shared.counters;
        let segments = shared.segments.lock().expect(LOCK);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            durable_sequence: shared.progress.position().sequence,
            queued_bytes: shared.queue.bytes(),
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|segment| segment.segment_bytes).sum(),
            spare_segments: shared.spares.count() as u64,
            frames: read(&counters.frames),
            commits: read(&counters.commits),
            raw_bytes: read(&counters.raw_bytes),
            stored_bytes: read(&counters.stored_bytes),
            syncs: read(&counters.syncs),
            sync_micros: read(&counters.sync_micros),
            failures: read(&counters.failures),
        }
    }

    /// Writes what is queued, flushes, and lets the folder go. Appends fail from now on. An error
    /// says that the ledger was poisoned, so that its last appends were failed.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared().queue.close();
        self.shared().keeper.end();
        let threads = self.inner.threads.lock().expect(LOCK).take();
        if let Some(threads) = threads {
            let joined = tokio::task::spawn_blocking(move || threads.join()).await;
            joined.map_err(|_| Error::new(ErrorKind::Closed, "the ledger's writer panicked"))?;
        }
        match self.state() {
            State::Poisoned { reason } => Err(Error::new(ErrorKind::Poisoned, reason)),
            _ => Ok(()),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("dir", &self.shared().dir)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The last handle gone, the threads end as after [`Ledger::close`].
impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.keeper.end();
        let threads = self.threads.lock().map(|mut threads| threads.take());
        if let Ok(Some(threads)) = threads {
            threads.join();
        }
    }
}

impl Threads {
    fn start(shared: &Arc<Shared>, appender: Appender, lock: FolderLock) -> Result<Self, Error> {
        let failed = |error| Error::io("start the threads of", &shared.dir, error);
        let keeper = std::thread::Builder::new().name("ledger-keeper".into());
        let of_keeper = Arc::clone(shared);
        let keeper = keeper.spawn(move || keeper::run(&of_keeper)).map_err(failed)?;
        let writer = Writer::new(Arc::clone(shared), appender);
        let named = std::thread::Builder::new().name("ledger-writer".into());
        let writer = named.spawn(move || writer.run()).map_err(|error| {
            shared.keeper.end();
            failed(error)
        })?;
        Ok(Self { writer, keeper, _lock: lock })
    }

    fn join(self) {
        for (name, thread) in [("keeper", self.keeper), ("writer", self.writer)] {
            if thread.join().is_err() {
                tracing::error!(thread = name, "a thread of the ledger panicked");
            }
        }
    }
}

/// Keeps as many usable spares as configured, and removes what else lies about.
fn keep_spares(disk: &dyn Disk, files: &Files, config: &LedgerConfig) -> Result<Spares, Error> {
    let mut ready = VecDeque::new();
    let mut number = 0;
    for path in files.spares.iter().chain(&files.unfinished) {
        number = number.max(number_of(path));
        let finished = files.spares.contains(path);
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let wanted = ready.len() < config.spare_segments as usize;
        if finished && wanted && bytes == config.segment_bytes {
            ready.push_back(Spare { path: path.clone(), is_used: true });
        } else {
            disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
        }
    }
    Ok(Spares::new(ready, number))
}

fn number_of(path: &Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or(0)
}

fn say_opened(shared: &Shared, recovery: &Recovery) {
    let Recovery { truncated_bytes, first_sequence, last_sequence, .. } = *recovery;
    let interrupted = recovery.interrupted.len();
    let dir: &PathBuf = &shared.dir;
    let dir = dir.display();
    tracing::info!(%dir, first_sequence, last_sequence, interrupted, "ledger opened");
    if truncated_bytes > 0 {
        tracing::warn!(
            truncated_bytes,
            "an unfinished commit was cut off; none had been acknowledged"
        );
    }
    if shared.config.durability == Durability::Relaxed {
        let interval_ms = shared.config.relaxed_interval_ms;
        tracing::warn!(
            interval_ms,
            "durability is relaxed: records are flushed on a timer, a power cut can lose one interval"
        );
    }
}

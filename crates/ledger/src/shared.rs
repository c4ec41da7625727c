//! What the handles, the writer, the keeper and the readers share.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use event::{InteractionId, Timestamp};
use tokio::sync::watch;

use crate::disk::{Disk, DiskFile};
use crate::format::{Position, SegmentHeader};
use crate::head::HeadFile;
use crate::locks::LOCK;
use crate::picked::Picked;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::spares::Spares;
use crate::{Durability, LedgerConfig, State};

/// Is told what is open.
pub(crate) type Asker = SyncSender<HashSet<InteractionId>>;

/// Tells the time.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// See the module.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) config: LedgerConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) now: Clock,
    pub(crate) ledger: [u8; 16],
    pub(crate) queue: Queue,
    pub(crate) progress: Progress,
    pub(crate) recent: Recent,
    pub(crate) picked: Picked,
    pub(crate) state: watch::Sender<State>,
    /// Segments in use, oldest first; the last one is being written. Bounded by retention.
    pub(crate) segments: Mutex<Vec<Segment>>,
    pub(crate) spares: Spares,
    /// Whoever erases holds it.
    pub(crate) erasing: Mutex<()>,
    /// The writer is asked to begin a new segment.
    pub(crate) segment_due: AtomicBool,
    /// Who wants to know from the writer what is open.
    pub(crate) askers: Mutex<Vec<Asker>>,
    pub(crate) head: Mutex<HeadFile>,
    /// First sequence that each consumer still needs.
    pub(crate) released: Mutex<BTreeMap<&'static str, u64>>,
    /// Sequence of the last checkpoint's own frame.
    pub(crate) checkpointed: AtomicU64,
    pub(crate) keeper: Bell,
    pub(crate) counters: Counters,
}

impl Shared {
    /// Opens a segment to be written on: past the system's cache where every commit is synced.
    pub(crate) fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        match self.config.durability {
            Durability::Relaxed => self.disk.open(path),
            Durability::Strict | Durability::Overlap => self.disk.open_direct(path),
        }
    }
}

/// A segment in use.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) epoch: u64,
    pub(crate) salt: u64,
    pub(crate) first_sequence: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) created_at: Timestamp,
    /// Offset of its first commit.
    pub(crate) body_at: u64,
    /// Bytes of an earlier use may stand behind its end.
    pub(crate) is_used: bool,
}

impl Segment {
    pub(crate) fn new(path: PathBuf, header: &SegmentHeader, is_used: bool) -> Self {
        Self {
            path,
            epoch: header.epoch,
            salt: header.salt,
            first_sequence: header.first_sequence(),
            segment_bytes: header.segment_bytes,
            created_at: header.created_at,
            body_at: header.bytes(),
            is_used,
        }
    }
}

/// How far the ledger is durable, for those who wait with and without blocking.
#[derive(Debug)]
pub(crate) struct Progress {
    durable: Mutex<Durable>,
    changed: Condvar,
    watch: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Durable {
    position: Position,
    ended: bool,
    /// Threads that wait: only then a wake, which is a call to the kernel, is worth it.
    waiting: u32,
}

impl Progress {
    pub(crate) fn new(position: Position) -> Self {
        Self {
            durable: Mutex::new(Durable { position, ended: false, waiting: 0 }),
            changed: Condvar::new(),
            watch: watch::Sender::new(position.sequence),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.durable.lock().expect(LOCK).position
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.watch.subscribe()
    }

    pub(crate) fn advance(&self, position: Position) {
        let mut durable = self.durable.lock().expect(LOCK);
        durable.position = position;
        let is_awaited = durable.waiting > 0;
        drop(durable);
        if is_awaited {
            self.changed.notify_all();
        }
        self.watch.send_replace(position.sequence);
    }

    /// Nothing will advance any more.
    pub(crate) fn end(&self) {
        self.durable.lock().expect(LOCK).ended = true;
        self.changed.notify_all();
    }

    /// Waits until `sequence` is durable; false if it is not in time, or never will be.
    pub(crate) fn wait_for(&self, sequence: u64, wait: Duration) -> bool {
        let mut durable = self.durable.lock().expect(LOCK);
        let short = |durable: &mut Durable| durable.position.sequence < sequence && !durable.ended;
        if short(&mut durable) && !wait.is_zero() {
            durable.waiting += 1;
            durable = self.changed.wait_timeout_while(durable, wait, short).expect(LOCK).0;
            durable.waiting -= 1;
        }
        durable.position.sequence >= sequence
    }
}

/// Wakes the keeper.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    work: bool,
    end: bool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.lock().expect(LOCK).work = true;
        self.changed.notify_one();
    }

    pub(crate) fn end(&self) {
        self.rung.lock().expect(LOCK).end = true;
        self.changed.notify_one();
    }

    pub(crate) fn ended(&self) -> bool {
        self.rung.lock().expect(LOCK).end
    }

    /// Waits for work or the interval; false once the end has come.
    pub(crate) fn wait(&self, interval: Duration) -> bool {
        let rung = self.rung.lock().expect(LOCK);
        let idle = |rung: &mut Rung| !rung.work && !rung.end;
        let mut rung = self.changed.wait_timeout_while(rung, interval, idle).expect(LOCK).0;
        rung.work = false;
        !rung.end
    }
}

/// Counts since the ledger was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) raw_bytes: AtomicU64,
    pub(crate) stored_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, value: u64) {
        counter.fetch_add(value, Ordering::Relaxed);
    }
}

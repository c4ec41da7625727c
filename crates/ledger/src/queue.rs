//! The queue between those who append and the one who writes; bounded in bytes.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use event::Frame;
use smallvec::SmallVec;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, oneshot};

use crate::format::{APPEND_BYTES_MAX, frame_bytes};
use crate::{Error, ErrorKind};

/// Frames of one append; the usual few need no allocation.
pub(crate) type Frames = SmallVec<[Frame; 4]>;

/// How long appends that nobody waits for wait for company, and how many bytes of them.
const COMPANY: Duration = Duration::from_millis(5);
const COMPANY_BYTES: usize = 256 << 10;

const LOCK: &str = "nothing panics while it holds the queue";

/// An append that was queued. Dropping it forgets the outcome, not the record.
#[must_use = "an append is kept only once `durable` says so"]
#[derive(Debug)]
pub struct Commit {
    done: oneshot::Receiver<Result<u64, Error>>,
}

impl Commit {
    /// Waits until the frames are kept as the configured [`Durability`](crate::Durability) demands;
    /// answers the sequence of the last of them.
    pub async fn durable(self) -> Result<u64, Error> {
        self.done.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// One append on its way to the disk.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) frames: Frames,
    /// Its part of the queue's bytes, given back once it is written or failed.
    pub(crate) cost: u32,
    /// None if nobody waits for it.
    pub(crate) done: Option<oneshot::Sender<Result<u64, Error>>>,
}

/// What the writer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Nothing,
    Any,
    /// So many appends that somebody waits for, or [`COMPANY_BYTES`] of others.
    Awaited(usize),
}

/// How long the writer lets appends gather once somebody waits for one: until so many are waited for, or the
/// time since it came to take them is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gather {
    pub(crate) appends: usize,
    pub(crate) patience: Duration,
}

/// What the writer got from [`Queue::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Work,
    Idle,
    Closing,
}

#[derive(Debug, Default)]
struct Waiting {
    appends: Vec<Append>,
    /// How many of them somebody waits for.
    awaited: usize,
    bytes: usize,
    /// Why appends are refused at this moment.
    refusal: Option<Error>,
    closing: bool,
    /// The writer is to come, though nothing may wait.
    nudged: bool,
    writer_waits_for: Wish,
}

impl Waiting {
    fn fulfils(&self, wish: Wish) -> bool {
        match wish {
            Wish::Nothing => false,
            Wish::Any => !self.appends.is_empty(),
            Wish::Awaited(count) => self.awaited >= count || self.bytes >= COMPANY_BYTES,
        }
    }

    fn take(&mut self) -> Vec<Append> {
        (self.awaited, self.bytes) = (0, 0);
        std::mem::take(&mut self.appends)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    work: Condvar,
    room: Semaphore,
    bytes_max: u32,
}

impl Queue {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let bytes_max = u32::try_from(bytes_max).expect("the configuration allows at most 2 GiB");
        Self {
            waiting: Mutex::default(),
            work: Condvar::new(),
            room: Semaphore::new(bytes_max as usize),
            bytes_max,
        }
    }

    /// Queues frames, waiting for room.
    pub(crate) async fn append(&self, frames: Frames) -> Result<Commit, Error> {
        let cost = self.cost(&frames)?;
        let permit = match self.room.try_acquire_many(cost) {
            Ok(permit) => permit,
            Err(_) => self.room.acquire_many(cost).await.map_err(|_| closed())?,
        };
        let (done, commit) = oneshot::channel();
        self.push(Append { frames, cost, done: Some(done) }, permit)?;
        Ok(Commit { done: commit })
    }

    /// Queues frames for which nobody waits, if there is room.
    pub(crate) fn try_append_unawaited(&self, frames: Frames) -> Result<(), Error> {
        let cost = self.cost(&frames)?;
        let permit = self.room.try_acquire_many(cost).map_err(|error| match error {
            TryAcquireError::NoPermits => {
                Error::new(ErrorKind::Full, "the ledger's queue has no room at this moment")
            }
            TryAcquireError::Closed => closed(),
        })?;
        self.push(Append { frames, cost, done: None }, permit)
    }

    fn cost(&self, frames: &Frames) -> Result<u32, Error> {
        let bytes: usize = frames.iter().map(frame_bytes).sum();
        if frames.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "an append needs at least one frame"));
        }
        if bytes > APPEND_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("an append of {bytes} bytes is more than the {APPEND_BYTES_MAX} allowed"),
            ));
        }
        // An append larger than the whole queue waits until it has the queue to itself.
        Ok(u32::try_from(bytes).map_or(self.bytes_max, |bytes| bytes.min(self.bytes_max)))
    }

    fn push(&self, append: Append, permit: SemaphorePermit<'_>) -> Result<(), Error> {
        let wake = {
            let mut waiting = self.lock();
            if let Some(refusal) = &waiting.refusal {
                return Err(refusal.clone());
            }
            waiting.awaited += usize::from(append.done.is_some());
            waiting.bytes += append.cost as usize;
            waiting.appends.push(append);
            let wake = waiting.fulfils(waiting.writer_waits_for);
            if wake {
                waiting.writer_waits_for = Wish::Nothing;
            }
            wake
        };
        permit.forget();
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Moves all that waits into `appends` (which must be empty), waiting up to `wait` for some.
    pub(crate) fn take(&self, appends: &mut Vec<Append>, wait: Duration, gather: Gather) -> Taken {
        let mut began = Instant::now();
        let mut waiting = self.wait_for(self.lock(), Wish::Any, wait);
        waiting.nudged = false;
        if waiting.appends.is_empty() {
            return if waiting.closing { Taken::Closing } else { Taken::Idle };
        }
        if waiting.awaited == 0 {
            waiting = self.wait_for(waiting, Wish::Awaited(1), COMPANY);
            began = Instant::now();
        }
        if waiting.awaited > 0 {
            let left = gather.patience.saturating_sub(began.elapsed());
            waiting = self.wait_for(waiting, Wish::Awaited(gather.appends), left);
        }
        std::mem::swap(&mut waiting.appends, appends);
        (waiting.awaited, waiting.bytes) = (0, 0);
        Taken::Work
    }

    fn wait_for<'a>(
        &self,
        mut waiting: MutexGuard<'a, Waiting>,
        wish: Wish,
        wait: Duration,
    ) -> MutexGuard<'a, Waiting> {
        let lacks =
            |waiting: &mut Waiting| !waiting.fulfils(wish) && !waiting.closing && !waiting.nudged;
        if lacks(&mut waiting) && !wait.is_zero() {
            waiting.writer_waits_for = wish;
            waiting = self.work.wait_timeout_while(waiting, wait, lacks).expect(LOCK).0;
            waiting.writer_waits_for = Wish::Nothing;
        }
        waiting
    }

    /// Makes the writer look at what is due beside appends.
    pub(crate) fn nudge(&self) {
        self.lock().nudged = true;
        self.work.notify_one();
    }

    /// Waits for the moment of a new try, or until the ledger is being closed (then true).
    pub(crate) fn pause(&self, wait: Duration) -> bool {
        let waiting = self.lock();
        self.work
            .wait_timeout_while(waiting, wait, |waiting| !waiting.closing)
            .expect(LOCK)
            .0
            .closing
    }

    /// Gives room back.
    pub(crate) fn give_back(&self, cost: usize) {
        self.room.add_permits(cost);
    }

    /// Bytes that wait or are being written.
    pub(crate) fn bytes(&self) -> u64 {
        (self.bytes_max as usize).saturating_sub(self.room.available_permits()) as u64
    }

    /// Refuses appends from now on, and fails those that wait.
    pub(crate) fn refuse(&self, error: &Error) {
        let failed = {
            let mut waiting = self.lock();
            waiting.refusal = Some(error.clone());
            waiting.take()
        };
        for append in failed {
            self.give_back(append.cost as usize);
            tell(append.done, Err(error.clone()));
        }
    }

    /// Takes appends again, unless the ledger is being closed.
    pub(crate) fn admit(&self) {
        let mut waiting = self.lock();
        if !waiting.closing {
            waiting.refusal = None;
        }
    }

    /// Refuses appends for good; the writer still gets those that wait.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closing = true;
        waiting.refusal.get_or_insert_with(closed);
        drop(waiting);
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect(LOCK)
    }
}

/// Tells whoever waits for an append what became of it.
pub(crate) fn tell(done: Option<oneshot::Sender<Result<u64, Error>>>, outcome: Result<u64, Error>) {
    if let Some(done) = done {
        // Dropping a `Commit` forgets the outcome.
        let _ = done.send(outcome);
    }
}

/// The error of whoever comes after the end.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the ledger is closed")
}

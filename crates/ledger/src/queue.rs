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
    pub(crate) done: oneshot::Sender<Result<u64, Error>>,
}

/// How long the writer lets appends gather once there is one: until so many wait, or the time since it
/// came to take them is over.
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
    /// Why appends are refused at this moment.
    refusal: Option<Error>,
    closing: bool,
    /// The writer waits for so many appends; 0: it does not wait.
    writer_waits_for: usize,
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
        match self.room.try_acquire_many(cost) {
            Ok(permit) => self.push(frames, cost, permit),
            Err(_) => {
                let permit = self.room.acquire_many(cost).await.map_err(|_| closed())?;
                self.push(frames, cost, permit)
            }
        }
    }

    /// Queues frames if there is room.
    pub(crate) fn try_append(&self, frames: Frames) -> Result<Commit, Error> {
        let cost = self.cost(&frames)?;
        let permit = self.room.try_acquire_many(cost).map_err(|error| match error {
            TryAcquireError::NoPermits => {
                Error::new(ErrorKind::Full, "the ledger's queue has no room at this moment")
            }
            TryAcquireError::Closed => closed(),
        })?;
        self.push(frames, cost, permit)
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

    fn push(
        &self,
        frames: Frames,
        cost: u32,
        permit: SemaphorePermit<'_>,
    ) -> Result<Commit, Error> {
        let (done, commit) = oneshot::channel();
        let wake = {
            let mut waiting = self.lock();
            if let Some(refusal) = &waiting.refusal {
                return Err(refusal.clone());
            }
            waiting.appends.push(Append { frames, cost, done });
            let wake = (1..=waiting.appends.len()).contains(&waiting.writer_waits_for);
            if wake {
                waiting.writer_waits_for = 0;
            }
            wake
        };
        permit.forget();
        if wake {
            self.work.notify_one();
        }
        Ok(Commit { done: commit })
    }

    /// Moves all that waits into `appends` (which must be empty), waiting up to `wait` for some.
    pub(crate) fn take(&self, appends: &mut Vec<Append>, wait: Duration, gather: Gather) -> Taken {
        let began = Instant::now();
        let mut waiting = self.wait_for(self.lock(), 1, wait);
        if !waiting.appends.is_empty() {
            let left = gather.patience.saturating_sub(began.elapsed());
            waiting = self.wait_for(waiting, gather.appends, left);
            std::mem::swap(&mut waiting.appends, appends);
            return Taken::Work;
        }
        if waiting.closing { Taken::Closing } else { Taken::Idle }
    }

    fn wait_for<'a>(
        &self,
        mut waiting: MutexGuard<'a, Waiting>,
        count: usize,
        wait: Duration,
    ) -> MutexGuard<'a, Waiting> {
        let few = |waiting: &mut Waiting| waiting.appends.len() < count && !waiting.closing;
        if few(&mut waiting) && !wait.is_zero() {
            waiting.writer_waits_for = count;
            waiting = self.work.wait_timeout_while(waiting, wait, few).expect(LOCK).0;
            waiting.writer_waits_for = 0;
        }
        waiting
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
            std::mem::take(&mut waiting.appends)
        };
        for append in failed {
            self.give_back(append.cost as usize);
            let _ = append.done.send(Err(error.clone()));
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

/// The error of whoever comes after the end.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the ledger is closed")
}

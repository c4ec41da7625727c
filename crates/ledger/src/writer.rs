//! The writer thread: takes what waits, writes it, syncs once, wakes all who wait for it.
//!
//! While one group is being synced the next one gathers, so the group grows with the load. Where
//! appends come fast, the writer also waits for the moment in which as many come as came last, so that
//! one wake, one write and one sync serve them all; a lone append that somebody waits for never waits for
//! a timer. Those that nobody waits for go with the next that somebody does, or by themselves a moment later.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::appender::{Appender, poisoned};
use crate::format::frame_bytes;
use crate::locks::LOCK;
use crate::queue::{Append, Gather, Taken, closed, tell};
use crate::shared::{Counters, Shared};
use crate::{Durability, Error, State};

/// A commit takes further appends up to this size.
const COMMIT_BYTES: usize = 1 << 20;
/// A group of commits is synced once it has this size, even if more waits.
const GROUP_BYTES: usize = 4 << 20;
/// Longest wait for work: the time between two looks at the age of the segment.
const IDLE: Duration = Duration::from_secs(10);
/// First and longest wait between two tries to reopen.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The writer thread's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    appender: Appender,
    pace: Pace,
    /// Taken from the queue, not written yet. Bounded with the queue: its room is not given back.
    pending: VecDeque<Append>,
    /// Written, or being written, not acknowledged yet.
    unresolved: VecDeque<Unresolved>,
}

struct Unresolved {
    last_sequence: u64,
    cost: u32,
    done: Option<oneshot::Sender<Result<u64, Error>>>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, appender: Appender) -> Self {
        Self {
            shared,
            appender,
            pace: Pace::new(),
            pending: VecDeque::new(),
            unresolved: VecDeque::new(),
        }
    }

    /// The thread's life: until the ledger is closed and all that was queued is dealt with.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _end = End(&shared);
        let mut taken = Vec::new();
        loop {
            let wait = self.wait();
            let step = match shared.queue.take(&mut taken, wait, self.pace.gather()) {
                Taken::Work => {
                    let awaited = taken.iter().filter(|append| append.done.is_some()).count();
                    self.pace.note(awaited, Instant::now());
                    self.pending.extend(taken.drain(..));
                    self.write_pending().map(|()| self.tell_what_is_open())
                }
                Taken::Idle => self.tick(),
                Taken::Closing => break,
            };
            if let Err(error) = step
                && !self.recover(&error)
            {
                return;
            }
        }
        match self.appender.sync() {
            Ok(()) => self.note_clean_end(),
            Err(error) => self.poison(&error),
        }
    }

    fn is_relaxed(&self) -> bool {
        self.shared.config.durability == Durability::Relaxed
    }

    /// How long to wait for work before something else is due.
    fn wait(&self) -> Duration {
        let interval = self.shared.config.relaxed_interval();
        self.appender.unsynced_for().map_or(IDLE, |since| interval.saturating_sub(since))
    }

    fn tick(&mut self) -> Result<(), Error> {
        self.tell_what_is_open();
        self.appender.sync()?;
        if self.appender.is_over() { self.appender.rotate(0) } else { Ok(()) }
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        while !self.pending.is_empty() {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), Error> {
        let mut bytes = 0;
        while bytes < GROUP_BYTES && !self.pending.is_empty() {
            bytes += self.write_commit()?;
        }
        let due = match self.appender.unsynced_for() {
            Some(since) if self.is_relaxed() => since >= self.shared.config.relaxed_interval(),
            _ => true,
        };
        if due {
            self.appender.sync()?;
        }
        self.resolve();
        Ok(())
    }

    /// Writes as many appends as make a commit, whole ones only; answers their bytes.
    fn write_commit(&mut self) -> Result<usize, Error> {
        let mut bytes = 0;
        self.appender.begin();
        while let Some(append) = self.pending.front() {
            let size: usize = append.frames.iter().map(frame_bytes).sum();
            if bytes > 0 && bytes + size > COMMIT_BYTES {
                break;
            }
            bytes += size;
            let append = self.pending.pop_front().expect("there is a front");
            let mut last_sequence = 0;
            for frame in &append.frames {
                last_sequence = self.appender.push(frame);
            }
            let Append { cost, done, .. } = append;
            self.unresolved.push_back(Unresolved { last_sequence, cost, done });
        }
        self.appender.write()?;
        Ok(bytes)
    }

    /// Answers whoever asked what is open as of what was taken from the queue.
    fn tell_what_is_open(&self) {
        let mut askers = self.shared.askers.lock().expect(LOCK);
        if askers.is_empty() {
            return;
        }
        let open: HashSet<_> = self.appender.open_interactions().keys().copied().collect();
        for asker in askers.drain(..) {
            // Whoever asked may have given up.
            let _ = asker.try_send(open.clone());
        }
    }

    /// Acknowledges what is kept as the configuration demands.
    fn resolve(&mut self) {
        let kept =
            if self.is_relaxed() { self.appender.written() } else { self.appender.durable() };
        let is_kept = |append: &&Unresolved| append.last_sequence <= kept.sequence;
        let count = self.unresolved.iter().take_while(is_kept).count();
        let room = self.unresolved.iter().take(count).map(|append| append.cost as usize).sum();
        self.shared.queue.give_back(room);
        for Unresolved { last_sequence, done, .. } in self.unresolved.drain(..count) {
            tell(done, Ok(last_sequence));
        }
    }

    /// Refuses service and tries to reopen until it succeeds; false if the ledger was closed
    /// meanwhile.
    fn recover(&mut self, error: &Error) -> bool {
        self.poison(error);
        let mut wait = RETRY_MIN;
        loop {
            if self.shared.queue.pause(wait) {
                return false;
            }
            match self.appender.reopen() {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(reason = %error.reason(), "the ledger could not be reopened");
                    self.shared.state.send_replace(State::Poisoned { reason: error.reason() });
                }
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
        tracing::info!("the ledger records again");
        self.shared.queue.admit();
        self.shared.state.send_replace(State::Serving);
        true
    }

    /// Fails all that is not acknowledged and all that will come. What a change of segment made
    /// durable before the failure is acknowledged first.
    fn poison(&mut self, error: &Error) {
        tracing::error!(reason = %error.reason(), "the ledger cannot record; service stops");
        Counters::add(&self.shared.counters.failures, 1);
        self.resolve();
        let refusal = poisoned(error);
        self.shared.state.send_replace(State::Poisoned { reason: error.reason() });
        self.shared.queue.refuse(&refusal);
        let mut room = 0;
        let unresolved = self.unresolved.drain(..).map(|append| (append.cost, append.done));
        let pending = self.pending.drain(..).map(|append| (append.cost, append.done));
        for (cost, done) in unresolved.chain(pending) {
            room += cost as usize;
            tell(done, Err(refusal.clone()));
        }
        self.shared.queue.give_back(room);
    }

    /// Notes that the ledger ends here on purpose, so that a missing end is seen.
    fn note_clean_end(&self) {
        let durable = self.appender.durable();
        let written_at = (self.shared.now)();
        let mut head = self.shared.head.lock().expect(LOCK);
        let noted = head.write_both(|head| {
            head.durable = durable;
            head.clean = true;
            head.written_at = written_at;
        });
        if let Err(error) = noted {
            tracing::warn!(reason = %error.reason(), "the end of the ledger could not be noted");
        }
    }
}

/// How fast appends come that somebody waits for, and so whether it pays to wait for more of them.
struct Pace {
    /// Mean time between two appends of late.
    gap: Duration,
    /// Appends of the last group.
    last: usize,
    seen_at: Option<Instant>,
}

impl Pace {
    /// It pays where so many appends come within the longest wait.
    const FEW: u32 = 4;
    /// The wait is as long as so many appends take to come, and no longer than the other.
    const MANY: u32 = 12;
    const PATIENCE_MAX: Duration = Duration::from_millis(1);

    fn new() -> Self {
        Self { gap: Self::PATIENCE_MAX, last: 0, seen_at: None }
    }

    fn note(&mut self, appends: usize, now: Instant) {
        if appends == 0 {
            return;
        }
        let passed = self.seen_at.map_or(Self::PATIENCE_MAX, |seen_at| now.duration_since(seen_at));
        self.seen_at = Some(now);
        self.last = appends;
        let count = u32::try_from(appends).unwrap_or(u32::MAX);
        // One long pause ends the waiting at once; many short gaps bring it back.
        self.gap = (self.gap * 7 + passed / count) / 8;
    }

    /// One append after the other is a caller that waits for each: then there is nothing to wait for.
    fn gather(&self) -> Gather {
        if self.last < 2 || self.gap * Self::FEW > Self::PATIENCE_MAX {
            return Gather::default();
        }
        let patience = (self.gap * Self::MANY).min(Self::PATIENCE_MAX);
        Gather { appends: self.last, patience }
    }
}

/// Whatever ends the thread, nobody waits for it in vain.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.refuse(&closed());
        if !matches!(&*self.0.state.borrow(), State::Poisoned { .. }) {
            self.0.state.send_replace(State::Closed);
        }
        self.0.progress.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(appends: usize, gap: Duration) -> Pace {
        let start = Instant::now();
        let mut pace = Pace::new();
        for group in 0..50 {
            pace.note(appends, start + gap * group);
        }
        pace
    }

    #[test]
    fn the_writer_waits_only_where_appends_come_fast_and_together() {
        let none = Gather::default();
        assert_eq!(paced(1, Duration::from_micros(100)).gather(), none, "a lone caller");
        assert_eq!(paced(2, Duration::from_millis(1)).gather(), none, "slow ones");
        let gather = paced(4, Duration::from_micros(200)).gather();
        assert_eq!(gather.appends, 4);
        let patience = Duration::from_micros(600)..Duration::from_micros(640);
        assert!(patience.contains(&gather.patience), "{gather:?}");
        let gather = paced(4, Duration::from_micros(800)).gather();
        assert_eq!(gather.patience, Pace::PATIENCE_MAX);
    }

    #[test]
    fn one_pause_ends_the_waiting() {
        let mut pace = paced(4, Duration::from_micros(400));
        pace.note(4, Instant::now() + Duration::from_secs(1));
        assert_eq!(pace.gather(), Gather::default());
    }
}

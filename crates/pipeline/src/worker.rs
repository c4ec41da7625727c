//! The pipeline's thread: read, assemble, write, and begin again from the last cursor when
//! something refuses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Batch, Cursor};
use ledger::{Entry, Ledger, Reader};

use crate::assemble::Assembler;
use crate::billed::Billed;
use crate::depot::Depot;
use crate::ended::Whole;
use crate::enrich::{Enricher, Rows};
use crate::row;
use crate::shared::Shared;
use crate::{Error, ErrorKind, State};

/// How long the thread waits for a frame before it looks whether it shall stop.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Rest once all was read, so that one wake serves many commits. The longer one would, where much comes, let more
/// come than the ledger holds in memory.
const REST: Duration = Duration::from_millis(5);
const LONG_REST: Duration = Duration::from_millis(20);
/// Most frames in a millisecond for the longer rest.
const FEW_FRAMES: u128 = 8;
/// How long a thread that shall stop goes on with what is already in the ledger.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// First pause after a failure; each further one doubles it.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);

/// The thread's own state.
pub(crate) struct Worker {
    ledger: Ledger,
    line: Line,
    released: u64,
    /// The last frame read when it last rested, and when that was.
    rested: (u64, Instant),
}

/// From frames to written batches, without the ledger and without a thread.
pub(crate) struct Line {
    depot: Arc<Depot>,
    shared: Arc<Shared>,
    enricher: Arc<Enricher>,
    assembler: Assembler,
    billed: Billed,
    pending: Batch,
    pending_bytes: u64,
    /// When the oldest pending row ended.
    pending_since: Option<Instant>,
    /// The cursor of the last batch written; what a second attempt begins from.
    written: Cursor,
    /// The last frame read.
    read: u64,
}

impl Worker {
    pub(crate) fn new(depot: Arc<Depot>, ledger: Ledger, shared: Arc<Shared>) -> Self {
        let enricher = Arc::new(Enricher::new());
        ledger.release("pipeline", 0);
        let line = Line::new(depot, shared, enricher);
        let rested = (line.read, Instant::now());
        Self { ledger, line, released: 0, rested }
    }

    /// Follows the ledger until told to stop.
    pub(crate) fn run(mut self) {
        let enricher = self.line.enricher.clone();
        std::thread::scope(|scope| {
            // Loaded beside the work, or else the first row that needs an estimate keeps others
            // waiting; where no thread can be had, it does.
            let vocabulary = std::thread::Builder::new().name("vocabulary".into());
            let _ = vocabulary.spawn_scoped(scope, move || enricher.load_vocabulary());
            self.follow_until_stopped();
        });
    }

    fn follow_until_stopped(&mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let before = self.line.read;
            let followed = catch_unwind(AssertUnwindSafe(|| self.follow())).unwrap_or_else(|_| {
                tracing::error!("the pipeline panicked: a fault of ours, please report it");
                Err(Error::new(ErrorKind::Thread, "the pipeline panicked"))
            });
            let Err(error) = followed else { break };
            self.line.fail(&error);
            if self.line.shared.is_stopping() {
                break;
            }
            if self.line.read > before {
                pause = RETRY_PAUSE_MIN;
            }
            // `stop` unparks; waking early only means trying early.
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(self.line.depot.config.retry_pause_max());
            self.line.rewind();
        }
        self.line.shared.board.update(|status| status.state = State::Stopped);
    }

    /// Reads and writes until told to stop, or until something refuses.
    fn follow(&mut self) -> Result<(), Error> {
        let mut reader = self.reader()?;
        let mut stop_at = None;
        loop {
            if self.line.shared.is_stopping() {
                let stop_at = *stop_at.get_or_insert_with(|| Instant::now() + STOP_WAIT);
                if Instant::now() >= stop_at {
                    break;
                }
            }
            let is_caught_up = !self.step(&mut reader, stop_at.is_some())?;
            if is_caught_up && stop_at.is_some() {
                break;
            }
        }
        self.line.flush()?;
        self.release();
        Ok(())
    }

    /// Takes one frame or waits for it; false if there was none.
    fn step(&mut self, reader: &mut Reader, is_stopping: bool) -> Result<bool, Error> {
        let mut found = true;
        let mut wait = Duration::ZERO;
        let mut next = reader.next(wait);
        if !is_stopping && matches!(next, Ok(None)) {
            wait = self.line.wait(Instant::now());
            std::thread::park_timeout(self.rest().min(wait));
            next = reader.next(wait);
        }
        let now = Instant::now();
        match next {
            Ok(Some(entry)) => self.line.take(entry, now)?,
            Ok(None) => found = false,
            // One frame that only a newer version can read; the reader has gone past it.
            Err(error) if error.kind() == ledger::ErrorKind::Invalid => {
                self.line.skip_unknown(reader.position().saturating_sub(1), &error);
            }
            Err(error) => return Err(ledger_failed(error)),
        }
        if self.line.is_due(now) {
            self.line.flush()?;
            self.release();
        } else if !found {
            self.line.report();
            self.release();
            if self.ledger.state() == ledger::State::Closed {
                // A closed ledger answers at once that there is nothing; only `stop` is to come.
                std::thread::park_timeout(wait);
            }
        }
        Ok(found)
    }

    /// How long to rest, by what came since the last time.
    fn rest(&mut self) -> Duration {
        let frames = u128::from(self.line.read.saturating_sub(self.rested.0));
        let since = self.rested.1.elapsed().as_millis();
        self.rested = (self.line.read, Instant::now());
        if frames > FEW_FRAMES * since { REST } else { LONG_REST }
    }

    /// A reader behind the last batch written, or from the first frame there is.
    fn reader(&self) -> Result<Reader, Error> {
        let from = self.line.written.resume_from;
        match self.ledger.reader(from) {
            Err(error) if error.kind() == ledger::ErrorKind::Released => {
                tracing::error!(%error, "records were given up before they were in the tables");
                self.ledger.reader(0).map_err(ledger_failed)
            }
            reader => reader.map_err(ledger_failed),
        }
    }

    /// Lets the ledger give up what the sink has made durable.
    fn release(&mut self) {
        let resume_from = self.line.depot.sink.durable_cursor().resume_from;
        if resume_from > self.released {
            self.released = resume_from;
            self.ledger.release("pipeline", resume_from);
        }
    }
}

impl Line {
    /// Continues where the sink is durable.
    pub(crate) fn new(depot: Arc<Depot>, shared: Arc<Shared>, enricher: Arc<Enricher>) -> Self {
        let written = depot.sink.durable_cursor();
        Self {
            enricher,
            assembler: Assembler::new(depot.clone(), written),
            depot,
            shared,
            billed: Billed::default(),
            pending: Batch::default(),
            pending_bytes: 0,
            pending_since: None,
            written,
            read: written.resume_from.saturating_sub(1),
        }
    }

    /// Takes the next frame.
    pub(crate) fn take(&mut self, entry: Entry, now: Instant) -> Result<(), Error> {
        let sequence = entry.sequence;
        match self.assembler.accept(entry)? {
            Some(Whole::Interaction(ended)) => {
                let prices = self.shared.prices();
                let rows = self.enricher.rows(&self.depot, *ended, &prices, &mut self.billed)?;
                self.add(rows, now);
            }
            Some(Whole::BackendState(state, sequence)) => {
                let row = row::backend_health(*state, sequence);
                self.pending_bytes += (size_of_val(&row) + row.message.len()) as u64;
                self.pending.backend_health.push(row);
                self.pending_since.get_or_insert(now);
            }
            Some(Whole::Note(note, bytes)) => {
                self.pending_bytes += bytes;
                self.pending.notes.push(*note);
                self.pending_since.get_or_insert(now);
            }
            None => {}
        }
        self.read = sequence;
        Ok(())
    }

    /// Goes past a frame that this version cannot read.
    fn skip_unknown(&mut self, sequence: u64, error: &ledger::Error) {
        tracing::error!(sequence, %error, "a frame of the ledger is passed over");
        self.shared.board.update(|status| status.damaged_frames += 1);
        self.read = sequence;
    }

    /// The pending rows shall be written now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let config = &self.depot.config;
        let Some(since) = self.pending_since else { return false };
        self.pending.rows() >= config.batch_rows_max as usize
            || self.pending_bytes >= config.batch_bytes_max
            || now.saturating_duration_since(since) >= config.flush_interval()
    }

    /// How long to wait for the next frame.
    fn wait(&self, now: Instant) -> Duration {
        let Some(since) = self.pending_since else { return IDLE_WAIT };
        let due_at = since + self.depot.config.flush_interval();
        due_at.saturating_duration_since(now).min(IDLE_WAIT)
    }

    /// Writes what is pending. What the sink refuses stays pending, the same batch to the same cursor.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.pending.rows() == 0 {
            self.report();
            return Ok(());
        }
        let cursor = self.assembler.cursor();
        let batch = Batch { cursor, ..std::mem::take(&mut self.pending) };
        let (rows, messages) = (batch.interactions.len() as u64, batch.messages.len() as u64);
        self.write(&batch)?;
        self.written = cursor;
        self.pending_bytes = 0;
        self.pending_since = None;
        self.shared.board.update(|status| {
            status.rows += rows;
            status.messages += messages;
        });
        self.report();
        Ok(())
    }

    /// Writes one batch, however often it takes; gives up only when told to stop.
    fn write(&self, batch: &Batch) -> Result<(), Error> {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let Err(source) = self.depot.sink.write(batch) else { return Ok(()) };
            let error = Error::from_source(ErrorKind::Sink, "the tables refuse rows", source);
            if self.shared.is_stopping() {
                return Err(error);
            }
            self.fail(&error);
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(self.depot.config.retry_pause_max());
        }
    }

    /// The most memory that bodies ever took.
    #[cfg(test)]
    pub(crate) fn memory_highest(&self) -> u64 {
        self.depot.budget.highest()
    }

    /// The frame to read next.
    #[cfg(test)]
    pub(crate) fn next_sequence(&self) -> u64 {
        self.read + 1
    }

    /// Begins again behind the last batch written. Rows that were pending are read once more.
    pub(crate) fn rewind(&mut self) {
        self.assembler = Assembler::new(self.depot.clone(), self.written);
        self.pending = Batch::default();
        self.pending_bytes = 0;
        self.pending_since = None;
        self.read = self.written.resume_from.saturating_sub(1);
    }

    fn add(&mut self, rows: Rows, now: Instant) {
        self.pending_bytes += rows.bytes();
        self.pending.interactions.push(rows.interaction);
        self.pending.messages.extend(rows.messages);
        self.pending_since.get_or_insert(now);
    }

    /// Says how things stand. With nothing pending, all that was read is in the tables.
    fn report(&mut self) {
        let damaged = self.assembler.take_damaged_frames();
        let open = self.assembler.open_count() as u64;
        let memory = self.depot.budget.used();
        let applied = (self.pending.rows() == 0).then_some(self.read);
        self.shared.board.update(|status| {
            status.damaged_frames += damaged;
            status.open = open;
            status.memory_bytes = memory;
            status.applied = applied.map_or(status.applied, |read| status.applied.max(read));
            status.state = State::Running;
        });
    }

    fn fail(&self, error: &Error) {
        let reason = error.story();
        tracing::warn!(reason, "the pipeline cannot go on; it tries again");
        self.shared.board.update(|status| {
            status.failures += 1;
            status.last_failure.clone_from(&reason);
            status.state = State::Retrying { reason };
        });
    }
}

fn ledger_failed(source: ledger::Error) -> Error {
    Error::from_source(ErrorKind::Ledger, "cannot read the ledger", source)
}

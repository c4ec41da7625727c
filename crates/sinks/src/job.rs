//! One job: from what is new in its table to what has arrived.
//!
//! What is on its way is written down before it goes and what has arrived after that, so that a crash at any
//! moment repeats a batch as it was, with the same keys, and skips none.

use std::sync::Arc;

use event::Timestamp;
use kql::{Column, Frame, Type, Value};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::batch::{Batch, Failure};
use crate::config::{Beginning, SEQUENCE, StreamJobConfig, WindowConfig};
use crate::note;
use crate::parts::StreamJobsParts;
use crate::progress::{File, Progress};
use crate::sink::Sink;
use crate::source::{Bounds, Source, sequence, ticks};
use crate::standing::Board;

/// How far beyond a position the next rows are looked for, in sequences for each row that goes at once; doubled with
/// each look in vain. A call has some six records, so a job that is far behind opens a few files at a time.
const REACH: u64 = 16;
/// Sequences without rows for the job that are passed before that is written down.
const UNKEPT_MAX: u64 = 10_000;
/// The column with the start of a window.
const WINDOW_START: &str = "WindowStart";

/// A job at work.
pub(crate) struct Job {
    pub(crate) parts: Arc<StreamJobsParts>,
    pub(crate) config: StreamJobConfig,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) file: File,
    pub(crate) board: Arc<Board>,
    /// None until it was read or begun.
    pub(crate) progress: Option<Progress>,
    /// Looks since rows were found.
    pub(crate) looks_in_vain: u32,
    /// The position that is in the file.
    pub(crate) kept_position: u64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more at once.
    Moved,
    /// Nothing waits.
    Idle,
}

/// Rows of the table that are delivered together, and what the query made of them.
struct Slice {
    first: u64,
    last: u64,
    frame: Frame,
    /// No row follows it up to where it was looked.
    is_whole: bool,
}

impl Job {
    /// Delivers what is next, if something is. Once `stop` is cancelled it ends soon.
    pub(crate) async fn step(
        &mut self,
        now: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Step, Failure> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => self.begin(now).await?,
        };
        let done = match self.config.window {
            None => self.follow(&mut progress, now, stop).await,
            Some(window) => self.next_window(&mut progress, window, now, stop).await,
        };
        self.board.progressed(&progress);
        self.progress = Some(progress);
        done
    }

    /// Goes on where the file says, or begins anew; that is kept, so that a crash does not begin later.
    async fn begin(&mut self, now: Timestamp) -> Result<Progress, Failure> {
        if let Some(progress) = self.file.load().await? {
            self.kept_position = progress.position;
            return Ok(progress);
        }
        let gone = (self.parts.given_up)(&self.config.table);
        let mut progress = Progress {
            given_up: (gone.sequence, gone.time.unix_micros()),
            caught_up_at_us: now.unix_micros(),
            ..Progress::default()
        };
        let is_now = self.config.from == Beginning::Now;
        if is_now {
            progress.position = (self.parts.applied)();
        }
        if let Some(window) = &self.config.window {
            let oldest = if is_now { None } else { self.source().oldest().await? };
            let from = oldest.unwrap_or(now).unix_micros();
            progress.window_from_us = from - from.rem_euclid(window.every_us());
        }
        self.file.keep(&progress).await?;
        self.kept_position = progress.position;
        Ok(progress)
    }

    async fn follow(
        &mut self,
        progress: &mut Progress,
        now: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Step, Failure> {
        self.check_ledger(progress)?;
        self.miss_sequences(progress).await?;
        let applied = (self.parts.applied)();
        let until = match progress.sending {
            0 => applied.min(progress.position.saturating_add(self.reach())),
            sending => sending,
        };
        if until > applied {
            // After a crash the tables come up to it once more; until then some of its rows lack.
            return Ok(Step::Idle);
        }
        if until <= progress.position {
            progress.caught_up_at_us = now.unix_micros();
            return Ok(Step::Idle);
        }
        let Some(slice) = unless(stop, self.slice(progress.position, until)).await? else {
            (progress.position, progress.sending) = (until, 0);
            self.looks_in_vain += 1;
            if progress.position - self.kept_position >= UNKEPT_MAX {
                self.keep(progress).await?;
            }
            return Ok(if until < applied { Step::Moved } else { Step::Idle });
        };
        self.looks_in_vain = 0;
        progress.sending = slice.last;
        self.keep(progress).await?;
        let reached = if slice.is_whole { until } else { slice.last };
        let batch = self.batch(slice)?;
        if !batch.rows.is_empty() {
            unless(stop, self.sink.write(&batch)).await?;
        }
        progress.rows += batch.rows.len() as u64;
        (progress.position, progress.sending) = (reached, 0);
        if reached >= applied {
            progress.caught_up_at_us = now.unix_micros();
        }
        self.keep(progress).await?;
        Ok(if reached < applied { Step::Moved } else { Step::Idle })
    }

    fn reach(&self) -> u64 {
        let reach = u64::from(self.config.rows_max) * REACH;
        reach.saturating_mul(1 << self.looks_in_vain.min(40))
    }

    /// Refuses to go on where the ledger is another one than before.
    fn check_ledger(&self, progress: &Progress) -> Result<(), Failure> {
        let end = *self.parts.ledger.durable().borrow();
        if progress.position <= end {
            return Ok(());
        }
        let position = progress.position;
        let why =
            format!("the ledger ends at {end} and {position} was delivered: it is another one");
        let fix = format!("move {} away to begin anew", self.file.0.display());
        Err(Failure::refused(format!("{why}, or an older copy: {fix}")))
    }

    /// Says so where rows went before they were delivered.
    async fn miss_sequences(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let gone = (self.parts.given_up)(&self.config.table).sequence;
        let known = progress.given_up.0.max(progress.position);
        if gone <= known {
            return Ok(());
        }
        progress.missed += gone - known;
        progress.given_up.0 = gone;
        self.keep(progress).await?;
        let why = format!(
            "rows between {SEQUENCE} {known} and {gone} were given up before they were delivered"
        );
        note::trouble(&self.parts, &self.config, &format!("{why}: keep them longer, see `store`"))
            .await;
        Ok(())
    }

    /// The rows after `after` that go next, up to `until`: fewer where they are large.
    async fn slice(&self, after: u64, until: u64) -> Result<Option<Slice>, Failure> {
        let source = self.source();
        let mut sequences = source.sequences(after, until).await?;
        let mut is_whole = sequences.len() < self.config.rows_max as usize;
        while let (Some(&first), Some(&last)) = (sequences.first(), sequences.last()) {
            let is_lone = sequences.len() == 1;
            let bounds = if is_lone { Bounds::LARGEST } else { Bounds::of(&self.config) };
            if let Some(frame) = source.rows((after, last), bounds).await? {
                return Ok(Some(Slice { first, last, frame, is_whole }));
            }
            if is_lone {
                let Bounds { rows, bytes } = Bounds::LARGEST;
                let most = format!("{} MiB, or makes more than {rows} rows", bytes >> 20);
                let fix = "leave columns out of the query, or the row";
                let why = format!("the row with {SEQUENCE} {last} has more than {most}: {fix}");
                return Err(Failure::refused(why));
            }
            sequences.truncate(sequences.len() / 2);
            is_whole = false;
        }
        Ok(None)
    }

    fn batch(&self, Slice { first, last, frame, .. }: Slice) -> Result<Batch, Failure> {
        let columns = Batch::keyed(&frame.columns)?;
        let find = |name: &str| frame.columns.iter().position(|column| &*column.name == name);
        let (place, time) = (find(SEQUENCE), find("TimeGenerated"));
        let at = match time.and_then(|time| frame.rows.first()?.get(time)) {
            Some(Value::Datetime(at)) => {
                Some(Timestamp::from_unix_micros((at - kql::UNIX_EPOCH_TICKS) / 10))
            }
            _ => None,
        };
        let (mut before, mut number) = (None, 0);
        let keyed = frame.rows.into_iter().map(|row| {
            let sequence = place.and_then(|place| row.get(place)).and_then(sequence);
            number = if sequence == before { number + 1 } else { 0 };
            before = sequence;
            let key = format!("{}:{}:{number}", self.owner(), sequence.unwrap_or_default());
            std::iter::once(Value::String(key)).chain(row).collect()
        });
        let rows = keyed.collect();
        Ok(Batch { name: format!("{}:{first}-{last}", self.owner()), at, columns, rows })
    }

    /// Asks for the window that is next, if it is over, and delivers what comes of it.
    async fn next_window(
        &mut self,
        progress: &mut Progress,
        window: WindowConfig,
        now: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Step, Failure> {
        self.miss_windows(progress, window).await?;
        let from = progress.window_from_us;
        let complete = (self.parts.complete_until)(now).map_or(0, Timestamp::unix_micros);
        if complete < from + window.whole_us() {
            return Ok(Step::Idle);
        }
        let to = from + window.every_us();
        let at = Timestamp::from_unix_micros;
        let asked = async { self.source().window(at(from), at(to)).await };
        let frame = unless(stop, asked).await?;
        for batch in self.batches(frame, at(from))? {
            unless(stop, self.sink.write(&batch)).await?;
            progress.rows += batch.rows.len() as u64;
        }
        progress.window_from_us = to;
        progress.caught_up_at_us = now.unix_micros();
        self.keep(progress).await?;
        Ok(Step::Moved)
    }

    async fn miss_windows(
        &mut self,
        progress: &mut Progress,
        window: WindowConfig,
    ) -> Result<(), Failure> {
        let gone = (self.parts.given_up)(&self.config.table).time.unix_micros();
        let known = progress.given_up.1.max(progress.window_from_us - 1);
        if gone <= known {
            return Ok(());
        }
        let windows = (gone - known - 1) / window.every_us() + 1;
        progress.missed += windows.cast_unsigned();
        progress.given_up.1 = gone;
        self.keep(progress).await?;
        let why = format!("rows of {windows} windows were given up before they were delivered");
        note::trouble(&self.parts, &self.config, &format!("{why}: keep them longer, see `store`"))
            .await;
        Ok(())
    }

    /// The result of a window, in pieces of the size that the job delivers at once. A row's key is made of what it
    /// says: a query that counts has no order, and when a window is asked again there may be one more.
    fn batches(&self, mut frame: Frame, from: Timestamp) -> Result<Vec<Batch>, Failure> {
        if frame.columns.iter().any(|column| &*column.name == WINDOW_START) {
            let why = format!(
                "its query has a column `{WINDOW_START}`, which is added: name it otherwise"
            );
            return Err(Failure::refused(why));
        }
        frame.columns.insert(0, Column::new(WINDOW_START, Type::Datetime));
        let columns = Batch::keyed(&frame.columns)?;
        frame.rows.sort_by_cached_key(digest);
        let start = format!("w{}", from.unix_micros() / 1_000_000);
        let mut batches: Vec<Batch> = Vec::new();
        let mut room = 0;
        let (mut before, mut number) = (String::new(), 0);
        for row in frame.rows {
            let digest = digest(&row);
            number = if digest == before { number + 1 } else { 0 };
            let key = Value::String(format!("{}:{start}:{digest}:{number}", self.owner()));
            before = digest;
            let bytes: usize = row.iter().map(|value| value.to_string().len()).sum();
            let is_full = batches.last().is_none_or(|batch| {
                bytes > room || batch.rows.len() >= self.config.rows_max as usize
            });
            if is_full {
                let name = format!("{}:{start}-{}", self.owner(), batches.len());
                let columns = columns.clone();
                batches.push(Batch { name, at: Some(from), columns, rows: Vec::new() });
                room = usize::try_from(self.config.bytes_max).unwrap_or(usize::MAX);
            }
            room = room.saturating_sub(bytes);
            let cells = [key, Value::Datetime(ticks(from))].into_iter().chain(row).collect();
            if let Some(batch) = batches.last_mut() {
                batch.rows.push(cells);
            }
        }
        Ok(batches)
    }

    /// What keys begin with: two nodes have the same sequences.
    fn owner(&self) -> String {
        format!("{}:{}", self.config.id, self.parts.node)
    }

    fn source(&self) -> Source<'_> {
        Source { parts: &self.parts, job: &self.config }
    }

    async fn keep(&mut self, progress: &Progress) -> Result<(), Failure> {
        self.file.keep(progress).await?;
        self.kept_position = progress.position;
        self.board.progressed(progress);
        Ok(())
    }
}

/// Does this, unless it is to stop first.
async fn unless<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err(Failure::stopped()),
    }
}

/// What stands for the values of a row.
fn digest(row: &Vec<Value>) -> String {
    let mut hasher = Sha256::new();
    for value in row {
        let text = value.to_string();
        // Its length keeps two values apart from one that reads like both.
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

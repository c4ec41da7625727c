//! The rows that are not on disk yet: visible at once, bounded in bytes, lost in a crash and then
//! written again by the pipeline.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{concat_batches, max, min};
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use event::{Batch, Cursor, Note, TableRow};

use crate::extent::{SEQUENCE_COLUMN, TABLE_COUNT, TABLES, TIME_COLUMN, table_index};
use crate::parts::{Folded, fold};
use crate::schema::{BatchBuilder, as_read, row_bytes, stored_schema};
use crate::{Error, ErrorKind};

/// A chunk of at least this many bytes is not merged with its neighbour.
const CHUNK_BYTES: usize = 8 << 20;
/// A chunk of at least this many rows is not merged with its neighbour.
const CHUNK_ROWS: usize = 16 << 10;
/// Largest batch, and largest row: so much text still fits one arrow array.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 30;

/// Some rows, as arrow has them.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// As they are written.
    pub(crate) batch: RecordBatch,
    read_schema: SchemaRef,
    /// The same rows as they are read, once they are.
    view: OnceLock<RecordBatch>,
    /// Least and greatest time, in microseconds.
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    pub(crate) sequences: Option<(i64, i64)>,
    bytes: usize,
}

impl Chunk {
    fn new(batch: RecordBatch, read_schema: &SchemaRef, bytes: usize) -> Self {
        let (time_min, time_max) = time_range(&batch);
        let sequences = sequence_range(&batch);
        let (read_schema, view) = (read_schema.clone(), OnceLock::new());
        Self { batch, read_schema, view, time_min, time_max, sequences, bytes }
    }

    /// The rows as they are read.
    pub(crate) fn view(&self) -> &RecordBatch {
        self.view.get_or_init(|| as_read(&self.batch, &self.read_schema))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_small(&self) -> bool {
        self.bytes < CHUNK_BYTES && self.batch.num_rows() < CHUNK_ROWS
    }
}

/// The times of a batch, in microseconds; a row without one counts as 1970.
pub(crate) fn times(batch: &RecordBatch) -> impl Iterator<Item = i64> + '_ {
    let column = batch.column_by_name(TIME_COLUMN).expect("every table has a time");
    column.as_primitive::<TimestampMicrosecondType>().iter().map(Option::unwrap_or_default)
}

/// Least and greatest time of a batch that has rows.
pub(crate) fn time_range(batch: &RecordBatch) -> (i64, i64) {
    let widen = |(min, max): (i64, i64), time: i64| (min.min(time), max.max(time));
    times(batch).fold((i64::MAX, i64::MIN), widen)
}

/// Least and greatest sequence of a batch that has rows; none if its table has no sequences.
pub(crate) fn sequence_range(batch: &RecordBatch) -> Option<(i64, i64)> {
    let column = batch.column_by_name(SEQUENCE_COLUMN)?.as_primitive::<Int64Type>();
    min(column).zip(max(column))
}

fn note_bytes(note: &Note) -> usize {
    match note {
        Note::AdminAction(row) => row_bytes(row),
        Note::ContentRead(row) => row_bytes(row),
        Note::SecurityEvent(row) => row_bytes(row),
        Note::Alert(row) => row_bytes(row),
        Note::CostAdjustment(row) => row_bytes(row),
        Note::LedgerCheckpoint(row) => row_bytes(row),
        Note::Erasure(row) => row_bytes(row),
    }
}

/// Chunks by table.
pub(crate) type Chunks = [Vec<Arc<Chunk>>; TABLE_COUNT];

/// The rows of a batch, and their size.
pub(crate) struct Rows<'a> {
    batch: &'a Batch,
    folded: Folded<'a>,
    pub(crate) bytes: usize,
    pub(crate) cursor: Cursor,
}

impl<'a> Rows<'a> {
    /// Measures a batch; refuses one that is too large to be handled.
    pub(crate) fn new(batch: &'a Batch) -> Result<Self, Error> {
        let folded = fold(batch);
        let parts: usize = folded.parts.iter().map(String::len).sum();
        let interactions: usize = batch.interactions.iter().map(row_bytes).sum();
        let messages: usize = folded.loose.iter().map(|row| row_bytes(*row)).sum();
        let health: usize = batch.backend_health.iter().map(row_bytes).sum();
        let notes: usize = batch.notes.iter().map(note_bytes).sum();
        let bytes = interactions + parts + messages + health + notes;
        let rows = Self { batch, folded, bytes, cursor: batch.cursor };
        if rows.bytes > BATCH_BYTES_MAX {
            let text = format!(
                "a batch of {} bytes is too large, the most is {BATCH_BYTES_MAX}: write fewer rows \
                 at once, and long texts as blobs",
                rows.bytes
            );
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        Ok(rows)
    }
}

/// The rows in memory.
pub(crate) struct Tail {
    tables: [TableTail; TABLE_COUNT],
    /// Bytes of all tables, about.
    pub(crate) bytes: usize,
    /// When the oldest of them came.
    pub(crate) since: Option<Instant>,
}

struct TableTail {
    read_schema: SchemaRef,
    open: BatchBuilder,
    open_bytes: usize,
    frozen: Vec<Arc<Chunk>>,
    frozen_rows: usize,
}

impl Tail {
    pub(crate) fn new() -> Self {
        let table = |index: usize| TableTail {
            read_schema: stored_schema(&TABLES[index]),
            open: BatchBuilder::new(&TABLES[index]),
            open_bytes: 0,
            frozen: Vec::new(),
            frozen_rows: 0,
        };
        Self { tables: std::array::from_fn(table), bytes: 0, since: None }
    }

    pub(crate) fn push(&mut self, rows: &Rows<'_>, now: Instant) {
        for (row, parts) in rows.batch.interactions.iter().zip(&rows.folded.parts) {
            self.add(row, parts, now);
        }
        for row in &rows.folded.loose {
            self.add(*row, "", now);
        }
        for row in &rows.batch.backend_health {
            self.add(row, "", now);
        }
        for note in &rows.batch.notes {
            match note {
                Note::AdminAction(row) => self.add(row, "", now),
                Note::ContentRead(row) => self.add(row, "", now),
                Note::SecurityEvent(row) => self.add(row, "", now),
                Note::Alert(row) => self.add(row, "", now),
                Note::CostAdjustment(row) => self.add(row, "", now),
                Note::LedgerCheckpoint(row) => self.add(row, "", now),
                Note::Erasure(row) => self.add(row, "", now),
            }
        }
        self.bytes += rows.bytes;
    }

    fn add<R: TableRow>(&mut self, row: &R, parts: &str, now: Instant) {
        let index = table_index(R::TABLE.name).expect("every row type has its table");
        self.tables[index].push(row, parts);
        self.since.get_or_insert(now);
    }

    /// Rows of the table that has most.
    pub(crate) fn rows_max(&self) -> usize {
        self.tables.iter().map(TableTail::rows).max().unwrap_or(0)
    }

    /// Rows of a table.
    pub(crate) fn rows(&self, index: usize) -> usize {
        self.tables[index].rows()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows_max() == 0
    }

    /// All rows as chunks, to be read.
    pub(crate) fn chunks(&mut self) -> Chunks {
        self.tables.each_mut().map(|table| {
            table.freeze();
            table.frozen.clone()
        })
    }

    /// All rows as chunks; the tail is empty afterwards.
    pub(crate) fn take(&mut self) -> Chunks {
        self.bytes = 0;
        self.since = None;
        self.tables.each_mut().map(|table| {
            table.freeze();
            table.frozen_rows = 0;
            std::mem::take(&mut table.frozen)
        })
    }

    /// Puts back what was taken and could not be written.
    pub(crate) fn put_back(&mut self, chunks: Chunks, since: Option<Instant>) {
        for (table, mut list) in self.tables.iter_mut().zip(chunks) {
            self.bytes += list.iter().map(|chunk| chunk.bytes).sum::<usize>();
            table.frozen_rows += list.iter().map(|chunk| chunk.batch.num_rows()).sum::<usize>();
            list.append(&mut table.frozen);
            table.frozen = list;
        }
        self.since = since.or(self.since);
    }
}

impl TableTail {
    fn rows(&self) -> usize {
        self.open.rows() + self.frozen_rows
    }

    fn push(&mut self, row: &impl TableRow, parts: &str) {
        self.open_bytes += self.open.push(row, parts);
        if self.open_bytes >= CHUNK_BYTES || self.open.rows() >= CHUNK_ROWS {
            self.freeze();
        }
    }

    /// Ends the open chunk. Chunks of about one size are merged, so that many queries between few
    /// rows leave few chunks, and a row is copied a few times at most.
    fn freeze(&mut self) {
        if self.open.rows() == 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.open_bytes);
        self.frozen_rows += self.open.rows();
        let (mut last, mut bytes) = (self.open.finish(), bytes);
        while let Some(before) = self.frozen.last() {
            let is_alike = before.batch.num_rows() <= last.num_rows() * 2;
            let is_small = bytes < CHUNK_BYTES && last.num_rows() < CHUNK_ROWS;
            if !is_alike || !is_small || !before.is_small() {
                break;
            }
            last = concat_batches(&last.schema(), [&before.batch, &last])
                .expect("chunks of a table have one schema and small ones fit together");
            bytes += before.bytes;
            self.frozen.pop();
        }
        self.frozen.push(Arc::new(Chunk::new(last, &self.read_schema, bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Interaction, Timestamp};

    fn batch(from: i64, count: i64) -> Batch {
        let interaction = |number: i64| Interaction {
            time_generated: Timestamp::from_unix_micros(number),
            ..Interaction::default()
        };
        let interactions = (from..from + count).map(interaction).collect();
        Batch { interactions, ..Batch::default() }
    }

    fn push(tail: &mut Tail, from: i64, count: i64) {
        tail.push(&Rows::new(&batch(from, count)).unwrap(), Instant::now());
    }

    #[test]
    fn queries_between_single_rows_leave_few_chunks_and_every_row_in_order() {
        let mut tail = Tail::new();
        for number in 0..1_000 {
            push(&mut tail, number, 1);
            let chunks = tail.chunks();
            assert!(chunks[0].len() <= 11, "{} chunks", chunks[0].len());
        }
        let chunks = tail.take();
        let all: Vec<_> = chunks[0].iter().flat_map(|chunk| times(&chunk.batch)).collect();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        assert!(tail.is_empty() && tail.bytes == 0);
    }

    #[test]
    fn what_is_put_back_counts_again() {
        let mut tail = Tail::new();
        push(&mut tail, 0, 10);
        let bytes = tail.bytes;
        let chunks = tail.take();
        push(&mut tail, 10, 5);
        tail.put_back(chunks, None);
        assert_eq!((tail.rows(0), tail.bytes), (15, bytes + bytes / 2));
    }
}

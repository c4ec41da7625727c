//! From the tail to extents: the boundary of exactly-once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use event::Cursor;

use crate::encode::{ExtentWriter, Sealed};
use crate::extent::{Day, Extent, TABLES};
use crate::manifest::Change;
use crate::shared::{Shared, lock};
use crate::tail::{Chunk, Chunks, times};
use crate::{Error, ErrorKind};

/// Bytes copied at once while rows are put in order.
const SLICE_BYTES: usize = 8 << 20;

/// What a seal writes.
struct Job {
    chunks: Arc<Chunks>,
    cursor: Cursor,
    since: Option<Instant>,
    /// How many blobs, the first ones made, these rows and earlier ones may name.
    blobs_named: u64,
}

impl Shared {
    /// Writes all rows in memory to extents and records them with the cursor. Writers and readers go
    /// on meanwhile. If it fails, the rows are in memory as before and nothing is on disk.
    pub(crate) fn seal(&self) -> Result<(), Error> {
        let _one_at_a_time = lock(&self.sealing);
        let Some(job) = self.begin_seal() else { return Ok(()) };
        let outcome = self.write_extents(&job.chunks).and_then(|sealed| self.record(sealed, &job));
        match outcome {
            Ok(extents) => {
                self.install(&extents, job.cursor);
                self.blobs.are_sealed(job.blobs_named);
                Ok(())
            }
            Err(error) => {
                self.abandon(job);
                Err(error)
            }
        }
    }

    /// Moves the tail aside, where snapshots still see it. None if there is nothing new.
    fn begin_seal(&self) -> Option<Job> {
        let blobs_named = self.blobs.named();
        let mut state = lock(&self.state);
        if state.tail.is_empty() && state.cursor == state.durable {
            return None;
        }
        let since = state.tail.since;
        state.sealing_bytes = state.tail.bytes;
        state.sealing = Arc::new(state.tail.take());
        Some(Job { chunks: state.sealing.clone(), cursor: state.cursor, since, blobs_named })
    }

    pub(crate) fn write_extents(&self, chunks: &Chunks) -> Result<Vec<Sealed>, Error> {
        let blobs = self.blobs.recent();
        let mut sealed = Vec::new();
        for (table, chunks) in TABLES.iter().zip(chunks) {
            for (day, rows) in rows_by_day(chunks) {
                let id = self.next_extent_id();
                let mut writer = ExtentWriter::create(&self.folder, &blobs, table, day, id)?;
                write_in_order(&mut writer, chunks, &rows)?;
                sealed.push(writer.finish()?);
            }
        }
        Ok(sealed)
    }

    /// The one transaction: extents of all tables, and the cursor.
    fn record(&self, sealed: Vec<Sealed>, job: &Job) -> Result<Vec<Arc<Extent>>, Error> {
        let change = Change {
            added: sealed.iter().map(|sealed| sealed.written.clone()).collect(),
            cursor: Some(job.cursor),
            ..Change::default()
        };
        self.commit(&change, sealed)
    }

    /// Commits a change and keeps the files it adds, unless it certainly failed.
    pub(crate) fn commit(
        &self,
        change: &Change,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<Arc<Extent>>, Error> {
        let keep = |sealed: Vec<Sealed>| {
            let extent = |sealed: Sealed| Extent::new(&self.folder, sealed.keep());
            sealed.into_iter().map(extent).collect()
        };
        match self.manifest.commit(change) {
            Ok(()) => Ok(keep(sealed)),
            Err(failed) => {
                if failed.is_in_doubt {
                    let _: Vec<_> = keep(sealed);
                }
                Err(failed.error)
            }
        }
    }

    /// Shows the new extents in place of the chunks they were made from, at one moment.
    fn install(&self, extents: &[Arc<Extent>], cursor: Cursor) {
        let mut state = lock(&self.state);
        state.extents = Arc::new(state.extents.changed(&[], extents));
        state.sealing = Arc::default();
        state.sealing_bytes = 0;
        state.durable = cursor;
        let rows: u64 = extents.iter().map(|extent| extent.record.rows).sum();
        tracing::debug!(extents = extents.len(), rows, applied = cursor.applied, "sealed");
    }

    fn abandon(&self, job: Job) {
        let mut state = lock(&self.state);
        state.sealing = Arc::default();
        state.sealing_bytes = 0;
        let chunks = Arc::unwrap_or_clone(job.chunks);
        state.tail.put_back(chunks, job.since);
    }
}

/// A row: its time, its chunk, its place there.
type Place = (i64, usize, usize);

/// The rows of each day in the order of time; rows of one moment stay as they came.
fn rows_by_day(chunks: &[Arc<Chunk>]) -> BTreeMap<Day, Vec<Place>> {
    let mut days: BTreeMap<Day, Vec<Place>> = BTreeMap::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (row, time) in times(&chunk.batch).enumerate() {
            days.entry(Day::of_micros(time)).or_default().push((time, number, row));
        }
    }
    for rows in days.values_mut() {
        rows.sort_by_key(|place| place.0);
    }
    days
}

fn write_in_order(
    writer: &mut ExtentWriter<'_>,
    chunks: &[Arc<Chunk>],
    rows: &[Place],
) -> Result<(), Error> {
    let batches: Vec<&RecordBatch> = chunks.iter().map(|chunk| &chunk.batch).collect();
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes()).sum();
    let count: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    let rows_at_once = (SLICE_BYTES * count / bytes.max(1)).clamp(1, 8 << 10);
    for slice in rows.chunks(rows_at_once) {
        let places: Vec<_> = slice.iter().map(|&(_, chunk, row)| (chunk, row)).collect();
        let batch = interleave_record_batch(&batches, &places).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot put the rows of an extent in order")
                .with_source(error)
        })?;
        writer.write(&batch)?;
    }
    Ok(())
}

//! Merging small extents of a day into larger ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use event::{Table, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::encode::ExtentWriter;
use crate::extent::{Day, Extent, TABLES};
use crate::schema::written_schema;
use crate::shared::{Shared, lock};
use crate::{Error, ErrorKind};

/// Rows copied at once: few, as bodies may be long.
const ROWS_AT_ONCE: usize = 256;

/// Extents to be merged into one.
type Group = Vec<Arc<Extent>>;

impl Shared {
    /// Merges what is worth merging, oldest days first. Readers go on; a file that was merged goes
    /// when its last reader does. Answers how many extents were merged.
    pub(crate) fn compact(&self, now: Timestamp) -> Result<u64, Error> {
        let today = Day::of_micros(now.unix_micros());
        let extents = lock(&self.state).extents.clone();
        let mut merged = 0;
        for (table, extents) in TABLES.iter().zip(&extents.tables) {
            for group in self.groups(extents, today) {
                if self.is_stopping() {
                    return Ok(merged);
                }
                merged += self.merge_or_report(table, &group)?;
                if self.is_seal_due() {
                    self.seal()?;
                }
            }
        }
        Ok(merged)
    }

    /// What to merge of a table. A day that is over is put together as far as sizes allow; of today,
    /// only extents of about one size are, when there are enough, so that a row is copied few times.
    fn groups(&self, extents: &[Arc<Extent>], today: Day) -> Vec<Group> {
        let mut days: BTreeMap<Day, Group> = BTreeMap::new();
        for extent in extents {
            if extent.record.bytes < self.config.load().compact_bytes_max {
                days.entry(extent.record.day).or_default().push(extent.clone());
            }
        }
        let mut groups = Vec::new();
        for (day, group) in days {
            if day < today {
                groups.extend(self.split_by_size(group).into_iter().filter(|g| g.len() >= 2));
                continue;
            }
            let mut tiers: BTreeMap<u32, Group> = BTreeMap::new();
            for extent in group {
                let tier = extent.record.bytes.max(1).ilog2() / 3;
                tiers.entry(tier).or_default().push(extent);
            }
            let enough = self.config.load().compact_extents as usize;
            let full = tiers.into_values().filter(|tier| tier.len() >= enough);
            groups.extend(full.flat_map(|tier| self.split_by_size(tier)).filter(|g| g.len() >= 2));
        }
        groups
    }

    /// Neighbours in time, as many as fit into one extent.
    fn split_by_size(&self, extents: Group) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut room = 0;
        for extent in extents {
            let bytes = extent.record.bytes;
            match groups.last_mut() {
                Some(group) if bytes <= room => {
                    room -= bytes;
                    group.push(extent);
                }
                _ => {
                    room = self.config.load().compact_bytes_max.saturating_sub(bytes);
                    groups.push(vec![extent]);
                }
            }
        }
        groups
    }

    /// Merges a group. One that cannot be read is reported and left, so that others go on.
    fn merge_or_report(&self, table: &Table, group: &[Arc<Extent>]) -> Result<u64, Error> {
        match self.merge(table, group) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%error, "an extent cannot be read: restore it or rebuild the tables");
                Ok(0)
            }
            outcome => outcome,
        }
    }

    fn merge(&self, table: &Table, group: &[Arc<Extent>]) -> Result<u64, Error> {
        let schema = written_schema(table);
        let Some(first) = group.first() else { return Ok(0) };
        let id = self.next_extent_id();
        let mut writer =
            ExtentWriter::create(&self.folder, &self.blobs, table, first.record.day, id)?;
        for extent in group {
            if !copy(extent, &schema, &mut writer)? {
                // A newer version wrote columns this one does not know: they must not get lost.
                return Ok(0);
            }
        }
        let sealed = writer.finish()?;
        self.replace(group, vec![sealed])?;
        tracing::debug!(extents = group.len(), table = table.name, "merged");
        Ok(group.len() as u64)
    }
}

/// Copies the rows of an extent. False, with nothing of worth written, if it has columns that the
/// table has not.
fn copy(extent: &Extent, schema: &SchemaRef, writer: &mut ExtentWriter<'_>) -> Result<bool, Error> {
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
        let text = format!("extent {} is damaged", extent.path.display());
        Error::new(ErrorKind::Corrupt, text).with_source(error)
    };
    let file = File::open(&extent.path).map_err(|error| Error::io("open", &extent.path, error))?;
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(error.into()))?;
    let is_known = reader.schema().fields().iter().all(|field| {
        schema.field_with_name(field.name()).is_ok_and(|f| f.data_type() == field.data_type())
    });
    if !is_known {
        return Ok(false);
    }
    let reader =
        reader.with_batch_size(ROWS_AT_ONCE).build().map_err(|error| damaged(error.into()))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.into()))?;
        rows += batch.num_rows() as u64;
        let batch = completed(&batch, schema).map_err(|error| damaged(error.into()))?;
        writer.write(&batch)?;
    }
    if rows != extent.record.rows {
        return Err(damaged(format!("it has {rows} rows of {}", extent.record.rows).into()));
    }
    Ok(true)
}

/// The batch with all columns of the table: those it lacks are empty text, or null.
fn completed(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, datafusion::error::DataFusionError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None if field.is_nullable() => new_null_array(field.data_type(), batch.num_rows()),
            None => {
                ScalarValue::new_default(field.data_type())?.to_array_of_size(batch.num_rows())?
            }
        });
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

//! Taking the content of interactions out of the tables, for good.
//!
//! Extents that hold such rows are written anew without it, and each takes the place of the old one in one
//! transaction. A crash leaves the old rows or the new ones; what is left to do, the next call does.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Bound::Included;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, StringArray, new_null_array,
};
use arrow::compute::{filter_record_batch, kernels::zip::zip, not};
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use event::{CITING_COLUMNS, InteractionId, Table, URL_COLUMNS, without_query};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::copy::{copy, damaged, open};
use crate::encode::{ExtentWriter, ID_COLUMN};
use crate::extent::{Extent, TABLES};
use crate::parts::PARTS_COLUMN;
use crate::schema::written_schema;
use crate::shared::{Shared, lock};
use crate::{Error, ErrorKind};

/// Tells of a row that its content was erased. Of tables without it, whole rows go.
const ERASED_COLUMN: &str = "IsContentErased";
/// Ids read at once.
const IDS_AT_ONCE: usize = 8 << 10;
/// Most files that an error names.
const NAMED_MAX: usize = 8;

/// What an erasure took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Rows whose content is gone, and rows of `Messages` that are.
    pub rows: u64,
    /// Files they stood in, which were written anew.
    pub extents: u64,
    /// Files of long texts and bodies that went: no row names them any more.
    pub blobs: u64,
}

impl Shared {
    /// Does what [`Store::erase`](crate::Store::erase) says.
    pub(crate) fn erase(&self, interactions: &BTreeSet<InteractionId>) -> Result<Erasure, Error> {
        self.refuse_if_closed()?;
        // Neither merged nor given up meanwhile.
        let _one_at_a_time = lock(&self.maintaining);
        self.seal()?;
        let ids: BTreeSet<String> = interactions.iter().map(ToString::to_string).collect();
        let mut done = Erasure::default();
        let mut left = Vec::new();
        for (table, extent) in self.extents_with_content() {
            if self.is_stopping() {
                let text = "the store is being closed: order the erasure again once it is open";
                return Err(Error::new(ErrorKind::Closed, text));
            }
            match self.erase_in(&table, &extent, &ids) {
                Ok(0) => {}
                Ok(rows) => {
                    done.rows += rows;
                    done.extents += 1;
                }
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => {
                    left.push(error);
                }
                Err(error) => return Err(error),
            }
            if self.is_seal_due() {
                self.seal()?;
            }
        }
        done.blobs = self.remove_unnamed_blobs()?;
        tracing::info!(
            interactions = interactions.len(),
            rows = done.rows,
            extents = done.extents,
            blobs = done.blobs,
            "content was erased from the tables"
        );
        if left.is_empty() { Ok(done) } else { Err(unfinished(left)) }
    }

    /// The extents of tables that hold content of interactions.
    fn extents_with_content(&self) -> Vec<(Table, Arc<Extent>)> {
        let extents = lock(&self.state).extents.clone();
        let mut found = Vec::new();
        for (table, extents) in TABLES.iter().zip(&extents.tables) {
            let has_id = table.columns.iter().any(|column| column.name == ID_COLUMN);
            if has_id && table.columns.iter().any(|column| column.is_content) {
                found.extend(extents.iter().map(|extent| (*table, extent.clone())));
            }
        }
        found
    }

    /// Writes an extent anew without the content of these interactions, if it has any; answers how many
    /// rows that concerned.
    pub(crate) fn erase_in(
        &self,
        table: &Table,
        extent: &Arc<Extent>,
        ids: &BTreeSet<String>,
    ) -> Result<u64, Error> {
        let rows = count(extent, ids)?;
        if rows == 0 {
            return Ok(0);
        }
        let id = self.next_extent_id();
        let day = extent.record.day;
        let blobs = self.manifest.blobs_of(std::slice::from_ref(extent))?;
        let mut writer = ExtentWriter::create(&self.folder, &blobs, table, day, id)?;
        let change = |batch: RecordBatch| without_content(table, &batch, ids);
        if !copy(extent, &written_schema(table), &mut writer, change)? {
            let text = format!(
                "extent {} has columns that this version does not know: order the erasure with the \
                 version that wrote it",
                extent.path.display()
            );
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let sealed = if writer.is_empty() { Vec::new() } else { vec![writer.finish()?] };
        self.replace(std::slice::from_ref(extent), sealed)?;
        Ok(rows)
    }
}

/// Extents that could not be written anew, in one error.
fn unfinished(left: Vec<Error>) -> Error {
    let named: Vec<_> = left.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match left.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let text = format!(
        "{} files of the tables may still hold content that was to be erased, all others are done: \
         mend them and order the erasure again: {}{more}",
        left.len(),
        named.join("; ")
    );
    let kind = left.first().map_or(ErrorKind::Corrupt, Error::kind);
    Error::new(kind, text)
}

/// Rows of an extent that have content of these interactions. Only ids are read, and only where they may be.
fn count(extent: &Extent, ids: &BTreeSet<String>) -> Result<u64, Error> {
    let builder = open(extent)?;
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        if may_hold(&builder, group, ids).map_err(|error| damaged(extent, error))? {
            groups.push(group);
        }
    }
    if groups.is_empty() {
        return Ok(0);
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), [ID_COLUMN, ERASED_COLUMN]);
    let reader = builder
        .with_row_groups(groups)
        .with_projection(mask)
        .with_batch_size(IDS_AT_ONCE)
        .build()
        .map_err(|error| damaged(extent, error))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(extent, error))?;
        let wanted = wanted(&batch, ids).map_err(|error| damaged(extent, error))?;
        rows += wanted.true_count() as u64;
    }
    Ok(rows)
}

/// Whether a row group may have one of these ids: by its least and greatest, then by its bloom filter.
fn may_hold(
    builder: &ParquetRecordBatchReaderBuilder<File>,
    group: usize,
    ids: &BTreeSet<String>,
) -> Result<bool, parquet::errors::ParquetError> {
    let columns = builder.metadata().row_group(group).columns();
    let named = |path: &parquet::schema::types::ColumnPath| path.parts() == [ID_COLUMN];
    let Some(column) = columns.iter().position(|column| named(column.column_path())) else {
        return Ok(true);
    };
    let statistics = columns[column].statistics();
    let least = statistics.and_then(|known| std::str::from_utf8(known.min_bytes_opt()?).ok());
    let greatest = statistics.and_then(|known| std::str::from_utf8(known.max_bytes_opt()?).ok());
    let within: Vec<&String> = match (least, greatest) {
        (Some(least), Some(greatest)) if least <= greatest => {
            ids.range::<str, _>((Included(least), Included(greatest))).collect()
        }
        _ => ids.iter().collect(),
    };
    if within.is_empty() {
        return Ok(false);
    }
    let filter = builder.get_row_group_column_bloom_filter(group, column)?;
    Ok(filter.is_none_or(|filter| within.iter().any(|id| filter.check(id.as_str()))))
}

/// Which rows have content of these interactions that is still there.
fn wanted(batch: &RecordBatch, ids: &BTreeSet<String>) -> Result<BooleanArray, DataFusionError> {
    let Some(cells) =
        batch.column_by_name(ID_COLUMN).and_then(|cells| cells.as_string_opt::<i32>())
    else {
        return Err(DataFusionError::Internal(format!("it has no column {ID_COLUMN}")));
    };
    let erased = batch.column_by_name(ERASED_COLUMN).and_then(|cells| cells.as_boolean_opt());
    let is_erased =
        |row: usize| erased.is_some_and(|cells| cells.is_valid(row) && cells.value(row));
    let is_wanted = |row: usize| ids.contains(cells.value(row)) && !is_erased(row);
    Ok((0..batch.num_rows()).map(|row| Some(is_wanted(row))).collect())
}

/// The rows without the content of these interactions. A row that cannot tell that it had some goes.
fn without_content(
    table: &Table,
    batch: &RecordBatch,
    ids: &BTreeSet<String>,
) -> Result<RecordBatch, DataFusionError> {
    let wanted = wanted(batch, ids)?;
    if wanted.true_count() == 0 {
        return Ok(batch.clone());
    }
    if batch.column_by_name(ERASED_COLUMN).is_none() {
        return Ok(filter_record_batch(batch, &not(&wanted)?)?);
    }
    let is_content = |name: &str| {
        let is_marked = || table.columns.iter().any(|c| c.name == name && c.is_content);
        name == PARTS_COLUMN || CITING_COLUMNS.contains(&name) || is_marked()
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        columns.push(match field.name().as_str() {
            ERASED_COLUMN => replaced(&wanted, Arc::new(BooleanArray::from(vec![true])), column)?,
            name if URL_COLUMNS.contains(&name) => cut(&wanted, column),
            name if !is_content(name) => column.clone(),
            _ if field.is_nullable() => {
                replaced(&wanted, new_null_array(field.data_type(), 1), column)?
            }
            name if *field.data_type() != DataType::Utf8 => {
                return Err(DataFusionError::Internal(format!("{name} has no empty value")));
            }
            _ => replaced(&wanted, Arc::new(StringArray::from(vec![""])), column)?,
        });
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The column with one value in all rows that are wanted.
fn replaced(
    wanted: &BooleanArray,
    value: ArrayRef,
    column: &ArrayRef,
) -> Result<ArrayRef, DataFusionError> {
    Ok(zip(wanted, &Scalar::new(value), column)?)
}

/// URLs, those that are wanted without their query.
fn cut(wanted: &BooleanArray, column: &ArrayRef) -> ArrayRef {
    let url = |(row, url)| if wanted.value(row) { without_query(url) } else { url };
    let urls = column.as_string::<i32>().iter().map(Option::unwrap_or_default).enumerate();
    Arc::new(StringArray::from_iter_values(urls.map(url)))
}

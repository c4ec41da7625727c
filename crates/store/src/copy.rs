//! Copying the rows of an extent into another.

use std::fs::File;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::encode::ExtentWriter;
use crate::extent::Extent;
use crate::schema::absent;
use crate::{Error, ErrorKind};

/// Rows copied at once: few, as bodies may be long.
const ROWS_AT_ONCE: usize = 256;

/// Copies the rows of an extent as `change` makes them. False, with nothing of worth written, if it has
/// columns that the table has not.
pub(crate) fn copy(
    extent: &Extent,
    schema: &SchemaRef,
    writer: &mut ExtentWriter<'_>,
    change: impl Fn(RecordBatch) -> Result<RecordBatch, DataFusionError>,
) -> Result<bool, Error> {
    let reader = open(extent)?;
    let is_known = reader.schema().fields().iter().all(|field| {
        schema.field_with_name(field.name()).is_ok_and(|f| f.data_type() == field.data_type())
    });
    if !is_known {
        return Ok(false);
    }
    let reader =
        reader.with_batch_size(ROWS_AT_ONCE).build().map_err(|error| damaged(extent, error))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(extent, error))?;
        rows += batch.num_rows() as u64;
        let batch = completed(&batch, schema).map_err(|error| damaged(extent, error))?;
        writer.write(&change(batch).map_err(|error| damaged(extent, error))?)?;
    }
    if rows != extent.record.rows {
        return Err(damaged(extent, format!("it has {rows} rows of {}", extent.record.rows)));
    }
    Ok(true)
}

/// Opens an extent, which reads its footer.
pub(crate) fn open(extent: &Extent) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = File::open(&extent.path).map_err(|error| Error::io("open", &extent.path, error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(extent, error))
}

/// What is in the file of an extent is not what was written.
pub(crate) fn damaged(
    extent: &Extent,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let text = format!(
        "extent {} is damaged: restore it, or move the store's folder away so that the tables are \
         rebuilt from the ledger",
        extent.path.display()
    );
    Error::new(ErrorKind::Corrupt, text).with_source(error)
}

/// The batch with all columns of the table: those it lacks are [`absent`].
fn completed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => absent(field)?.to_array_of_size(batch.num_rows())?,
        });
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

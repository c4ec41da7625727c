//! Columns as other programs read them in Parquet and Arrow files.
//!
//! | Kusto | Arrow |
//! |---|---|
//! | bool, int, long, real | Boolean, Int32, Int64, Float64 |
//! | string, guid, dynamic | Utf8; a dynamic is its JSON text |
//! | datetime | Timestamp in microseconds, UTC |
//! | timespan | Duration in microseconds |
//! | decimal | Decimal128(38, 18) |

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, DurationMicrosecondArray, RecordBatch, RecordBatchOptions,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Decimal256Type, Field, Int64Type, Schema, SchemaRef, TimeUnit, i256,
};
use kql::{Column, QueryError, QueryErrorKind, Type, UNIX_EPOCH_TICKS};

use super::internal;
use crate::cell::Reader;
use crate::decimal;
use crate::error::{IntoOutcome, Outcome};

const TICKS_PER_MICROSECOND: i64 = 10;
/// What readers of Parquet commonly take: 38 digits, 18 of them behind the point.
const PRECISION: u8 = 38;
const SCALE: i8 = 18;

/// The schema of a file.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let nullable = column.column_type != Type::String;
        Field::new(&*column.name, file_type(column.column_type), nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn file_type(kusto: Type) -> DataType {
    match kusto {
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int32,
        Type::Long => DataType::Int64,
        Type::Real => DataType::Float64,
        Type::String | Type::Guid | Type::Dynamic => DataType::Utf8,
        Type::Datetime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Timespan => DataType::Duration(TimeUnit::Microsecond),
        Type::Decimal => DataType::Decimal128(PRECISION, SCALE),
    }
}

/// A batch as the file holds it.
pub(super) fn batch(batch: &RecordBatch, columns: &[Column]) -> Outcome<RecordBatch> {
    let arrays = columns.iter().zip(batch.columns());
    let arrays = arrays.map(|(column, array)| file_array(array, column.column_type));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let arrays = arrays.collect::<Outcome<Vec<_>>>()?;
    RecordBatch::try_new_with_options(schema(columns), arrays, &options).map_err(internal)
}

fn file_array(array: &ArrayRef, kusto: Type) -> Outcome<ArrayRef> {
    if *array.data_type() == DataType::Null {
        return text(array, kusto, file_type(kusto));
    }
    Ok(match kusto {
        Type::Bool | Type::Int | Type::Long | Type::Real => Arc::clone(array),
        Type::String | Type::Guid | Type::Dynamic => text(array, kusto, DataType::Utf8)?,
        Type::Datetime => {
            let micros: TimestampMicrosecondArray = array
                .as_primitive::<Int64Type>()
                .unary(|ticks| (ticks - UNIX_EPOCH_TICKS).div_euclid(TICKS_PER_MICROSECOND));
            Arc::new(micros.with_timezone("UTC"))
        }
        Type::Timespan => {
            let micros: DurationMicrosecondArray = array
                .as_primitive::<Int64Type>()
                .unary(|ticks| ticks.div_euclid(TICKS_PER_MICROSECOND));
            Arc::new(micros)
        }
        Type::Decimal => {
            let short: Decimal128Array =
                array.as_primitive::<Decimal256Type>().try_unary(shortened)?;
            let typed = short.with_precision_and_scale(PRECISION, SCALE);
            Arc::new(typed.map_err(internal)?)
        }
    })
}

/// Text as it is; of no text, so many nulls.
fn text(array: &ArrayRef, kusto: Type, wanted: DataType) -> Outcome<ArrayRef> {
    if wanted != DataType::Utf8 {
        return Ok(arrow::array::new_null_array(&wanted, array.len()));
    }
    let reader = Reader::new(array, kusto).outcome()?;
    let mut out = StringBuilder::with_capacity(array.len(), 0);
    for row in 0..array.len() {
        let cell = reader.get(row);
        match cell.as_str() {
            Some(text) => out.append_value(text),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// With as many places as the file has, rounded.
fn shortened(units: i256) -> Outcome<i128> {
    let dropped = i256::from_i128(10_i128.pow(u32::from((decimal::SCALE - SCALE).unsigned_abs())));
    let rounded = decimal::round(units, i32::from(SCALE)).unwrap_or(units);
    let short = rounded.wrapping_div(dropped).to_i128();
    short.filter(|short| short.unsigned_abs() < 10_u128.pow(u32::from(PRECISION))).ok_or_else(|| {
        let text = format!(
            "the decimal {} is too large for a file, which takes 20 digits before the point: write \
             tostring() of it",
            decimal::format(units)
        );
        QueryError::new(QueryErrorKind::Evaluation, text)
    })
}

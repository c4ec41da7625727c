//! One JSON object a line, values as the query APIs write them.

use std::io::Write;

use arrow::array::RecordBatch;
use kql::Column;

use super::{Made, internal};
use crate::cell::Reader;
use crate::convert::to_json;
use crate::error::{IntoOutcome, Outcome};
use crate::json;

/// Adds the rows of a batch.
pub(super) fn write_batch(made: &mut Made, batch: &RecordBatch, columns: &[Column]) -> Outcome<()> {
    let columns = columns.iter().zip(batch.columns()).map(|(column, array)| {
        Ok((json::quoted(&column.name), Reader::new(array, column.column_type).outcome()?))
    });
    let columns = columns.collect::<Outcome<Vec<_>>>()?;
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        for (at, (name, reader)) in columns.iter().enumerate() {
            lines.push(if at == 0 { '{' } else { ',' });
            lines.push_str(name);
            lines.push(':');
            lines.push_str(&to_json(&reader.get(row)));
        }
        lines.push_str(if columns.is_empty() { "{}\n" } else { "}\n" });
    }
    made.write_all(lines.as_bytes()).map_err(internal)
}

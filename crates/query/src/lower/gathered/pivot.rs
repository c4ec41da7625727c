//! Turns values of a column into columns.

use std::collections::HashMap;

use super::{Row, key_of};
use crate::cell::Cell;

/// Rows are keys, label, value; there is one column for each of the labels.
pub(super) fn spread(keys: usize, labels: &[String], absent: &Cell<'_>, rows: &[Row]) -> Vec<Row> {
    let columns: HashMap<&str, usize> =
        labels.iter().enumerate().map(|(at, label)| (&**label, keys + at)).collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut out: Vec<Row> = Vec::new();
    for row in rows {
        let (own, rest) = row.split_at(keys.min(row.len()));
        let [label, value] = rest else { continue };
        let place = *places.entry(key_of(own)).or_insert_with(|| {
            let mut fresh = own.to_vec();
            fresh.resize(keys + labels.len(), absent.clone().into_owned());
            out.push(fresh);
            out.len() - 1
        });
        if let Some(column) = columns.get(label.str()) {
            out[place][*column] = value.clone();
        }
    }
    out
}

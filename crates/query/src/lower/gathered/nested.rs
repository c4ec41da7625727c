//! Keeps the best values of each level of `top-nested`.

use std::cmp::Ordering;
use std::collections::HashMap;

use kql::NestedCount;

use super::{Row, key_of};
use crate::cell::Cell;
use crate::convert::compare;

/// A value of a level and what it is ordered by.
type Entry = (Cell<'static>, Cell<'static>);
/// Entries of a level by the values above them.
type Level = HashMap<String, Vec<Entry>>;

/// Each table holds the values down to its level, then the order.
pub(super) fn best(counts: &[NestedCount], tables: &[Vec<Row>]) -> Vec<Row> {
    let levels: Vec<Level> =
        counts.iter().zip(tables).map(|(count, rows)| level(*count, rows)).collect();
    let mut out = Vec::new();
    descend(&levels, &mut Vec::new(), &mut Vec::new(), &mut out);
    out
}

fn level(count: NestedCount, rows: &[Row]) -> Level {
    let mut entries: Level = HashMap::new();
    for row in rows {
        let [above @ .., value, order] = &row[..] else { continue };
        entries.entry(key_of(above)).or_default().push((value.clone(), order.clone()));
    }
    let most = count.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    for list in entries.values_mut() {
        list.sort_by(|a, b| order(&a.1, &b.1, count.ascending));
        list.truncate(most);
    }
    entries
}

/// Nulls are last either way.
fn order(a: &Cell<'_>, b: &Cell<'_>, ascending: bool) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = compare(a, b).unwrap_or(Ordering::Equal);
            if ascending { order } else { order.reverse() }
        }
    }
}

fn descend(levels: &[Level], values: &mut Row, row: &mut Row, out: &mut Vec<Row>) {
    let Some((first, rest)) = levels.split_first() else {
        out.push(row.clone());
        return;
    };
    for (value, order) in first.get(&key_of(values)).into_iter().flatten() {
        values.push(value.clone());
        row.extend([value.clone(), order.clone()]);
        descend(rest, values, row, out);
        values.pop();
        row.truncate(row.len() - 2);
    }
}

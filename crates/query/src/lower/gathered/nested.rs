//! Keeps the best values of each level of `top-nested`.

use std::cmp::Ordering;
use std::collections::HashMap;

use kql::{BinaryOp, NestedCount, NestedJoin, NestedOthers};

use super::{Row, key_of};
use crate::cell::Cell;
use crate::convert::compare;
use crate::kernels::{Scratch, binary};

/// A value of a level and what it is ordered by.
struct Entry {
    value: Cell<'static>,
    order: Cell<'static>,
    /// It stands for the values that are not kept.
    is_rest: bool,
}

/// Entries of a level by the values above them.
type Level = HashMap<String, Vec<Entry>>;

/// Each table holds the values down to its level, then the order.
pub(super) fn best(counts: &[NestedCount], tables: &[Vec<Row>]) -> Vec<Row> {
    let levels: Vec<Level> =
        counts.iter().zip(tables).map(|(count, rows)| level(count, rows)).collect();
    let mut out = Vec::new();
    descend(&levels, &mut Vec::new(), &mut Vec::new(), &mut out);
    out
}

/// What the values that are not kept add up to.
fn rest(others: &NestedOthers, left: &[Entry]) -> Option<Entry> {
    let own = left.iter().map(|entry| &entry.order).filter(|cell| !cell.is_null());
    let joined = match others.join {
        NestedJoin::Sum => own.cloned().reduce(|a, b| {
            let sum = binary(BinaryOp::Add).map(|add| add(&[a, b], &Scratch::default()));
            sum.unwrap_or(Cell::Null)
        }),
        NestedJoin::Min => own.min_by(|a, b| order(a, b, true)).cloned(),
        NestedJoin::Max => own.min_by(|a, b| order(a, b, false)).cloned(),
    };
    let value = crate::lower::expr::cell(&others.label).into_owned();
    let entry = Entry { value, order: joined.unwrap_or(Cell::Null), is_rest: true };
    (!left.is_empty()).then_some(entry)
}

fn level(count: &NestedCount, rows: &[Row]) -> Level {
    let mut entries: Level = HashMap::new();
    for row in rows {
        let [above @ .., value, order] = &row[..] else { continue };
        let entry = Entry { value: value.clone(), order: order.clone(), is_rest: false };
        entries.entry(key_of(above)).or_default().push(entry);
    }
    let most = count.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    for list in entries.values_mut() {
        list.sort_by(|a, b| order(&a.order, &b.order, count.ascending));
        let left = list.split_off(most.min(list.len()));
        list.extend(count.others.as_ref().and_then(|others| rest(others, &left)));
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
    for entry in first.get(&key_of(values)).into_iter().flatten() {
        let width = row.len();
        values.push(entry.value.clone());
        row.extend([entry.value.clone(), entry.order.clone()]);
        descend(if entry.is_rest { &[] } else { rest }, values, row, out);
        values.pop();
        row.truncate(width);
    }
}

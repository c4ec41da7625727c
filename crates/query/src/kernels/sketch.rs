//! What `hll()` and `tdigest()` gather, read out.
//!
//! Both are exact here: an `hll` value is the array of the hashes of all values, a `tdigest` value
//! the array of `[value, weight]` pairs. Queries only hand them on to the functions below.

use kql::Function;

use super::array::{array, elements};
use super::hash::xxhash64;
use super::{Kernel, Scratch, at};
use crate::cell::Cell;
use crate::convert::{compare, scalar, to_json};
use crate::json;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::DcountHll => |args, _| {
            let count = elements(&args[0]).and_then(|hashes| i64::try_from(hashes.len()).ok());
            Cell::or_null(count, Cell::Long)
        },
        Function::HllMergeScalar => |args, scratch| {
            super::array::kernel(Function::SetUnion).map_or(Cell::Null, |union| union(args, scratch))
        },
        Function::TdigestMergeScalar => |args, scratch| {
            let concat = super::array::kernel(Function::ArrayConcat);
            concat.map_or(Cell::Null, |concat| concat(args, scratch))
        },
        Function::PercentileTdigest => percentile,
        Function::PercentileArrayTdigest | Function::PercentilesArrayTdigest => percentiles,
        Function::RankTdigest => rank,
        Function::PercentRankTdigest => |args, scratch| {
            let total: f64 = pairs(&args[0]).map_or(0.0, |all| all.iter().map(|(_, weight, _)| weight).sum());
            match rank(args, scratch).as_real() {
                Some(rank) if total > 0.0 => Cell::Real(100.0 * rank / total),
                _ => Cell::Null,
            }
        },
        Function::ColumnSize => size,
    })
}

/// The hash of a value that `hll()` gathers.
pub(crate) fn hash_of<'a>(cells: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    if cells[0].is_null() {
        return Cell::Null;
    }
    Cell::Long(xxhash64(to_json(&cells[0]).as_bytes()).cast_signed())
}

/// The pair that `tdigest()` gathers; the weight is one unless it is given.
pub(crate) fn pair_of<'a>(cells: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    if cells[0].is_null() {
        return Cell::Null;
    }
    let weight = at(cells, 1).map_or_else(|| "1".into(), to_json);
    Cell::dynamic(format!("[{},{weight}]", to_json(&cells[0])))
}

/// Values and weights, smallest first.
fn pairs<'s>(cell: &'s Cell<'_>) -> Option<Vec<(Cell<'s>, f64, &'s str)>> {
    let mut pairs = Vec::new();
    for pair in elements(cell)? {
        let mut parts = json::elements(pair);
        let value = parts.next()?;
        let weight = parts.next().map_or(Some(1.0), |weight| weight.parse().ok())?;
        pairs.push((typed(scalar(value)), weight, value));
    }
    pairs.sort_by(|a, b| compare(&a.0, &b.0).unwrap_or(std::cmp::Ordering::Equal));
    Some(pairs)
}

/// Text that is a datetime or timespan compares as such.
fn typed(cell: Cell<'_>) -> Cell<'_> {
    let Cell::Text(text) = &cell else { return cell };
    if let Some(ticks) = kql::parse_datetime(text) {
        return Cell::Datetime(ticks);
    }
    kql::parse_timespan(text).map_or(cell, Cell::Timespan)
}

/// The smallest value with at least the percentage of the weight at or below it.
fn value_at<'s>(pairs: &[(Cell<'_>, f64, &'s str)], percentage: f64) -> Option<&'s str> {
    let total: f64 = pairs.iter().map(|(_, weight, _)| weight).sum();
    let mut passed = 0.0;
    for (_, weight, value) in pairs {
        passed += weight;
        if passed >= total * percentage / 100.0 - 1e-9 {
            return Some(value);
        }
    }
    None
}

fn percentile<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(pairs), Some(percentage)) = (pairs(&args[0]), args[1].as_real()) else {
        return Cell::Null;
    };
    Cell::or_null(value_at(&pairs, percentage), |value| Cell::dynamic(value.to_owned()))
}

fn percentiles<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(pairs) = pairs(&args[0]) else { return Cell::Null };
    let mut wanted = Vec::new();
    for arg in &args[1..] {
        match elements(arg) {
            Some(list) => wanted.extend(list.iter().filter_map(|p| p.parse::<f64>().ok())),
            None => wanted.extend(scalar(&to_json(arg)).as_real()),
        }
    }
    let values: Vec<&str> = wanted.iter().map(|p| value_at(&pairs, *p).unwrap_or("null")).collect();
    array(&values)
}

/// The weight of all values that are not greater.
fn rank<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(pairs) = pairs(&args[0]) else { return Cell::Null };
    let below = pairs
        .iter()
        .filter(|(value, ..)| compare(value, &args[1]).is_some_and(std::cmp::Ordering::is_le));
    Cell::Real(below.map(|(_, weight, _)| weight).sum())
}

/// `estimate_data_size(columns…)`: bytes of text, or of the type's fixed width.
fn size<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let bytes = args.iter().map(|cell| match cell {
        Cell::Null => 0,
        Cell::Bool(_) => 1,
        Cell::Guid(_) | Cell::Decimal(_) => 16,
        Cell::Text(text) | Cell::Dynamic(text) => text.len(),
        _ => 8,
    });
    Cell::or_null(i64::try_from(bytes.sum::<usize>()).ok(), Cell::Long)
}

//! Dynamic arrays and sets.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use kql::Function;

use super::{Kernel, Scratch, at, long_at, text_at};
use crate::cell::Cell;
use crate::convert::{compare, scalar, to_json};
use crate::json::{self, Shape};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ArrayLength => array_length,
        Function::ArrayConcat => |args, _| over_arrays(args, |arrays| arrays.concat()),
        Function::ArrayReverse => reverse,
        Function::ArrayRotateLeft => |args, _| rotate(args, 1),
        Function::ArrayRotateRight => |args, _| rotate(args, -1),
        Function::ArrayShiftLeft => |args, _| shift(args, 1),
        Function::ArrayShiftRight => |args, _| shift(args, -1),
        Function::ArraySlice => slice,
        Function::ArraySum => sum,
        Function::ArrayIndexOf => index_of,
        Function::ArrayIff => iff,
        Function::ArraySplit => split,
        Function::ArraySortAsc => |args, _| sort(args, false),
        Function::ArraySortDesc => |args, _| sort(args, true),
        Function::PackArray => pack_array,
        Function::RangeArray => range,
        Function::Repeat => repeat,
        Function::Zip => zip,
        Function::SetUnion => |args, _| over_arrays(args, |arrays| arrays.concat()).distinct(),
        Function::SetIntersect => |args, _| set(args, true),
        Function::SetDifference => |args, _| set(args, false),
        Function::SetHasElement => has_element,
        Function::JaccardIndex => jaccard,
    })
}

/// Most elements of an array a function makes.
const ELEMENTS_MAX: usize = 1_048_576;

/// The elements, if it is an array.
pub(super) fn elements<'s>(cell: &'s Cell<'_>) -> Option<Vec<&'s str>> {
    match cell {
        Cell::Dynamic(json) if json::shape(json) == Shape::Array => {
            Some(json::elements(json).collect())
        }
        _ => None,
    }
}

/// An array of JSON texts.
pub(super) fn array<'a, T: AsRef<str>>(items: &[T]) -> Cell<'a> {
    let length = items.iter().map(|item| item.as_ref().len() + 1).sum::<usize>() + 1;
    let mut out = String::with_capacity(length);
    out.push('[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    Cell::dynamic(out)
}

impl Cell<'_> {
    /// The array without repeated elements, in the order of their first appearance.
    fn distinct(self) -> Self {
        let Some(all) = elements(&self) else { return Cell::Null };
        let mut seen = HashSet::new();
        let kept: Vec<&str> = all.into_iter().filter(|item| seen.insert(*item)).collect();
        array(&kept)
    }
}

fn over_arrays<'a>(
    args: &[Cell<'a>],
    combine: impl for<'s> Fn(&[Vec<&'s str>]) -> Vec<&'s str>,
) -> Cell<'a> {
    let arrays: Option<Vec<Vec<&str>>> = args.iter().map(elements).collect();
    arrays.map_or(Cell::Null, |arrays| array(&combine(&arrays)))
}

fn array_length<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let length = elements(&args[0]).and_then(|items| i64::try_from(items.len()).ok());
    Cell::or_null(length, Cell::Long)
}

fn reverse<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(mut items) = elements(&args[0]) else { return args[0].clone() };
    items.reverse();
    array(&items)
}

fn rotate<'a>(args: &[Cell<'a>], sign: i64) -> Cell<'a> {
    let (Some(mut items), Some(by)) = (elements(&args[0]), long_at(args, 1)) else {
        return Cell::Null;
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX).max(1);
    let by = usize::try_from(by.wrapping_mul(sign).rem_euclid(length)).unwrap_or(0);
    if !items.is_empty() {
        items.rotate_left(by);
    }
    array(&items)
}

fn shift<'a>(args: &[Cell<'a>], sign: i64) -> Cell<'a> {
    let (Some(items), Some(by)) = (elements(&args[0]), long_at(args, 1)) else { return Cell::Null };
    let fill = args.get(2).map_or(Cow::Borrowed("null"), to_json);
    let by = by.saturating_mul(sign);
    let shifted: Vec<&str> = (0i64..)
        .take(items.len())
        .map(|position| {
            let from = usize::try_from(position.saturating_add(by)).ok();
            from.and_then(|from| items.get(from).copied()).unwrap_or(&fill)
        })
        .collect();
    array(&shifted)
}

/// Both ends are included; negative ones count from the end.
fn slice<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(items), Some(first), Some(last)) =
        (elements(&args[0]), long_at(args, 1), long_at(args, 2))
    else {
        return Cell::Null;
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |index: i64| if index < 0 { length + index } else { index };
    let first = usize::try_from(place(first).max(0)).unwrap_or(usize::MAX);
    let end = usize::try_from(place(last).saturating_add(1).clamp(0, length)).unwrap_or(0);
    array(items.get(first..end).unwrap_or(&[]))
}

fn sum<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let numbers = items.iter().map(|item| scalar(item).as_real());
    Cell::or_null(numbers.sum::<Option<f64>>(), Cell::Real)
}

fn index_of<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let wanted = to_json(&args[1]);
    let start = long_at(args, 2).unwrap_or(0);
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let start = if start < 0 { (length + start).max(0) } else { start };
    let window = long_at(args, 3).filter(|window| *window >= 0).unwrap_or(length);
    let nth = long_at(args, 4).and_then(|nth| usize::try_from(nth).ok()).unwrap_or(1);
    let found = (0i64..)
        .zip(&items)
        .filter(|(position, _)| *position >= start && *position < start.saturating_add(window))
        .filter(|(_, item)| **item == wanted || same(item, &wanted))
        .nth(nth.saturating_sub(1));
    Cell::Long(found.map_or(-1, |(position, _)| position))
}

/// The same JSON value, numbers by value.
fn same(a: &str, b: &str) -> bool {
    a == b || compare(&scalar(a), &scalar(b)) == Some(Ordering::Equal)
}

fn iff<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(conditions) = elements(&args[0]) else { return Cell::Null };
    let pick = |cell: &Cell<'_>, position: usize| match elements(cell) {
        Some(items) => items.get(position).map_or("null".to_owned(), |item| (*item).to_owned()),
        None => to_json(cell).into_owned(),
    };
    let chosen: Vec<String> = conditions
        .iter()
        .enumerate()
        .map(|(position, condition)| match scalar(condition) {
            Cell::Bool(true) => pick(&args[1], position),
            Cell::Long(number) if number != 0 => pick(&args[1], position),
            Cell::Null => "null".to_owned(),
            _ => pick(&args[2], position),
        })
        .collect();
    array(&chosen)
}

fn split<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let places: Vec<i64> = match elements(&args[1]) {
        Some(indices) => indices.iter().filter_map(|index| index.parse().ok()).collect(),
        None => long_at(args, 1).into_iter().collect(),
    };
    let mut cuts: Vec<usize> = places
        .iter()
        .map(|place| if *place < 0 { (length + place).max(0) } else { *place })
        .map(|place| usize::try_from(place.min(length)).unwrap_or(0))
        .collect();
    cuts.sort_unstable();
    let mut parts: Vec<String> = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([items.len()]) {
        parts.push(array(&items[from..cut.max(from)]).str().to_owned());
        from = cut.max(from);
    }
    array(&parts)
}

/// Orders elements of one kind; nulls are last either way.
fn order(a: &str, b: &str, descending: bool) -> Ordering {
    match (a == "null", b == "null") {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let ordering = compare(&scalar(a), &scalar(b)).unwrap_or(Ordering::Equal);
            if descending { ordering.reverse() } else { ordering }
        }
    }
}

/// One array sorts itself; further ones follow it, and the answer is an array of arrays.
fn sort<'a>(args: &[Cell<'a>], descending: bool) -> Cell<'a> {
    let Some(first) = elements(&args[0]) else { return Cell::Null };
    let nulls_first = matches!(args.last(), Some(Cell::Bool(false)));
    let mut permutation: Vec<usize> = (0..first.len()).collect();
    permutation.sort_by(|a, b| {
        let by_null = (first[*b] == "null").cmp(&(first[*a] == "null"));
        let by_null = if nulls_first { by_null } else { Ordering::Equal };
        by_null.then_with(|| order(first[*a], first[*b], descending))
    });
    let apply = |items: &[&str]| {
        let moved: Vec<&str> =
            permutation.iter().map(|from| items.get(*from).copied().unwrap_or("null")).collect();
        array(&moved)
    };
    let followers: Vec<Vec<&str>> = args[1..].iter().filter_map(elements).collect();
    if followers.is_empty() {
        return apply(&first);
    }
    // The binder gives one column; Kusto's further outputs need a tuple, shown as an array.
    let all: Vec<String> = std::iter::once(&first)
        .chain(&followers)
        .map(|items| apply(items).str().to_owned())
        .collect();
    array(&all)
}

fn pack_array<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let items: Vec<Cow<'_, str>> = args.iter().map(to_json).collect();
    array(&items)
}

fn range<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let is_real = args.iter().any(|arg| matches!(arg, Cell::Real(_)));
    let make = |value: i64| match &args[0] {
        Cell::Datetime(_) => to_json(&Cell::Datetime(value)).into_owned(),
        Cell::Timespan(_) => to_json(&Cell::Timespan(value)).into_owned(),
        _ => value.to_string(),
    };
    let mut items = Vec::new();
    if is_real {
        let (Some(from), Some(to)) = (args[0].as_real(), args[1].as_real()) else {
            return Cell::Null;
        };
        let step = args.get(2).map_or(Some(1.0), Cell::as_real).unwrap_or(0.0);
        let mut position = 0.0;
        let within = |value: f64| if step > 0.0 { value <= to } else { step < 0.0 && value >= to };
        while within(from + step * position) && items.len() < ELEMENTS_MAX {
            items.push(to_json(&Cell::Real(from + step * position)).into_owned());
            position += 1.0;
        }
        return array(&items);
    }
    let (Some(from), Some(to)) = (long_at(args, 0), long_at(args, 1)) else { return Cell::Null };
    let default = if matches!(args[0], Cell::Datetime(_) | Cell::Timespan(_)) {
        crate::time::HOUR
    } else {
        1
    };
    let step = args.get(2).map_or(Some(default), Cell::as_long).unwrap_or(0);
    let mut value = from;
    while (step > 0 && value <= to || step < 0 && value >= to) && items.len() < ELEMENTS_MAX {
        items.push(make(value));
        let Some(next) = value.checked_add(step) else { break };
        value = next;
    }
    array(&items)
}

fn repeat<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(times) = long_at(args, 1).and_then(|times| usize::try_from(times).ok()) else {
        return Cell::Null;
    };
    let item = to_json(&args[0]);
    let most = ELEMENTS_MAX.min((16 << 20) / item.len().max(1));
    array(&vec![item; times.min(most)])
}

fn zip<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let arrays: Vec<Vec<&str>> = args.iter().map(|arg| elements(arg).unwrap_or_default()).collect();
    let longest = arrays.iter().map(Vec::len).max().unwrap_or(0);
    let rows: Vec<String> = (0..longest)
        .map(|position| {
            let row: Vec<&str> =
                arrays.iter().map(|items| items.get(position).copied().unwrap_or("null")).collect();
            array(&row).str().to_owned()
        })
        .collect();
    array(&rows)
}

/// Distinct elements of the first array that all others have, or none of them has.
fn set<'a>(args: &[Cell<'a>], is_common: bool) -> Cell<'a> {
    let arrays: Option<Vec<HashSet<&str>>> =
        args[1..].iter().map(|arg| Some(elements(arg)?.into_iter().collect())).collect();
    let (Some(first), Some(others)) = (elements(&args[0]), arrays) else { return Cell::Null };
    let keeps = |item: &str| match is_common {
        true => others.iter().all(|other| other.contains(item)),
        false => !others.iter().any(|other| other.contains(item)),
    };
    let kept: Vec<&str> = first.into_iter().filter(|item| keeps(item)).collect();
    array(&kept).distinct()
}

fn has_element<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let wanted = to_json(&args[1]);
    Cell::Bool(items.iter().any(|item| same(item, &wanted)))
}

fn jaccard<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(a), Some(b)) = (elements(&args[0]), elements(&args[1])) else { return Cell::Null };
    let (a, b): (HashSet<_>, HashSet<_>) = (a.into_iter().collect(), b.into_iter().collect());
    let common = a.intersection(&b).count() as f64;
    let all = a.union(&b).count() as f64;
    Cell::Real(if all == 0.0 { f64::NAN } else { common / all })
}

/// Whether a dynamic is an empty array.
pub(super) fn is_empty(cell: &Cell<'_>) -> bool {
    at(std::slice::from_ref(cell), 0).is_some() && text_at(std::slice::from_ref(cell), 0) == "[]"
}

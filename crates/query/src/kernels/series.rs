//! Series: dynamic arrays of numbers, taken element by element, filtered, filled and fitted.

mod fit;
mod outliers;
mod periods;
mod poly;
mod seasonal;

use std::cmp::Ordering;

use kql::Function;

use super::array::{array, elements};
use super::{Kernel, Scratch, at};
use crate::cell::Cell;
use crate::convert::{compare, scalar, to_json};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    elementwise(function)
        .or_else(|| pairwise(function))
        .or_else(|| whole(function))
        .or_else(|| fit::kernel(function))
        .or_else(|| poly::kernel(function))
        .or_else(|| seasonal::kernel(function))
        .or_else(|| periods::kernel(function))
        .or_else(|| outliers::kernel(function))
}

fn elementwise(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesAbs => |args, _| each(args, scalar_abs),
        Function::SeriesAcos => |args, _| each_real(args, f64::acos),
        Function::SeriesAsin => |args, _| each_real(args, f64::asin),
        Function::SeriesAtan => |args, _| each_real(args, f64::atan),
        Function::SeriesCeiling => |args, _| each_real(args, f64::ceil),
        Function::SeriesCos => |args, _| each_real(args, f64::cos),
        Function::SeriesExp => |args, _| each_real(args, f64::exp),
        Function::SeriesFloor => |args, _| each_real(args, f64::floor),
        Function::SeriesLog => |args, _| each_real(args, f64::ln),
        Function::SeriesSign => |args, _| each_real(args, |x| if x == 0.0 { 0.0 } else { x.signum() }),
        Function::SeriesSin => |args, _| each_real(args, f64::sin),
        Function::SeriesTan => |args, _| each_real(args, f64::tan),
    })
}

fn pairwise(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesAdd => |args, _| pairs(args, |a, b| whole_or_real(a, b, i64::checked_add, |a, b| a + b)),
        Function::SeriesSubtract => |args, _| pairs(args, |a, b| whole_or_real(a, b, i64::checked_sub, |a, b| a - b)),
        Function::SeriesMultiply => |args, _| pairs(args, |a, b| whole_or_real(a, b, i64::checked_mul, |a, b| a * b)),
        Function::SeriesDivide => |args, _| pairs(args, |a, b| reals(a, b, |a, b| a / b)),
        Function::SeriesPow => |args, _| pairs(args, |a, b| reals(a, b, f64::powf)),
        Function::SeriesEquals => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_eq)),
        Function::SeriesNotEquals => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_ne)),
        Function::SeriesGreater => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_gt)),
        Function::SeriesGreaterEquals => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_ge)),
        Function::SeriesLess => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_lt)),
        Function::SeriesLessEquals => |args, _| pairs(args, |a, b| test(a, b, Ordering::is_le)),
    })
}

fn whole(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesDotProduct => |args, _| Cell::or_null(dot(args), Cell::Real),
        Function::SeriesSum => |args, _| Cell::or_null(numbers(&args[0]).map(|all| all.iter().sum()), Cell::Real),
        Function::SeriesProduct => |args, _| Cell::or_null(numbers(&args[0]).map(|all| all.iter().product()), Cell::Real),
        Function::SeriesMagnitude => |args, _| Cell::or_null(numbers(&args[0]).map(|all| magnitude(&all)), Cell::Real),
        Function::SeriesCosineSimilarity => |args, _| Cell::or_null(cosine(args), Cell::Real),
        Function::SeriesPearsonCorrelation => |args, _| Cell::or_null(pearson(args), Cell::Real),
        Function::SeriesFillConst => fill_const,
        Function::SeriesFillForward => |args, _| fill_neighbour(args, false),
        Function::SeriesFillBackward => |args, _| fill_neighbour(args, true),
        Function::SeriesFillLinear => fill_linear,
        Function::SeriesFir => fir,
        Function::SeriesIir => iir,
        Function::SeriesStats => |args, _| stats(args, false),
        Function::SeriesStatsDynamic => |args, _| stats(args, true),
        Function::SeriesFft => |args, _| fft(args, false),
        Function::SeriesIfft => |args, _| fft(args, true),
    })
}

/// The numbers of an array; none if one of them is missing or no number.
pub(super) fn numbers(cell: &Cell<'_>) -> Option<Vec<f64>> {
    elements(cell)?.into_iter().map(|item| scalar(item).as_real()).collect()
}

/// JSON of a real; what is no number is null.
pub(super) fn real_text(number: f64) -> String {
    if number.is_finite() {
        to_json(&Cell::Real(number)).into_owned()
    } else {
        format!("\"{}\"", kql::format_real(number))
    }
}

pub(super) fn reals_array<'a>(numbers: &[f64]) -> Cell<'a> {
    let texts: Vec<String> = numbers.iter().map(|number| real_text(*number)).collect();
    array(&texts)
}

fn each<'a>(args: &[Cell<'a>], apply: impl Fn(&Cell<'_>) -> Cell<'static>) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let out: Vec<String> = items
        .into_iter()
        .map(|item| match apply(&scalar(item)) {
            Cell::Real(number) => real_text(number),
            other => to_json(&other).into_owned(),
        })
        .collect();
    array(&out)
}

fn each_real<'a>(args: &[Cell<'a>], apply: impl Fn(f64) -> f64) -> Cell<'a> {
    each(args, |cell| match cell {
        Cell::Long(_) | Cell::Real(_) => Cell::or_null(cell.as_real().map(&apply), Cell::Real),
        _ => Cell::Null,
    })
}

fn scalar_abs(cell: &Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Long(number) => Cell::Long(number.wrapping_abs()),
        Cell::Real(number) => Cell::Real(number.abs()),
        _ => Cell::Null,
    }
}

/// Two series element by element, the shorter one filled up with nulls; a number alone goes with
/// every element.
fn pairs<'a>(args: &[Cell<'a>], apply: impl Fn(&Cell<'_>, &Cell<'_>) -> Cell<'static>) -> Cell<'a> {
    let (left, right) = (elements(&args[0]), elements(&args[1]));
    let length = match (&left, &right) {
        (Some(left), Some(right)) => left.len().max(right.len()),
        (Some(list), None) | (None, Some(list)) => list.len(),
        (None, None) => return Cell::Null,
    };
    let lone = [single(&args[0]), single(&args[1])];
    let pick = |list: &Option<Vec<&str>>, side: usize, at: usize| match list {
        Some(list) => list.get(at).map_or(Cell::Null, |item| scalar(item).into_owned()),
        None => lone[side].clone(),
    };
    let out: Vec<String> = (0..length)
        .map(|at| match apply(&pick(&left, 0, at), &pick(&right, 1, at)) {
            Cell::Real(number) => real_text(number),
            other => to_json(&other).into_owned(),
        })
        .collect();
    array(&out)
}

fn single(cell: &Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Dynamic(json) => scalar(json).into_owned(),
        other => other.clone().into_owned(),
    }
}

fn is_number(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::Long(_) | Cell::Real(_))
}

fn whole_or_real(
    a: &Cell<'_>,
    b: &Cell<'_>,
    whole: impl Fn(i64, i64) -> Option<i64>,
    real: impl Fn(f64, f64) -> f64,
) -> Cell<'static> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::or_null(whole(*a, *b), Cell::Long),
        _ => reals(a, b, real),
    }
}

fn reals(a: &Cell<'_>, b: &Cell<'_>, apply: impl Fn(f64, f64) -> f64) -> Cell<'static> {
    if !is_number(a) || !is_number(b) {
        return Cell::Null;
    }
    match (a.as_real(), b.as_real()) {
        (Some(a), Some(b)) => Cell::Real(apply(a, b)),
        _ => Cell::Null,
    }
}

fn test(a: &Cell<'_>, b: &Cell<'_>, holds: impl Fn(Ordering) -> bool) -> Cell<'static> {
    if a.is_null() || b.is_null() {
        return Cell::Null;
    }
    Cell::or_null(compare(a, b).map(holds), Cell::Bool)
}

fn dot(args: &[Cell<'_>]) -> Option<f64> {
    let (a, b) = (numbers(&args[0]), numbers(&args[1]));
    match (a, b) {
        (Some(a), Some(b)) => (a.len() == b.len()).then(|| product_sum(&a, &b)),
        (Some(a), None) => Some(a.iter().sum::<f64>() * single(&args[1]).as_real()?),
        (None, Some(b)) => Some(b.iter().sum::<f64>() * single(&args[0]).as_real()?),
        (None, None) => None,
    }
}

fn product_sum(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn magnitude(all: &[f64]) -> f64 {
    product_sum(all, all).sqrt()
}

/// The magnitudes may be given.
fn cosine(args: &[Cell<'_>]) -> Option<f64> {
    let (a, b) = (numbers(&args[0])?, numbers(&args[1])?);
    if a.len() != b.len() {
        return None;
    }
    let left = at(args, 2).and_then(Cell::as_real).unwrap_or_else(|| magnitude(&a));
    let right = at(args, 3).and_then(Cell::as_real).unwrap_or_else(|| magnitude(&b));
    Some(product_sum(&a, &b) / (left * right))
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len() as f64
}

fn pearson(args: &[Cell<'_>]) -> Option<f64> {
    let (a, b) = (numbers(&args[0])?, numbers(&args[1])?);
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let a: Vec<f64> = a.iter().map(|x| x - mean_a).collect();
    let b: Vec<f64> = b.iter().map(|x| x - mean_b).collect();
    Some(product_sum(&a, &b) / (magnitude(&a) * magnitude(&b)))
}

/// Whether an element stands for what is missing: null unless the query says another value.
fn is_missing(item: &str, placeholder: Option<&Cell<'_>>) -> bool {
    match placeholder {
        None => item == "null",
        Some(placeholder) => compare(&scalar(item), &single(placeholder)) == Some(Ordering::Equal),
    }
}

fn fill_const<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let value = to_json(&args[1]);
    let missing = at(args, 2);
    let out: Vec<&str> = items
        .into_iter()
        .map(|item| if is_missing(item, missing) { &*value } else { item })
        .collect();
    array(&out)
}

fn fill_neighbour<'a>(args: &[Cell<'a>], backward: bool) -> Cell<'a> {
    let Some(mut items) = elements(&args[0]) else { return Cell::Null };
    let missing = at(args, 1);
    if backward {
        items.reverse();
    }
    let mut last: Option<&str> = None;
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        if !is_missing(item, missing) {
            last = Some(item);
        }
        out.push(last.unwrap_or(item));
    }
    if backward {
        out.reverse();
    }
    array(&out)
}

/// (series, placeholder, whether the ends are filled, constant for a series of nothing). A series
/// of whole numbers stays one.
fn fill_linear<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let missing = at(args, 1);
    let fill_ends = at(args, 2).and_then(Cell::as_bool).unwrap_or(true);
    let known: Vec<(usize, f64)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !is_missing(item, missing))
        .filter_map(|(at, item)| Some((at, scalar(item).as_real()?)))
        .collect();
    if known.is_empty() {
        let constant = at(args, 3).map_or_else(|| "0.0".into(), to_json);
        return array(&vec![constant; items.len()]);
    }
    let is_whole =
        items.iter().all(|item| is_missing(item, missing) || matches!(scalar(item), Cell::Long(_)));
    let text = |value: f64| {
        if is_whole { to_json(&Cell::Long(value as i64)).into_owned() } else { real_text(value) }
    };
    let out: Vec<String> = items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            if !is_missing(item, missing) {
                return (*item).to_owned();
            }
            let after = known.partition_point(|(place, _)| *place < at);
            match (after.checked_sub(1).map(|before| known[before]), known.get(after).copied()) {
                (Some((x0, y0)), Some((x1, y1))) => {
                    text(y0 + (y1 - y0) * (at - x0) as f64 / (x1 - x0) as f64)
                }
                (Some((_, value)), None) | (None, Some((_, value))) if fill_ends => text(value),
                _ => (*item).to_owned(),
            }
        })
        .collect();
    array(&out)
}

/// (series, filter, normalised, centred). Without a word, filters are normalised unless their sum
/// is zero.
fn fir<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(series), Some(filter)) = (numbers(&args[0]), numbers(&args[1])) else {
        return Cell::Null;
    };
    let sum: f64 = filter.iter().sum();
    let any_negative = filter.iter().any(|weight| *weight < 0.0);
    let normalise = at(args, 2).and_then(Cell::as_bool).unwrap_or(!any_negative);
    let centre = at(args, 3).and_then(Cell::as_bool).unwrap_or(false);
    let scale = if normalise && sum != 0.0 { sum } else { 1.0 };
    let ahead = if centre { filter.len() / 2 } else { 0 };
    let out: Vec<f64> = (0..series.len())
        .map(|at| {
            let taps = filter.iter().enumerate().filter_map(|(tap, weight)| {
                Some(series.get((at + ahead).checked_sub(tap)?)? * weight)
            });
            taps.sum::<f64>() / scale
        })
        .collect();
    reals_array(&out)
}

/// (series, numerators, denominators), normalised by the first denominator.
fn iir<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(series), Some(b), Some(a)) =
        (numbers(&args[0]), numbers(&args[1]), numbers(&args[2]))
    else {
        return Cell::Null;
    };
    let Some((first, rest)) = a.split_first().filter(|(first, _)| **first != 0.0) else {
        return Cell::Null;
    };
    let mut out: Vec<f64> = Vec::with_capacity(series.len());
    for at in 0..series.len() {
        let fed: f64 = b
            .iter()
            .enumerate()
            .filter_map(|(tap, weight)| Some(series.get(at.checked_sub(tap)?)? * weight))
            .sum();
        let back: f64 = rest
            .iter()
            .enumerate()
            .filter_map(|(tap, weight)| Some(out.get(at.checked_sub(tap + 1)?)? * weight))
            .sum();
        out.push((fed - back) / first);
    }
    reals_array(&out)
}

/// As an array in the order of the columns, or as a bag.
fn stats<'a>(args: &[Cell<'a>], as_bag: bool) -> Cell<'a> {
    let Some(items) = elements(&args[0]) else { return Cell::Null };
    let ignores = at(args, 1).and_then(Cell::as_bool).unwrap_or(false);
    let mut known: Vec<(usize, f64)> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match scalar(item).as_real() {
            Some(value) if value.is_finite() => known.push((at, value)),
            _ if ignores => {}
            _ => return Cell::Null,
        }
    }
    let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
    let Some(&first) = known.first() else { return Cell::Null };
    let least = known.iter().fold(first, |best, next| if next.1 < best.1 { *next } else { best });
    let most = known.iter().fold(first, |best, next| if next.1 > best.1 { *next } else { best });
    let average = mean(&values);
    let squares: f64 = values.iter().map(|value| (value - average).powi(2)).sum();
    let variance = if values.len() > 1 { squares / (values.len() - 1) as f64 } else { 0.0 };
    let parts = [
        ("min", real_text(least.1)),
        ("min_idx", least.0.to_string()),
        ("max", real_text(most.1)),
        ("max_idx", most.0.to_string()),
        ("avg", real_text(average)),
        ("stdev", real_text(variance.sqrt())),
        ("variance", real_text(variance)),
        ("sum", real_text(values.iter().sum())),
        ("len", values.len().to_string()),
    ];
    if as_bag {
        let members: Vec<String> =
            parts.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
        return Cell::dynamic(format!("{{{}}}", members.join(",")));
    }
    let values: Vec<&str> = parts[..7].iter().map(|(_, text)| &**text).collect();
    array(&values)
}

/// Longest series that is transformed; its cost grows with the square unless it is a power of two.
const FFT_MAX: usize = 1 << 14;

/// `[real parts, imaginary parts]`; the inverse is divided by the length.
fn fft<'a>(args: &[Cell<'a>], inverse: bool) -> Cell<'a> {
    let Some(real) = numbers(&args[0]) else { return Cell::Null };
    let imaginary = at(args, 1).and_then(numbers).unwrap_or_else(|| vec![0.0; real.len()]);
    if real.len() != imaginary.len() || real.len() > FFT_MAX {
        return Cell::Null;
    }
    let input: Vec<(f64, f64)> = real.into_iter().zip(imaginary).collect();
    let sign = if inverse { 1.0 } else { -1.0 };
    let scale = if inverse { input.len() as f64 } else { 1.0 };
    let output = transform(&input, sign);
    let real: Vec<f64> = output.iter().map(|(re, _)| re / scale).collect();
    let imaginary: Vec<f64> = output.iter().map(|(_, im)| im / scale).collect();
    let parts = [reals_array(&real), reals_array(&imaginary)];
    array(&[parts[0].str(), parts[1].str()])
}

/// Halves as long as that is possible, then sums up directly.
fn transform(input: &[(f64, f64)], sign: f64) -> Vec<(f64, f64)> {
    let length = input.len();
    let turn = |at: usize| {
        let angle = sign * 2.0 * std::f64::consts::PI * (at % length) as f64 / length as f64;
        (angle.cos(), angle.sin())
    };
    if length > 1 && length.is_multiple_of(2) {
        let half = |first: usize| -> Vec<(f64, f64)> {
            input.iter().skip(first).step_by(2).copied().collect()
        };
        let (even, odd) = (transform(&half(0), sign), transform(&half(1), sign));
        return (0..length)
            .map(|at| {
                let ((er, ei), (or, oi), (c, s)) =
                    (even[at % even.len()], odd[at % odd.len()], turn(at));
                (er + c * or - s * oi, ei + c * oi + s * or)
            })
            .collect();
    }
    (0..length)
        .map(|at| {
            input.iter().enumerate().fold((0.0, 0.0), |(sum_re, sum_im), (place, (re, im))| {
                let (c, s) = turn(at * place);
                (sum_re + c * re - s * im, sum_im + c * im + s * re)
            })
        })
        .collect()
}

//! Series taken apart into season, trend and what is left; what is out of the ordinary in that, and
//! how it goes on.

use kql::Function;

use super::fit::line;
use super::outliers::Fences;
use super::{array, elements, numbers, periods, real_text, reals_array, scalar};
use crate::cell::Cell;
use crate::kernels::{Kernel, at, long_at, text_at};

/// The score from which a period counts: of `series_seasonal`, and of what decomposes.
const SEASONAL_THRESHOLD: f64 = 0.7;
const DECOMPOSE_THRESHOLD: f64 = 0.6;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesSeasonal => |args, _| series_seasonal(args).unwrap_or(Cell::Null),
        Function::SeriesDecompose => |args, _| decompose(args).unwrap_or(Cell::Null),
        Function::SeriesDecomposeForecast => |args, _| forecast(args).unwrap_or(Cell::Null),
        Function::SeriesDecomposeAnomalies => |args, _| anomalies(args).unwrap_or(Cell::Null),
    })
}

/// (series, period = -1)
fn series_seasonal<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let values = numbers(&args[0])?;
    let period = period(&values, long_or(args, 1, -1)?, SEASONAL_THRESHOLD);
    Some(reals_array(&season(&values, period, values.len())))
}

/// The period that is said; -1 looks for one, 0 is none.
fn period(values: &[f64], said: i64, threshold: f64) -> usize {
    match said {
        -1 => periods::best(values, threshold),
        said => usize::try_from(said).unwrap_or(0),
    }
}

/// The median of the values at the same place of each period; zeros without a period.
fn season(learned: &[f64], period: usize, length: usize) -> Vec<f64> {
    if period == 0 {
        return vec![0.0; length];
    }
    let medians: Vec<f64> = (0..period.min(length))
        .map(|phase| median(learned.iter().skip(phase).step_by(period).copied().collect()))
        .collect();
    (0..length).map(|at| medians[at % period]).collect()
}

/// Of nothing, zero.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(upper), 1) => *upper,
        (Some(upper), _) => f64::midpoint(values[middle - 1], *upper),
        (None, _) => 0.0,
    }
}

/// (series, period = -1, trend = 'avg', test points = 0, threshold of periods = 0.6)
fn decompose<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    apart(
        &args[0],
        &Asked {
            period: long_or(args, 1, -1)?,
            trend: text_or(args, 2, "avg"),
            tested: long_or(args, 3, 0)?,
            threshold: real_or(args, 4, DECOMPOSE_THRESHOLD)?,
        },
    )
}

/// (series, points, period = -1, trend = 'avg', threshold of periods = 0.6)
fn forecast<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    apart(
        &args[0],
        &Asked {
            period: long_or(args, 2, -1)?,
            trend: text_or(args, 3, "avg"),
            tested: long_at(args, 1)?,
            threshold: real_or(args, 4, DECOMPOSE_THRESHOLD)?,
        },
    )
}

/// The baseline (which goes on as a forecast), season, trend and what is left.
fn apart<'a>(series: &Cell<'_>, asked: &Asked<'_>) -> Option<Cell<'a>> {
    let parts = Parts::of(series, asked)?;
    let baseline = parts.baseline();
    let residual = texts(&parts.residual(&baseline));
    Some(array(&[text(&baseline), text(&parts.seasonal), text(&parts.trend), residual]))
}

/// (series, threshold = 1.5, period = -1, trend = 'avg', test points = 0, kind = 'ctukey', threshold
/// of periods = 0.6)
fn anomalies<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let asked = Asked {
        period: long_or(args, 2, -1)?,
        trend: text_or(args, 3, "avg"),
        tested: long_or(args, 4, 0)?,
        threshold: real_or(args, 6, DECOMPOSE_THRESHOLD)?,
    };
    let threshold = real_or(args, 1, 1.5)?;
    let fences = match text_or(args, 5, "ctukey") {
        "ctukey" => Fences::WIDE,
        "tukey" => Fences::QUARTILES,
        _ => return None,
    };
    let parts = Parts::of(&args[0], &asked)?;
    let baseline = parts.baseline();
    let scores = fences.scores(&parts.residual(&baseline));
    let flags: Vec<&str> = scores
        .iter()
        .map(|score| match score {
            score if *score > threshold => "1",
            score if *score < -threshold => "-1",
            _ => "0",
        })
        .collect();
    Some(array(&[array(&flags).str(), &text(&scores), &text(&baseline)]))
}

/// How a series is to be taken apart.
struct Asked<'s> {
    period: i64,
    trend: &'s str,
    /// Points at the end of which nothing is learned.
    tested: i64,
    threshold: f64,
}

struct Parts {
    values: Vec<Option<f64>>,
    seasonal: Vec<f64>,
    trend: Vec<f64>,
}

impl Parts {
    /// None of nothing, and where a value to learn from is missing.
    fn of(series: &Cell<'_>, asked: &Asked<'_>) -> Option<Self> {
        let items = elements(series)?;
        let values: Vec<Option<f64>> =
            items.into_iter().map(|item| scalar(item).as_real()).collect();
        let learned = values.len().checked_sub(usize::try_from(asked.tested).ok()?)?;
        let learned: Vec<f64> = values[..learned].iter().copied().collect::<Option<_>>()?;
        if learned.is_empty() {
            return None;
        }
        let period = period(&learned, asked.period, asked.threshold);
        let seasonal = season(&learned, period, values.len());
        let level: Vec<f64> = learned.iter().zip(&seasonal).map(|(v, s)| v - s).collect();
        let trend = match asked.trend {
            "avg" => vec![level.iter().sum::<f64>() / level.len() as f64; values.len()],
            "linefit" => {
                let line = line(&level);
                (0..values.len()).map(|at| line.at(at as f64)).collect()
            }
            "none" => vec![0.0; values.len()],
            _ => return None,
        };
        Some(Self { values, seasonal, trend })
    }

    fn baseline(&self) -> Vec<f64> {
        self.seasonal.iter().zip(&self.trend).map(|(season, trend)| season + trend).collect()
    }

    fn residual(&self, baseline: &[f64]) -> Vec<Option<f64>> {
        let both = self.values.iter().zip(baseline);
        both.map(|(value, base)| value.map(|value| value - base)).collect()
    }
}

fn text(numbers: &[f64]) -> String {
    reals_array(numbers).str().to_owned()
}

fn texts(numbers: &[Option<f64>]) -> String {
    let of = |number: &Option<f64>| number.map_or_else(|| "null".to_owned(), real_text);
    array(&numbers.iter().map(of).collect::<Vec<_>>()).str().to_owned()
}

/// An argument that may be left out; none if it is null.
fn long_or(args: &[Cell<'_>], place: usize, default: i64) -> Option<i64> {
    if args.len() > place { long_at(args, place) } else { Some(default) }
}

fn real_or(args: &[Cell<'_>], place: usize, default: f64) -> Option<f64> {
    if args.len() > place { at(args, place)?.as_real() } else { Some(default) }
}

fn text_or<'s>(args: &'s [Cell<'_>], place: usize, default: &'s str) -> &'s str {
    if args.len() > place { text_at(args, place) } else { default }
}

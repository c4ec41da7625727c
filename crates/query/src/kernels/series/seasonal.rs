//! Series taken apart into season, trend and what is left, by a period that the query says.
//!
//! Kusto does not publish how it finds a period itself: that is refused when a query is lowered.

use kql::Function;

use super::fit::line;
use super::{array, numbers, reals_array};
use crate::cell::Cell;
use crate::kernels::{Kernel, long_at, text_at};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesSeasonal => |args, _| series_seasonal(args).unwrap_or(Cell::Null),
        Function::SeriesDecompose => |args, _| decompose(args).unwrap_or(Cell::Null),
    })
}

/// (series, period)
fn series_seasonal<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let values = numbers(&args[0])?;
    let period = usize::try_from(long_at(args, 1)?).unwrap_or(0);
    Some(reals_array(&season(&values, period, values.len())))
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

/// (series, period, trend = 'avg', test points = 0)
fn decompose<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let values = numbers(&args[0]).filter(|values| !values.is_empty())?;
    let period = usize::try_from(long_at(args, 1)?).unwrap_or(0);
    let tested = match args.get(3) {
        Some(_) => usize::try_from(long_at(args, 3)?).ok()?,
        None => 0,
    };
    let learned = values.get(..values.len().checked_sub(tested)?).filter(|l| !l.is_empty())?;
    let seasonal = season(learned, period, values.len());
    let deseasonal: Vec<f64> = learned.iter().zip(&seasonal).map(|(v, s)| v - s).collect();
    let trend = match args.get(2).map_or("avg", |_| text_at(args, 2)) {
        "avg" => {
            let mean = deseasonal.iter().sum::<f64>() / deseasonal.len() as f64;
            vec![mean; values.len()]
        }
        "linefit" => {
            let line = line(&deseasonal);
            (0..values.len()).map(|at| line.interception + line.slope * at as f64).collect()
        }
        "none" => vec![0.0; values.len()],
        _ => return None,
    };
    let baseline: Vec<f64> = seasonal.iter().zip(&trend).map(|(s, t)| s + t).collect();
    let residual: Vec<f64> = values.iter().zip(&baseline).map(|(v, b)| v - b).collect();
    let parts =
        [baseline, seasonal, trend, residual].map(|part| reals_array(&part).str().to_owned());
    Some(array(&parts))
}

//! Scores of outliers: how far a value lies outside of the fences of Tukey's test.

use kql::Function;

use super::{elements, reals_array, scalar};
use crate::cell::Cell;
use crate::kernels::probability::erfc;
use crate::kernels::{Kernel, at};

/// What makes a score of 1.5 mean the same with the 10th and 90th percentile as with the quartiles,
/// as Kusto has it (<https://stackoverflow.com/questions/75264555>).
const FACTOR: f64 = 2.772_605_605_507_915;

/// Quantiles of the normal distribution: at 75 %, and where a score of 1.5 lies.
const QUARTILE: f64 = 0.674_489_750_196_082;
const FENCE: f64 = 4.0 * QUARTILE;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesOutliers => |args, _| series_outliers(args).unwrap_or(Cell::Null),
    })
}

/// (series, kind = 'ctukey', value that is none, lower percentile = 10, upper percentile = 90)
fn series_outliers<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let ignored = at(args, 2).and_then(Cell::as_real);
    let values: Vec<Option<f64>> = elements(&args[0])?
        .into_iter()
        .map(|item| scalar(item).as_real().filter(|value| Some(*value) != ignored))
        .collect();
    let fences = match at(args, 1).map(Cell::str) {
        Some("tukey") => Fences::QUARTILES,
        None | Some("ctukey") => {
            let percentile = |place: usize, default: f64| {
                let given = at(args, place).map_or(Some(default), Cell::as_real);
                given.filter(|percentile| (2.0..=98.0).contains(percentile))
            };
            Fences { low: percentile(3, 10.0)?, high: percentile(4, 90.0)? }
        }
        Some(_) => return None,
    };
    Some(reals_array(&fences.scores(&values)))
}

/// Between which percentiles values are ordinary.
#[derive(Clone, Copy)]
pub(super) struct Fences {
    low: f64,
    high: f64,
}

impl Fences {
    pub(super) const QUARTILES: Self = Self { low: 25.0, high: 75.0 };
    pub(super) const WIDE: Self = Self { low: 10.0, high: 90.0 };

    /// 0 within, and for what is missing; below it is negative.
    pub(super) fn scores(self, values: &[Option<f64>]) -> Vec<f64> {
        let mut known: Vec<f64> = values.iter().filter_map(|value| *value).collect();
        known.sort_by(f64::total_cmp);
        if known.is_empty() {
            return vec![0.0; values.len()];
        }
        let (low, high) = (quantile(&known, self.low), quantile(&known, self.high));
        let factor = self.factor();
        let score = |value: f64| {
            let outside = if value > high { value - high } else { (value - low).min(0.0) };
            if outside == 0.0 { 0.0 } else { outside / (high - low) * factor }
        };
        values.iter().map(|value| value.map_or(0.0, score)).collect()
    }

    fn factor(self) -> f64 {
        match (self.low, self.high) {
            (25.0, 75.0) => 1.0,
            (10.0, 90.0) => FACTOR,
            (low, high) => {
                let (low, high) = (normal_quantile(low / 100.0), normal_quantile(high / 100.0));
                1.5 * (high - low) / (FENCE - high)
            }
        }
    }
}

/// Of sorted values, with what lies between two of them in proportion.
fn quantile(sorted: &[f64], percentile: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * percentile / 100.0;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// By halving: the distribution function is at hand, its inverse is not.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if 0.5 * erfc(-middle / std::f64::consts::SQRT_2) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

//! Periods of series: lags at which a series looks like itself.
//!
//! Kusto does not publish its formula. Here a lag counts if the autocorrelation, without a linear
//! trend, is highest around it; its score says where that lies between the lowest one and 1. In the
//! documented examples of Kusto the same periods are found, and the scores agree to two digits.

use kql::Function;

use super::fit::line;
use super::{array, numbers, reals_array};
use crate::cell::Cell;
use crate::kernels::{Kernel, at, long_at};

/// Shortest period that is looked for.
const PERIOD_MIN: usize = 4;

/// Longest series that is searched: the cost grows with the square of its length.
const SEARCH_MAX: usize = 1 << 14;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesPeriodsDetect => |args, _| detected(args).unwrap_or(Cell::Null),
        Function::SeriesPeriodsValidate => |args, _| validated(args).unwrap_or(Cell::Null),
    })
}

/// The best period, if its score is at least the threshold; else 0.
pub(super) fn best(values: &[f64], threshold: f64) -> usize {
    let found = Scores::of(values).and_then(|scores| scores.ranked().first().copied());
    found.filter(|(_, score)| *score >= threshold).map_or(0, |(period, _)| period)
}

/// (series, shortest, longest, how many)
fn detected<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let values = numbers(&args[0])?;
    let (least, most) = (args[1].as_real()?, args[2].as_real()?);
    let count = usize::try_from(long_at(args, 3)?).ok()?.min(values.len());
    let ranked = Scores::of(&values).map_or_else(Vec::new, |scores| scores.ranked());
    let mut periods = vec![0.0; count];
    let mut found = vec![0.0; count];
    let within = ranked.into_iter().map(|(period, score)| (period as f64, score));
    let within = within.filter(|(period, _)| (least..=most).contains(period));
    for (place, (period, score)) in within.take(count).enumerate() {
        (periods[place], found[place]) = (period, score);
    }
    Some(pair(&periods, &found))
}

/// (series, periods…)
fn validated<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let values = numbers(&args[0])?;
    let scores = Scores::of(&values);
    let periods: Vec<f64> =
        (1..args.len()).map(|place| at(args, place)?.as_real()).collect::<Option<_>>()?;
    let found: Vec<f64> = periods
        .iter()
        .map(|period| scores.as_ref().map_or(0.0, |scores| scores.at(*period)))
        .collect();
    Some(pair(&periods, &found))
}

fn pair<'a>(periods: &[f64], scores: &[f64]) -> Cell<'a> {
    array(&[reals_array(periods).str(), reals_array(scores).str()])
}

/// The autocorrelation of a series without its linear trend.
struct Scores {
    by_lag: Vec<f64>,
    longest: usize,
    lowest: f64,
}

impl Scores {
    /// None of a series that is too short, too long, or a straight line.
    fn of(values: &[f64]) -> Option<Self> {
        let longest = values.len() / 2;
        if longest < PERIOD_MIN || values.len() > SEARCH_MAX {
            return None;
        }
        let line = line(values);
        let level: Vec<f64> = (0..).zip(values).map(|(x, y)| y - line.at(f64::from(x))).collect();
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        let spread = squares(&level);
        // What is left of a line is noise of the computation.
        if !spread.is_finite() || spread <= f64::EPSILON * squares(values) {
            return None;
        }
        let lags = (longest + longest / 4 + 1).min(values.len());
        let by_lag: Vec<f64> = (0..lags)
            .map(|lag| level.iter().zip(&level[lag..]).map(|(a, b)| a * b).sum::<f64>() / spread)
            .collect();
        let lowest = by_lag[..=longest].iter().copied().fold(1.0, f64::min);
        Some(Self { by_lag, longest, lowest })
    }

    /// 0 unless the series is more like itself at this lag than at those around it.
    fn at(&self, period: f64) -> f64 {
        let lag = period.round();
        if !(PERIOD_MIN as f64..=self.longest as f64).contains(&lag) {
            return 0.0;
        }
        let lag = lag as usize;
        let around = (lag / 4).max(2);
        let own = self.by_lag[lag];
        let before = &self.by_lag[lag - around..lag];
        let after = self.by_lag.iter().skip(lag + 1).take(around);
        let is_highest =
            before.iter().all(|other| own > *other) && after.into_iter().all(|other| own >= *other);
        if own > 0.0 && is_highest { (own - self.lowest) / (1.0 - self.lowest) } else { 0.0 }
    }

    /// Periods with their scores, best first, without multiples of better ones.
    fn ranked(&self) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> = (PERIOD_MIN..=self.longest)
            .map(|lag| (lag, self.at(lag as f64)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        all.sort_by(|one, other| other.1.total_cmp(&one.1));
        let mut kept: Vec<(usize, f64)> = Vec::new();
        for (lag, score) in all {
            if !kept.iter().any(|(better, _)| is_multiple(lag, *better)) {
                kept.push((lag, score));
            }
        }
        kept
    }
}

/// Lags are whole, periods need not be: what is near a multiple counts as one.
fn is_multiple(lag: usize, period: usize) -> bool {
    let off = lag % period;
    lag > period && off.min(period - off) <= (period / 8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A week of hours whose days differ at the weekend, with a trend.
    fn weeks() -> Vec<f64> {
        (1..=24 * 7 * 5)
            .map(|hour| {
                let level = if (hour / 24) % 7 >= 5 { 5.0 } else { 15.0 };
                let of_day = f64::from(hour % 24) / 10.0;
                level - of_day * of_day + f64::from(hour) / 72.0
            })
            .collect()
    }

    #[test]
    fn a_week_is_found_and_its_days() {
        let scores = Scores::of(&weeks()).expect("long enough");
        let ranked = scores.ranked();
        assert_eq!(ranked[0].0, 24 * 7, "{ranked:?}");
        assert_eq!(best(&weeks(), 0.6), 24 * 7);
        assert_eq!(best(&weeks(), 0.99), 0);
    }

    #[test]
    fn lines_and_short_series_have_no_period() {
        let line: Vec<f64> = (0..100).map(|x| f64::from(x) * 3.0 + 7.0).collect();
        assert_eq!(best(&line, 0.0), 0);
        assert_eq!(best(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0], 0.0), 0);
        assert_eq!(best(&[5.0; 50], 0.0), 0);
    }
}

//! Lays grouped values out on the axis of `make-series`.

use std::collections::HashMap;

use kql::{QueryError, QueryErrorKind, SeriesWork};

use super::{Row, key_of};
use crate::cell::Cell;
use crate::convert::to_json;
use crate::error::Outcome;

/// Most steps of a series, Kusto's own limit on elements of an array.
const STEPS_MAX: i64 = 1_048_576;

/// The axis: whole numbers and ticks, or reals.
struct Axis {
    from: Option<Cell<'static>>,
    to: Option<Cell<'static>>,
    step: Cell<'static>,
    end_included: bool,
}

/// One series: its keys, and its values by position on the axis.
struct Series {
    keys: Row,
    start: Cell<'static>,
    points: Vec<(Cell<'static>, Row)>,
}

/// Rows of keys, step and values become rows of keys, arrays, and the array of the axis. The
/// constants are the step, the bounds that are given, and the defaults.
pub(super) fn lay_out(
    work: &SeriesWork,
    constants: &[Cell<'static>],
    rows: &[Row],
) -> Outcome<Vec<Row>> {
    let mut given = constants.iter().cloned();
    let step = given.next().unwrap_or(Cell::Null);
    let from = work.from.as_ref().and_then(|_| given.next());
    let to = work.to.as_ref().and_then(|_| given.next());
    let defaults: Vec<String> = given.map(|cell| to_json(&cell).into_owned()).collect();
    let axis = Axis { from, to, step, end_included: work.end_included };
    axis.check()?;
    let mut all = grouped(work.keys, rows);
    if all.is_empty() && work.never_empty && work.keys == 0 {
        let start = axis.from.clone().unwrap_or(Cell::Null);
        all.push(Series { keys: Row::new(), start, points: Vec::new() });
    }
    all.into_iter().map(|series| series_row(series, &axis, &defaults)).collect()
}

/// Rows of the same keys together, in the order of their first one.
fn grouped(keys: usize, rows: &[Row]) -> Vec<Series> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<Series> = Vec::new();
    for row in rows {
        let (own, rest) = row.split_at(keys.min(row.len()));
        let Some((at, values)) = rest.split_first() else { continue };
        let place = *places.entry(key_of(own)).or_insert_with(|| {
            all.push(Series { keys: own.to_vec(), start: at.clone(), points: Vec::new() });
            all.len() - 1
        });
        let series = &mut all[place];
        if number(at) < number(&series.start) {
            series.start = at.clone();
        }
        series.points.push((at.clone(), values.to_vec()));
    }
    all
}

fn series_row(series: Series, axis: &Axis, defaults: &[String]) -> Outcome<Row> {
    let start = axis.from.clone().unwrap_or_else(|| series.start.clone());
    let last = series.points.iter().filter_map(|(at, _)| axis.position(&start, at)).max();
    let steps = axis.steps(&start, last)?;
    let mut arrays: Vec<Vec<Option<String>>> =
        vec![vec![None; usize::try_from(steps).unwrap_or(0)]; defaults.len()];
    for (at, values) in &series.points {
        let place = axis.position(&start, at).and_then(|at| usize::try_from(at).ok());
        for (array, value) in arrays.iter_mut().zip(values) {
            if let Some(slot) = place.and_then(|place| array.get_mut(place)) {
                *slot = Some(to_json(value).into_owned());
            }
        }
    }
    let mut row = series.keys;
    for (array, default) in arrays.iter().zip(defaults) {
        row.push(json_array(array.iter().map(|value| value.as_deref().unwrap_or(default))));
    }
    let axis_values: Vec<String> =
        (0..steps).map(|at| to_json(&axis.value(&start, at)).into_owned()).collect();
    row.push(json_array(axis_values.iter().map(String::as_str)));
    Ok(row)
}

fn json_array<'s>(items: impl Iterator<Item = &'s str>) -> Cell<'static> {
    let mut out = String::from("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
    Cell::dynamic(out)
}

fn number(cell: &Cell<'_>) -> f64 {
    cell.as_real().unwrap_or(f64::NAN)
}

impl Axis {
    fn check(&self) -> Outcome<()> {
        let positive = match &self.step {
            Cell::Real(step) => *step > 0.0 && step.is_finite(),
            Cell::Decimal(_) => false,
            other => other.as_long().is_some_and(|step| step > 0),
        };
        if positive {
            return Ok(());
        }
        let text = "make-series: the step must be greater than zero";
        Err(QueryError::new(QueryErrorKind::Evaluation, text))
    }

    /// How many steps a value lies behind the start.
    fn position(&self, start: &Cell<'_>, at: &Cell<'_>) -> Option<i64> {
        if let Cell::Real(step) = &self.step {
            let steps = (at.as_real()? - start.as_real()?) / step;
            return crate::cell::real_to_long(steps.round());
        }
        let distance = at.as_long()?.checked_sub(start.as_long()?)?;
        Some(distance.div_euclid(self.step.as_long()?))
    }

    /// How many steps there are; without an end, up to the last one with rows.
    fn steps(&self, start: &Cell<'_>, last: Option<i64>) -> Outcome<i64> {
        let steps = match &self.to {
            None => last.map_or(0, |last| last + 1),
            Some(to) => self.steps_to(start, to).unwrap_or(0),
        };
        if steps > STEPS_MAX {
            let text = format!("make-series: {steps} steps are more than {STEPS_MAX}");
            return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
        }
        Ok(steps.max(0))
    }

    fn steps_to(&self, start: &Cell<'_>, to: &Cell<'_>) -> Option<i64> {
        if let Cell::Real(step) = &self.step {
            let steps = (to.as_real()? - start.as_real()?) / step;
            let whole = crate::cell::real_to_long(steps.ceil())?;
            let on_end = self.end_included && steps.fract() == 0.0;
            return Some(whole + i64::from(on_end));
        }
        let (distance, step) = (to.as_long()?.checked_sub(start.as_long()?)?, self.step.as_long()?);
        let whole = distance.div_euclid(step);
        let on_end = distance.rem_euclid(step) == 0 && !self.end_included;
        Some(whole + i64::from(!on_end))
    }

    fn value(&self, start: &Cell<'static>, at: i64) -> Cell<'static> {
        let ticks = |start: i64, step: i64| start.saturating_add(step.saturating_mul(at));
        match (start, &self.step) {
            (Cell::Datetime(start), Cell::Timespan(step)) => Cell::Datetime(ticks(*start, *step)),
            (Cell::Timespan(start), Cell::Timespan(step)) => Cell::Timespan(ticks(*start, *step)),
            (Cell::Long(start), Cell::Long(step)) => Cell::Long(ticks(*start, *step)),
            (start, step) => match (start.as_real(), step.as_real()) {
                (Some(start), Some(step)) => Cell::Real(start + step * at as f64),
                _ => Cell::Null,
            },
        }
    }
}

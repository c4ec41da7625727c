//! Lines fitted to series by least squares.

use kql::Function;

use super::{array, numbers, real_text, reals_array};
use crate::cell::Cell;
use crate::kernels::Kernel;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesFitLine => |args, _| fit_line(&args[0], false),
        Function::SeriesFitLineDynamic => |args, _| fit_line(&args[0], true),
        Function::SeriesFit2lines => |args, _| fit_2lines(&args[0], false),
        Function::SeriesFit2linesDynamic => |args, _| fit_2lines(&args[0], true),
    })
}

/// A line through the points (0, y₀), (1, y₁) ….
pub(super) struct Line {
    slope: f64,
    interception: f64,
    /// Of the values, and of what the line leaves.
    variance: f64,
    rvariance: f64,
    rsquare: f64,
    fitted: Vec<f64>,
}

impl Line {
    pub(super) fn at(&self, x: f64) -> f64 {
        self.interception + self.slope * x
    }
}

pub(super) fn line(values: &[f64]) -> Line {
    let count = values.len() as f64;
    let mean_x = (count - 1.0) / 2.0;
    let mean_y = values.iter().sum::<f64>() / count;
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let (dx, dy) = (at as f64 - mean_x, value - mean_y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    let slope = if xx == 0.0 { 0.0 } else { xy / xx };
    let interception = mean_y - slope * mean_x;
    let fitted: Vec<f64> = (0..values.len()).map(|at| interception + slope * at as f64).collect();
    let left: f64 = values.iter().zip(&fitted).map(|(y, fit)| (y - fit).powi(2)).sum();
    let freedom = (count - 1.0).max(1.0);
    let rsquare = if yy == 0.0 { 0.0 } else { 1.0 - left / yy };
    Line { slope, interception, variance: yy / freedom, rvariance: left / freedom, rsquare, fitted }
}

fn fit_line<'a>(series: &Cell<'_>, as_bag: bool) -> Cell<'a> {
    let Some(values) = numbers(series).filter(|values| !values.is_empty()) else {
        return Cell::Null;
    };
    let line = line(&values);
    let parts = [
        ("rsquare", real_text(line.rsquare)),
        ("slope", real_text(line.slope)),
        ("variance", real_text(line.variance)),
        ("rvariance", real_text(line.rvariance)),
        ("interception", real_text(line.interception)),
        ("line_fit", reals_array(&line.fitted).str().to_owned()),
    ];
    packed(&parts, as_bag)
}

fn packed<'a>(parts: &[(&str, String)], as_bag: bool) -> Cell<'a> {
    if as_bag {
        let members: Vec<String> =
            parts.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
        return Cell::dynamic(format!("{{{}}}", members.join(",")));
    }
    let values: Vec<&str> = parts.iter().map(|(_, text)| &**text).collect();
    array(&values)
}

/// Longest series that is split: the cost grows with the square of its length.
const SPLIT_MAX: usize = 4_096;

/// The split whose two lines leave the least.
fn fit_2lines<'a>(series: &Cell<'_>, as_bag: bool) -> Cell<'a> {
    let Some(values) = numbers(series).filter(|all| (4..=SPLIT_MAX).contains(&all.len())) else {
        return Cell::Null;
    };
    let left_over = |line: &Line, count: usize| line.rvariance * (count as f64 - 1.0).max(1.0);
    let mut best: Option<(f64, usize)> = None;
    for split in 2..values.len() - 1 {
        let (left, right) = values.split_at(split);
        let sum = left_over(&line(left), left.len()) + left_over(&line(right), right.len());
        if best.is_none_or(|(least, _)| sum < least) {
            best = Some((sum, split));
        }
    }
    let Some((sum, split)) = best else { return Cell::Null };
    let (left, right) = (line(&values[..split]), line(&values[split..]));
    let whole = line(&values);
    let freedom = (values.len() as f64 - 1.0).max(1.0);
    let spread = whole.variance * freedom;
    let fitted: Vec<f64> = left.fitted.iter().chain(&right.fitted).copied().collect();
    let rsquare = if spread == 0.0 { 0.0 } else { 1.0 - sum / spread };
    let side = |line: &Line| {
        [
            ("rsquare", real_text(line.rsquare)),
            ("slope", real_text(line.slope)),
            ("interception", real_text(line.interception)),
            ("variance", real_text(line.variance)),
            ("rvariance", real_text(line.rvariance)),
        ]
    };
    let mut parts = vec![
        ("rsquare", real_text(rsquare)),
        ("split_idx", split.to_string()),
        ("variance", real_text(whole.variance)),
        ("rvariance", real_text(sum / freedom)),
        ("line_fit", reals_array(&fitted).str().to_owned()),
    ];
    if as_bag {
        parts.push(("right", packed(&side(&right), true).str().to_owned()));
        parts.push(("left", packed(&side(&left), true).str().to_owned()));
    } else {
        parts.extend(side(&right));
        parts.extend(side(&left));
    }
    packed(&parts, as_bag)
}

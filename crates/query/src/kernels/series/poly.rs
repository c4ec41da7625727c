//! Polynomials fitted to series by least squares.

use kql::Function;

use super::{array, numbers, real_text, reals_array};
use crate::cell::Cell;
use crate::kernels::{Kernel, at, long_at};

/// Highest degree: beyond it, digits of a real say nothing any more.
const DEGREE_MAX: usize = 32;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::SeriesFitPoly => |args, _| fit_poly(args).unwrap_or(Cell::Null),
    })
}

/// (y, x = [1, 2 …], degree = 1)
fn fit_poly<'a>(args: &[Cell<'_>]) -> Option<Cell<'a>> {
    let y = numbers(&args[0]).filter(|values| !values.is_empty())?;
    let x = match at(args, 1) {
        Some(series) => numbers(series).filter(|x| x.len() == y.len())?,
        None => (1..=y.len()).map(|at| at as f64).collect(),
    };
    let degree = match args.get(2) {
        Some(_) => usize::try_from(long_at(args, 2)?).ok().filter(|d| *d <= DEGREE_MAX)?,
        None => 1,
    };
    let lowest_first = fitted(&x, &y, degree)?;
    let value = |x: f64| lowest_first.iter().rev().fold(0.0, |sum: f64, c| sum.mul_add(x, *c));
    let fit: Vec<f64> = x.iter().map(|x| value(*x)).collect();
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let spread: f64 = y.iter().map(|y| (y - mean).powi(2)).sum();
    let left: f64 = y.iter().zip(&fit).map(|(y, fit)| (y - fit).powi(2)).sum();
    let freedom = (y.len() as f64 - 1.0).max(1.0);
    let rsquare = if spread == 0.0 { 0.0 } else { 1.0 - left / spread };
    let highest_first: Vec<f64> = lowest_first.into_iter().rev().collect();
    Some(array(&[
        real_text(rsquare),
        reals_array(&highest_first).str().to_owned(),
        real_text(spread / freedom),
        real_text(left / freedom),
        reals_array(&fit).str().to_owned(),
    ]))
}

/// The coefficients, lowest power first; none where the points do not tell them.
///
/// The powers are of x moved to its mean and scaled to its extent, made orthogonal to each other; only
/// the answer is in powers of x itself.
fn fitted(x: &[f64], y: &[f64], degree: usize) -> Option<Vec<f64>> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let extent = x.iter().map(|x| (x - mean).abs()).fold(0.0, f64::max);
    let scale = if extent > 0.0 { extent } else { 1.0 };
    let moved: Vec<f64> = x.iter().map(|x| (x - mean) / scale).collect();
    // Each orthogonal polynomial as its values at the points, and its coefficients.
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut total = vec![0.0; degree + 1];
    for power in 0..=degree {
        let (mut values, mut own) = match basis.last() {
            None => (vec![1.0; x.len()], vec![1.0]),
            Some((before, coefficients)) => {
                let values = before.iter().zip(&moved).map(|(v, x)| v * x).collect();
                (values, [&[0.0][..], &coefficients[..]].concat())
            }
        };
        // Twice, because what is left after once is not orthogonal to the last digit.
        for _ in 0..2 {
            for (other, coefficients) in &basis {
                let share = dot(&values, other) / dot(other, other);
                values.iter_mut().zip(other).for_each(|(v, o)| *v -= share * o);
                own.iter_mut().zip(coefficients).for_each(|(v, o)| *v -= share * o);
            }
        }
        let length = dot(&values, &values);
        let is_told = power < x.len() && length > f64::EPSILON.powi(2) * x.len() as f64;
        if !is_told {
            return None;
        }
        let share = dot(&values, y) / length;
        total.iter_mut().zip(&own).for_each(|(t, o)| *t += share * o);
        basis.push((values, own));
    }
    Some(unmoved(&total, mean, scale))
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// A polynomial of (x − mean) / scale as one of x.
fn unmoved(moved: &[f64], mean: f64, scale: f64) -> Vec<f64> {
    let mut all = vec![0.0; moved.len()];
    for coefficient in moved.iter().rev() {
        // all ← all · (x − mean) / scale + coefficient
        for at in (0..all.len()).rev() {
            let lower = if at == 0 { 0.0 } else { all[at - 1] };
            all[at] = (lower - all[at] * mean) / scale;
        }
        all[0] += coefficient;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_found_again() {
        // Far from zero.
        let x: Vec<f64> = (0..200).map(|at| 1000.0 + f64::from(at)).collect();
        let y: Vec<f64> = x.iter().map(|x| 2.0 * x * x * x - 7.0 * x + 3.0).collect();
        let found = fitted(&x, &y, 3).expect("enough points");
        assert!((found[3] - 2.0).abs() < 1e-6, "{found:?}");
        assert!((found[1] + 7.0).abs() < 1.0, "{found:?}");
    }

    #[test]
    fn too_few_points_tell_nothing() {
        assert_eq!(fitted(&[1.0, 2.0], &[1.0, 2.0], 2), None);
        assert_eq!(fitted(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], 1), None);
    }
}

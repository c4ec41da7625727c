//! The error function and the beta distribution.

use kql::Function;

use super::Kernel;
use super::special::log_gamma;
use crate::cell::Cell;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::Erf => |args, _| Cell::or_null(args[0].as_real(), |x| Cell::Real(1.0 - erfc(x))),
        Function::Erfc => |args, _| Cell::or_null(args[0].as_real(), |x| Cell::Real(erfc(x))),
        Function::BetaCdf => |args, _| of_beta(args, |x, a, b| {
            if (0.0..=1.0).contains(&x) { incomplete_beta(x, a, b) } else { f64::NAN }
        }),
        Function::BetaPdf => |args, _| of_beta(args, |x, a, b| {
            if (0.0..=1.0).contains(&x) { density(x, a, b) } else { f64::NAN }
        }),
        Function::BetaInv => |args, _| match args[0].as_real() {
            Some(p) if (0.0..=1.0).contains(&p) => of_beta(args, inverse_beta),
            _ => Cell::Null,
        },
        Function::WelchTest => |args, _| {
            let of = |at: usize| Some((args[at].as_real()?, args[at + 1].as_real()?, args[at + 2].as_real()?));
            Cell::or_null(of(0).zip(of(3)).and_then(|(a, b)| welch_test(a, b)), Cell::Real)
        },
    })
}

/// Student's t for two samples of unequal variance, each by mean, variance and count: how likely
/// their means are to lie so far apart, or farther, if they are the same.
fn welch_test(a: (f64, f64, f64), b: (f64, f64, f64)) -> Option<f64> {
    let (of_a, of_b) = (a.1 / a.2, b.1 / b.2);
    let spread = of_a + of_b;
    if !(a.2 > 1.0 && b.2 > 1.0 && spread > 0.0) {
        return None;
    }
    let t = (a.0 - b.0) / spread.sqrt();
    let freedom = spread * spread / (of_a * of_a / (a.2 - 1.0) + of_b * of_b / (b.2 - 1.0));
    Some(incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5))
}

fn of_beta<'a>(args: &[Cell<'a>], apply: impl Fn(f64, f64, f64) -> f64) -> Cell<'a> {
    match (args[0].as_real(), args[1].as_real(), args[2].as_real()) {
        (Some(_), Some(a), Some(b)) if !(a > 0.0 && b > 0.0) => Cell::Real(f64::NAN),
        (Some(x), Some(a), Some(b)) => Cell::Real(apply(x, a, b)),
        _ => Cell::Null,
    }
}

/// The complementary error function: the series near zero, a continued fraction further out.
pub(super) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let mut fraction = 0.0;
    for n in (1..80).rev() {
        fraction = f64::from(n) / 2.0 / (x + fraction);
    }
    (-x * x).exp() / (std::f64::consts::PI.sqrt() * (x + fraction))
}

fn log_beta(a: f64, b: f64) -> f64 {
    log_gamma(a) + log_gamma(b) - log_gamma(a + b)
}

fn density(x: f64, a: f64, b: f64) -> f64 {
    ((a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln() - log_beta(a, b)).exp()
}

/// The regularised incomplete beta function by its continued fraction (Lentz).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let tiny = 1e-300;
    let not_zero = |value: f64| if value.abs() < tiny { tiny } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for step in [even, odd] {
            d = 1.0 / not_zero(1.0 + step * d);
            c = not_zero(1.0 + step / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() < 1e-16 * fraction.abs() {
            break;
        }
    }
    (a * x.ln() + b * (1.0 - x).ln() - log_beta(a, b)).exp() * fraction / a
}

/// Halves the interval until it is as narrow as a real can tell.
fn inverse_beta(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

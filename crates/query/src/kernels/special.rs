//! Nulls, emptiness, and what fits nowhere else.

use kql::Function;

use super::{Kernel, Scratch, array};
use crate::cell::Cell;
use crate::convert::scalar;
use crate::json::{self, Shape};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::IsNull => |args, _| Cell::Bool(is_null(&args[0])),
        Function::IsNotNull => |args, _| Cell::Bool(!is_null(&args[0])),
        Function::IsEmpty => |args, _| Cell::Bool(is_empty(&args[0])),
        Function::IsNotEmpty => |args, _| Cell::Bool(!is_empty(&args[0])),
        Function::Coalesce => coalesce,
        Function::GetType => |args, _| Cell::text(type_name(&args[0])),
        Function::Gamma => |args, _| Cell::or_null(args[0].as_real(), |x| Cell::Real(gamma(x))),
        Function::LogGamma => {
            |args, _| Cell::or_null(args[0].as_real(), |x| Cell::Real(log_gamma(x)))
        }
    })
}

/// Strings are never null.
fn is_null(cell: &Cell<'_>) -> bool {
    cell.is_null()
}

fn is_empty(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => text.is_empty(),
        Cell::Dynamic(json) => matches!(&**json, "\"\"" | "{}") || array::is_empty(cell),
        _ => false,
    }
}

/// The first argument that is not null; empty strings do not count either.
fn coalesce<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let is_set = |cell: &&Cell<'a>| match cell {
        Cell::Text(text) => !text.is_empty(),
        other => !other.is_null(),
    };
    args.iter().find(is_set).or(args.last()).cloned().unwrap_or(Cell::Null)
}

fn type_name(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Null => "null",
        Cell::Bool(_) => "bool",
        Cell::Long(_) => "long",
        Cell::Real(_) => "double",
        Cell::Decimal(_) => "decimal",
        Cell::Datetime(_) => "datetime",
        Cell::Timespan(_) => "timespan",
        Cell::Guid(_) => "guid",
        Cell::Text(_) => "string",
        Cell::Dynamic(json) => match json::shape(json) {
            Shape::Array => "array",
            Shape::Object => "dictionary",
            _ => type_name(&scalar(json)),
        },
    }
}

const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// The gamma function; whole arguments are exact factorials.
fn gamma(x: f64) -> f64 {
    if x.fract() == 0.0 && (1.0..=171.0).contains(&x) {
        let mut product = 1.0;
        let mut factor = 2.0;
        while factor < x {
            product *= factor;
            factor += 1.0;
        }
        return product;
    }
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return pi / ((pi * x).sin() * gamma(1.0 - x));
    }
    let (sum, t) = lanczos(x - 1.0);
    (2.0 * std::f64::consts::PI).sqrt() * t.powf(x - 0.5) * (-t).exp() * sum
}

pub(super) fn log_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return gamma(x).abs().ln();
    }
    let (sum, t) = lanczos(x - 1.0);
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x - 0.5) * t.ln() - t + sum.ln()
}

/// Lanczos' series and its base (g = 7, nine terms).
fn lanczos(x: f64) -> (f64, f64) {
    let mut sum = LANCZOS[0];
    let mut divisor = x;
    for coefficient in &LANCZOS[1..] {
        divisor += 1.0;
        sum += coefficient / divisor;
    }
    (sum, x + 7.5)
}

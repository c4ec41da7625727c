//! Numbers, rounding to a grid, and bits.

use kql::Function;

use super::{Kernel, Scratch, at, long_at};
use crate::cell::{Cell, real_to_long};
use crate::convert::compare;
use crate::{decimal, time};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::Abs => abs,
        Function::Acos => |args, _| real(args, f64::acos),
        Function::Asin => |args, _| real(args, f64::asin),
        Function::Atan => |args, _| real(args, f64::atan),
        Function::Atan2 => |args, _| reals(args, f64::atan2),
        Function::Cos => |args, _| real(args, f64::cos),
        Function::Cot => |args, _| real(args, |x| 1.0 / x.tan()),
        Function::Degrees => |args, _| real(args, f64::to_degrees),
        Function::Exp => |args, _| real(args, f64::exp),
        Function::Exp10 => |args, _| real(args, |x| 10f64.powf(x)),
        Function::Exp2 => |args, _| real(args, f64::exp2),
        Function::Log => |args, _| real(args, f64::ln),
        Function::Log10 => |args, _| real(args, f64::log10),
        Function::Log2 => |args, _| real(args, f64::log2),
        Function::Pi => |_, _| Cell::Real(std::f64::consts::PI),
        Function::Pow => |args, _| reals(args, f64::powf),
        Function::Radians => |args, _| real(args, f64::to_radians),
        Function::Sin => |args, _| real(args, f64::sin),
        Function::Sqrt => |args, _| real(args, f64::sqrt),
        Function::Tan => |args, _| real(args, f64::tan),
        Function::IsFinite => |args, _| test(args, f64::is_finite),
        Function::IsInf => |args, _| test(args, f64::is_infinite),
        Function::IsNan => |args, _| test(args, f64::is_nan),
        Function::Sign => sign,
        Function::Round => round,
        Function::Ceiling => ceiling,
        Function::Bin => |args, _| bin(&args[0], &args[1], None),
        Function::BinAt => |args, _| bin(&args[0], &args[1], Some(&args[2])),
        Function::MaxOf => |args, _| extreme(args, std::cmp::Ordering::Greater),
        Function::MinOf => |args, _| extreme(args, std::cmp::Ordering::Less),
        Function::Not => |args, _| Cell::or_null(args[0].as_bool(), |value| Cell::Bool(!value)),
        Function::BinaryAnd => |args, _| longs(args, |a, b| Some(a & b)),
        Function::BinaryOr => |args, _| longs(args, |a, b| Some(a | b)),
        Function::BinaryXor => |args, _| longs(args, |a, b| Some(a ^ b)),
        Function::BinaryNot => |args, _| Cell::or_null(long_at(args, 0), |value| Cell::Long(!value)),
        Function::BinaryShiftLeft => |args, _| longs(args, |a, by| a.checked_shl(shift(by))),
        Function::BinaryShiftRight => |args, _| longs(args, |a, by| a.checked_shr(shift(by))),
        Function::BitsetCountOnes => {
            |args, _| Cell::or_null(long_at(args, 0), |bits| Cell::Long(i64::from(bits.count_ones())))
        }
    })
}

fn shift(by: i64) -> u32 {
    u32::try_from(by.rem_euclid(64)).unwrap_or(0)
}

fn real<'a>(args: &[Cell<'a>], apply: impl Fn(f64) -> f64) -> Cell<'a> {
    Cell::or_null(args[0].as_real().map(apply), Cell::Real)
}

fn reals<'a>(args: &[Cell<'a>], apply: impl Fn(f64, f64) -> f64) -> Cell<'a> {
    Cell::or_null(args[0].as_real().zip(args[1].as_real()).map(|(a, b)| apply(a, b)), Cell::Real)
}

fn longs<'a>(args: &[Cell<'a>], apply: impl Fn(i64, i64) -> Option<i64>) -> Cell<'a> {
    let pair = long_at(args, 0).zip(long_at(args, 1));
    Cell::or_null(pair.and_then(|(a, b)| apply(a, b)), Cell::Long)
}

fn test<'a>(args: &[Cell<'a>], holds: impl Fn(f64) -> bool) -> Cell<'a> {
    Cell::or_null(args[0].as_real(), |value| Cell::Bool(holds(value)))
}

fn abs<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    match &args[0] {
        Cell::Long(value) => Cell::Long(value.wrapping_abs()),
        Cell::Timespan(value) => Cell::Timespan(value.wrapping_abs()),
        Cell::Real(value) => Cell::Real(value.abs()),
        Cell::Decimal(value) => Cell::Decimal(value.wrapping_abs()),
        _ => Cell::Null,
    }
}

fn sign<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    match &args[0] {
        Cell::Decimal(value) => Cell::Real(decimal::sign(*value) as f64),
        other => Cell::or_null(other.as_real().filter(|value| !value.is_nan()), |value| {
            Cell::Real(if value == 0.0 { 0.0 } else { value.signum() })
        }),
    }
}

/// Half to even, as .NET rounds.
fn round<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let places = args.get(1).map_or(Some(0), Cell::as_long);
    let Some(places) = places.and_then(|places| i32::try_from(places).ok()) else {
        return Cell::Null;
    };
    match &args[0] {
        Cell::Long(value) if places >= 0 => Cell::Long(*value),
        Cell::Decimal(value) => Cell::or_null(decimal::round(*value, places), Cell::Decimal),
        Cell::Long(value) => {
            let rounded = round_real(*value as f64, places);
            Cell::or_null(real_to_long(rounded), Cell::Long)
        }
        other => Cell::or_null(other.as_real(), |value| Cell::Real(round_real(value, places))),
    }
}

/// Rounds by the decimal text of the number, so that 2.675 to two places does not stumble.
fn round_real(value: f64, places: i32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(places.abs());
    let rounded = if places >= 0 {
        (value * scale).round_ties_even() / scale
    } else {
        (value / scale).round_ties_even() * scale
    };
    if rounded.is_finite() { rounded } else { value }
}

fn ceiling<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    match &args[0] {
        Cell::Long(value) => Cell::Long(*value),
        Cell::Decimal(value) => Cell::Decimal(decimal::floor(value.wrapping_neg()).wrapping_neg()),
        other => Cell::or_null(other.as_real(), |value| Cell::Real(value.ceil())),
    }
}

/// The largest grid point not above the value; the grid starts at `origin`, or else at zero
/// (year 1 for datetimes).
fn bin<'a>(value: &Cell<'a>, size: &Cell<'a>, origin: Option<&Cell<'a>>) -> Cell<'a> {
    let grid = |value: i64, make: fn(i64) -> Cell<'a>| {
        let origin = origin.map_or(Some(0), Cell::as_long);
        let point = size.as_long().zip(origin).and_then(|(size, origin)| {
            let distance = value.checked_sub(origin)?;
            distance.checked_sub(distance.checked_rem_euclid(size)?)?.checked_add(origin)
        });
        if size.as_long().is_some_and(|size| size <= 0) {
            return Cell::Null;
        }
        Cell::or_null(point, make)
    };
    match (value, size) {
        (Cell::Null, _) | (_, Cell::Null) => Cell::Null,
        (Cell::Long(value), Cell::Long(_)) => grid(*value, Cell::Long),
        (Cell::Timespan(value), Cell::Timespan(_)) => grid(*value, Cell::Timespan),
        (Cell::Datetime(value), Cell::Timespan(_)) => match grid(*value, Cell::Datetime) {
            Cell::Datetime(ticks) => Cell::or_null(time::in_range(ticks), Cell::Datetime),
            other => other,
        },
        (Cell::Decimal(value), Cell::Decimal(size)) => decimal_bin(*value, *size),
        _ => {
            let origin = origin.and_then(Cell::as_real).unwrap_or(0.0);
            let pair = value.as_real().zip(size.as_real()).filter(|(_, size)| *size > 0.0);
            Cell::or_null(pair, |(value, size)| {
                Cell::Real(((value - origin) / size).floor() * size + origin)
            })
        }
    }
}

fn decimal_bin<'a>(value: arrow::datatypes::i256, size: arrow::datatypes::i256) -> Cell<'a> {
    let point = decimal::modulo(value, size).and_then(|rest| decimal::subtract(value, rest));
    Cell::or_null(point, Cell::Decimal)
}

/// The greatest or smallest argument; nulls do not count.
fn extreme<'a>(args: &[Cell<'a>], wanted: std::cmp::Ordering) -> Cell<'a> {
    let mut best = Cell::Null;
    for position in 0..args.len() {
        let Some(candidate) = at(args, position) else { continue };
        if best.is_null() || compare(candidate, &best) == Some(wanted) {
            best = candidate.clone();
        }
    }
    best
}

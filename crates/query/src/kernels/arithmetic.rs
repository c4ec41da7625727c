//! Operators: arithmetic and comparison over every type.

use std::cmp::Ordering;

use kql::BinaryOp;

use super::{Kernel, Scratch};
use crate::cell::{Cell, real_to_long};
use crate::convert::compare;
use crate::{decimal, time};

/// The kernel of an operator other than `and` and `or`.
pub(crate) fn binary(op: BinaryOp) -> Option<Kernel> {
    kernels!(op, {
        BinaryOp::Add => |args, _| add(&args[0], &args[1]),
        BinaryOp::Subtract => |args, _| subtract(&args[0], &args[1]),
        BinaryOp::Multiply => |args, _| multiply(&args[0], &args[1]),
        BinaryOp::Divide => |args, _| divide(&args[0], &args[1]),
        BinaryOp::Modulo => |args, _| modulo(&args[0], &args[1]),
        BinaryOp::Equal => |args, _| equal(&args[0], &args[1], false),
        BinaryOp::NotEqual => |args, _| equal(&args[0], &args[1], true),
        BinaryOp::Less => |args, _| ordered(args, Ordering::is_lt),
        BinaryOp::LessOrEqual => |args, _| ordered(args, Ordering::is_le),
        BinaryOp::Greater => |args, _| ordered(args, Ordering::is_gt),
        BinaryOp::GreaterOrEqual => |args, _| ordered(args, Ordering::is_ge),
    })
}

/// Arithmetic negation.
pub(crate) fn negate<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    match &args[0] {
        Cell::Long(value) => Cell::Long(value.wrapping_neg()),
        Cell::Real(value) => Cell::Real(-value),
        Cell::Timespan(value) => Cell::Timespan(value.wrapping_neg()),
        Cell::Decimal(value) => Cell::Decimal(value.wrapping_neg()),
        _ => Cell::Null,
    }
}

fn add<'a>(a: &Cell<'a>, b: &Cell<'a>) -> Cell<'a> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::Long(a.wrapping_add(*b)),
        (Cell::Timespan(a), Cell::Timespan(b)) => Cell::or_null(a.checked_add(*b), Cell::Timespan),
        (Cell::Datetime(a), Cell::Timespan(b)) | (Cell::Timespan(b), Cell::Datetime(a)) => {
            Cell::or_null(a.checked_add(*b).and_then(time::in_range), Cell::Datetime)
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => Cell::or_null(decimal::add(*a, *b), Cell::Decimal),
        _ => reals(a, b, |a, b| Some(a + b)),
    }
}

fn subtract<'a>(a: &Cell<'a>, b: &Cell<'a>) -> Cell<'a> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::Long(a.wrapping_sub(*b)),
        (Cell::Timespan(a), Cell::Timespan(b)) | (Cell::Datetime(a), Cell::Datetime(b)) => {
            Cell::or_null(a.checked_sub(*b), Cell::Timespan)
        }
        (Cell::Datetime(a), Cell::Timespan(b)) => {
            Cell::or_null(a.checked_sub(*b).and_then(time::in_range), Cell::Datetime)
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            Cell::or_null(decimal::subtract(*a, *b), Cell::Decimal)
        }
        _ => reals(a, b, |a, b| Some(a - b)),
    }
}

fn multiply<'a>(a: &Cell<'a>, b: &Cell<'a>) -> Cell<'a> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::Long(a.wrapping_mul(*b)),
        (Cell::Timespan(a), Cell::Long(b)) | (Cell::Long(b), Cell::Timespan(a)) => {
            Cell::or_null(a.checked_mul(*b), Cell::Timespan)
        }
        (Cell::Timespan(a), Cell::Real(b)) | (Cell::Real(b), Cell::Timespan(a)) => {
            Cell::or_null(real_to_long(*a as f64 * b), Cell::Timespan)
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            Cell::or_null(decimal::multiply(*a, *b), Cell::Decimal)
        }
        _ => reals(a, b, |a, b| Some(a * b)),
    }
}

fn divide<'a>(a: &Cell<'a>, b: &Cell<'a>) -> Cell<'a> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::or_null(a.checked_div(*b), Cell::Long),
        (Cell::Timespan(a), Cell::Timespan(b)) => Cell::Real(*a as f64 / *b as f64),
        (Cell::Timespan(a), Cell::Long(b)) => Cell::or_null(a.checked_div(*b), Cell::Timespan),
        (Cell::Timespan(a), Cell::Real(b)) => {
            Cell::or_null(real_to_long(*a as f64 / b), Cell::Timespan)
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            Cell::or_null(decimal::divide(*a, *b), Cell::Decimal)
        }
        _ => reals(a, b, |a, b| Some(a / b)),
    }
}

fn modulo<'a>(a: &Cell<'a>, b: &Cell<'a>) -> Cell<'a> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b)) => Cell::or_null(a.checked_rem_euclid(*b), Cell::Long),
        (Cell::Timespan(a), Cell::Timespan(b)) => {
            Cell::or_null(a.checked_rem_euclid(*b), Cell::Timespan)
        }
        (Cell::Datetime(a), Cell::Timespan(b)) => {
            Cell::or_null(a.checked_rem_euclid(*b), Cell::Timespan)
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            Cell::or_null(decimal::modulo(*a, *b), Cell::Decimal)
        }
        _ => reals(a, b, |a, b| Some(a.rem_euclid(b))),
    }
}

fn reals<'a>(a: &Cell<'a>, b: &Cell<'a>, apply: impl Fn(f64, f64) -> Option<f64>) -> Cell<'a> {
    match (a.as_real(), b.as_real()) {
        (Some(a), Some(b)) => Cell::or_null(apply(a, b), Cell::Real),
        _ => Cell::Null,
    }
}

/// Two nulls compare to null; null and a value differ.
fn equal<'a>(a: &Cell<'a>, b: &Cell<'a>, negated: bool) -> Cell<'a> {
    match (a.is_null(), b.is_null()) {
        (true, true) => Cell::Null,
        (true, false) | (false, true) => Cell::Bool(negated),
        (false, false) => Cell::Bool((compare(a, b) == Some(Ordering::Equal)) != negated),
    }
}

fn ordered<'a>(args: &[Cell<'a>], holds: impl Fn(Ordering) -> bool) -> Cell<'a> {
    if args[0].is_null() || args[1].is_null() {
        return Cell::Null;
    }
    Cell::Bool(compare(&args[0], &args[1]).is_some_and(holds))
}

//! Decimal arithmetic to 34 significant digits over fixed-point 256 bit integers.
//!
//! A decimal is a count of 10⁻³⁴, so sorting, grouping and summing are integer work. Magnitudes
//! from 10⁴² on do not fit and become null, where Kusto would go on to 10⁶¹⁴⁴.

use arrow::datatypes::i256;

/// Digits the Arrow type holds.
pub(crate) const PRECISION: u8 = 76;
/// Places after the point.
pub(crate) const SCALE: i8 = 34;

const PLACES: i32 = 34;
const SIGNIFICANT: i32 = 34;

/// 10ⁿ, for n up to 76.
fn ten(power: i32) -> Option<i256> {
    let power = u32::try_from(power).ok().filter(|power| *power <= 76)?;
    let low = i256::from_i128(10i128.pow(power.min(38)));
    low.checked_mul(i256::from_i128(10i128.pow(power.saturating_sub(38))))
}

fn is_inside(units: i256) -> bool {
    let limit = ten(i32::from(PRECISION)).expect("76 is in range");
    units < limit && units > limit.wrapping_neg()
}

/// How many decimal digits the magnitude has; zero has none.
fn digits(units: i256) -> i32 {
    let mut rest = units;
    let mut count = 0;
    if let Some(limit) = ten(38)
        && (rest >= limit || rest <= limit.wrapping_neg())
    {
        rest = rest.wrapping_div(limit);
        count = 38;
    }
    match rest.to_i128().map(i128::unsigned_abs) {
        Some(0) | None => count,
        Some(rest) => count + i32::try_from(rest.ilog10()).unwrap_or(38) + 1,
    }
}

/// Divides by 10ⁿ, half away from zero.
fn shrink(units: i256, power: i32) -> i256 {
    let Some(divisor) = ten(power) else { return i256::ZERO };
    let quotient = units.wrapping_div(divisor);
    let rest = units.wrapping_sub(quotient.wrapping_mul(divisor));
    let magnitude = if rest < i256::ZERO { rest.wrapping_neg() } else { rest };
    if magnitude < divisor.wrapping_sub(magnitude) {
        return quotient;
    }
    let one = if units < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    quotient.wrapping_add(one)
}

/// Rounds to 34 significant digits.
pub(crate) fn significant(units: i256) -> i256 {
    let excess = digits(units) - SIGNIFICANT;
    if excess <= 0 {
        return units;
    }
    ten(excess).map_or(units, |factor| shrink(units, excess).wrapping_mul(factor))
}

/// Coefficient × 10^exponent as units; none if it does not fit.
fn from_parts(coefficient: i256, exponent: i32) -> Option<i256> {
    let shift = exponent + PLACES;
    if coefficient == i256::ZERO {
        return Some(i256::ZERO);
    }
    let units = if shift < 0 {
        shrink(coefficient, -shift)
    } else {
        coefficient.checked_mul(ten(shift)?)?
    };
    is_inside(units).then(|| significant(units))
}

/// Removes trailing zeros; the value is the answer's coefficient × 10^exponent.
fn normal(units: i256) -> (i256, i32) {
    let mut coefficient = units;
    let mut exponent = -PLACES;
    if coefficient == i256::ZERO {
        return (coefficient, 0);
    }
    for step in [32, 16, 8, 4, 2, 1] {
        while let Some(divisor) = ten(step) {
            let quotient = coefficient.wrapping_div(divisor);
            if quotient.wrapping_mul(divisor) != coefficient {
                break;
            }
            coefficient = quotient;
            exponent += step;
        }
    }
    let excess = digits(coefficient) - SIGNIFICANT;
    if excess > 0 {
        return (shrink(coefficient, excess), exponent + excess);
    }
    (coefficient, exponent)
}

/// Sum.
pub(crate) fn add(a: i256, b: i256) -> Option<i256> {
    a.checked_add(b).filter(|sum| is_inside(*sum)).map(significant)
}

/// Difference.
pub(crate) fn subtract(a: i256, b: i256) -> Option<i256> {
    a.checked_sub(b).filter(|sum| is_inside(*sum)).map(significant)
}

/// Product.
pub(crate) fn multiply(a: i256, b: i256) -> Option<i256> {
    let ((a, a_exponent), (b, b_exponent)) = (normal(a), normal(b));
    from_parts(a.checked_mul(b)?, a_exponent + b_exponent)
}

/// Quotient; none by zero.
pub(crate) fn divide(a: i256, b: i256) -> Option<i256> {
    let ((a, a_exponent), (b, b_exponent)) = (normal(a), normal(b));
    if b == i256::ZERO {
        return None;
    }
    let stretch = 76 - digits(a);
    let quotient = a.checked_mul(ten(stretch)?)?.wrapping_div(b);
    from_parts(quotient, a_exponent - b_exponent - stretch)
}

/// Remainder, never negative; none by zero.
pub(crate) fn modulo(a: i256, b: i256) -> Option<i256> {
    let rest = a.checked_rem(b)?;
    if rest >= i256::ZERO {
        return Some(rest);
    }
    let magnitude = if b < i256::ZERO { b.wrapping_neg() } else { b };
    rest.checked_add(magnitude)
}

/// The largest whole number not above it.
pub(crate) fn floor(units: i256) -> i256 {
    let one = ten(PLACES).expect("34 is in range");
    let whole = units.wrapping_div(one).wrapping_mul(one);
    if whole > units { whole.wrapping_sub(one) } else { whole }
}

/// −1, 0 or 1.
pub(crate) fn sign(units: i256) -> i64 {
    i64::from(units > i256::ZERO) - i64::from(units < i256::ZERO)
}

/// Rounds to places after the point, half away from zero.
pub(crate) fn round(units: i256, places: i32) -> Option<i256> {
    let excess = PLACES.checked_sub(places)?;
    if excess <= 0 {
        return Some(units);
    }
    shrink(units, excess).checked_mul(ten(excess)?)
}

/// From an integer.
pub(crate) fn from_long(value: i64) -> i256 {
    i256::from_i128(i128::from(value)).wrapping_mul(ten(PLACES).expect("34 is in range"))
}

/// From the shortest text of a real; none for NaN, the infinities and what does not fit.
pub(crate) fn from_real(value: f64) -> Option<i256> {
    parse(&format!("{value:e}"))
}

/// Truncates towards zero; none outside of the range.
pub(crate) fn to_long(units: i256) -> Option<i64> {
    let whole = units.wrapping_div(ten(PLACES).expect("34 is in range"));
    whole.to_i128().and_then(|whole| i64::try_from(whole).ok())
}

/// The nearest real.
pub(crate) fn to_real(units: i256) -> f64 {
    format(units).parse().unwrap_or(f64::NAN)
}

/// Reads digits with an optional sign, point and exponent.
pub(crate) fn parse(text: &str) -> Option<i256> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    if exponent.abs() > 10_000 {
        return None;
    }
    let (is_negative, mantissa) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (coefficient, dropped) = coefficient(whole, fraction)?;
    let fraction_places = i32::try_from(fraction.len()).ok()?;
    let coefficient = if is_negative { coefficient.wrapping_neg() } else { coefficient };
    from_parts(coefficient, exponent - fraction_places + dropped)
}

/// The leading 40 digits as a number, and how many were left off.
fn coefficient(whole: &str, fraction: &str) -> Option<(i256, i32)> {
    let mut value = i256::ZERO;
    let (mut kept, mut dropped) = (0, 0);
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        if kept >= 40 {
            dropped += 1;
            continue;
        }
        value = value
            .wrapping_mul(i256::from_i128(10))
            .wrapping_add(i256::from_i128(i128::from(byte - b'0')));
        kept += i32::from(value != i256::ZERO);
    }
    Some((value, dropped))
}

/// As a value of a frame.
pub(crate) fn to_value(units: i256) -> kql::Decimal {
    let (coefficient, exponent) = normal(units);
    let (coefficient, exponent) = match ten(exponent.max(0)) {
        Some(factor) if exponent > 0 => (coefficient.wrapping_mul(factor), 0),
        _ => (coefficient, exponent),
    };
    let scale = exponent.min(0).unsigned_abs();
    coefficient
        .to_i128()
        .and_then(|mantissa| kql::Decimal::new(mantissa, scale))
        .unwrap_or_else(|| format(units).parse().unwrap_or_default())
}

/// From a constant of a query.
pub(crate) fn from_value(value: kql::Decimal) -> Option<i256> {
    let exponent = i32::try_from(value.scale()).ok()?;
    from_parts(i256::from_i128(value.mantissa()), -exponent)
}

/// Plain digits, 34 significant ones, without trailing zeros.
pub(crate) fn format(units: i256) -> String {
    let units = significant(units);
    let is_negative = units < i256::ZERO;
    let text = units.to_string();
    let magnitude = text.strip_prefix('-').unwrap_or(&text);
    let padded = format!("{magnitude:0>35}");
    let (whole, fraction) = padded.split_at(padded.len() - 34);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{whole}{point}{fraction}", if is_negative { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> i256 {
        parse(text).expect("a decimal")
    }

    #[test]
    fn text_survives() {
        for text in ["0", "1", "-1.5", "12345678901234567890.123456789", "0.0000000001"] {
            assert_eq!(format(number(text)), text);
        }
        assert_eq!(format(number("1.25e3")), "1250");
        assert_eq!(format(number("-2.50E-2")), "-0.025");
        for text in ["", "-", ".", "1.2.3", "abc", "1e99", "1e"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn quotients_have_34_significant_digits() {
        assert_eq!(
            divide(number("680"), number("3")).map(format).as_deref(),
            Some("226.6666666666666666666666666666667")
        );
        assert_eq!(
            divide(number("5963"), number("7")).map(format).as_deref(),
            Some("851.8571428571428571428571428571429")
        );
        assert_eq!(divide(number("1"), i256::ZERO), None);
    }

    #[test]
    fn products_of_long_factors_do_not_overflow() {
        let big = number("123456789012345678901");
        assert_eq!(
            multiply(big, number("-0.5")).map(format).as_deref(),
            Some("-61728394506172839450.5")
        );
        assert_eq!(multiply(big, number("1e30")), None);
        assert_eq!(multiply(number("1.1"), number("1.1")).map(format).as_deref(), Some("1.21"));
    }

    #[test]
    fn remainders_and_floors_follow_kusto() {
        assert_eq!(modulo(number("-7"), number("3")).map(format).as_deref(), Some("2"));
        assert_eq!(format(floor(number("-1.5"))), "-2");
        assert_eq!(to_long(number("-1.9")), Some(-1));
        assert_eq!(from_real(0.1).map(format).as_deref(), Some("0.1"));
    }
}

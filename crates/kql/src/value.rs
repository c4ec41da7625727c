//! Values, and how Kusto prints them.

mod decimal;
mod ticks;

use std::fmt;

pub use decimal::Decimal;
pub use ticks::{
    TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, format_datetime, format_timespan,
    parse_datetime, parse_timespan,
};

/// One cell, or a constant of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value; strings have none.
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `real`
    Real(f64),
    /// `decimal`
    Decimal(Decimal),
    /// `datetime`: 100 ns ticks since 0001-01-01T00:00:00Z.
    Datetime(i64),
    /// `timespan`: 100 ns ticks.
    Timespan(i64),
    /// `guid`: its 128 bits, the first printed digit highest.
    Guid(u128),
    /// `string`
    String(String),
    /// `dynamic`: compact JSON text.
    Dynamic(String),
}

impl Value {
    /// Whether it is null.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text inside, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number it is, if it is an int or long.
    pub const fn as_long(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number as i64),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }
}

/// As Kusto prints it: `2024-01-01T00:00:00.0000000Z`, `1.02:03:04.5678900`, `true`, `1.5`; null is
/// empty.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Long(number) => write!(f, "{number}"),
            Self::Real(number) => f.write_str(&format_real(*number)),
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Datetime(ticks) => f.write_str(&format_datetime(*ticks)),
            Self::Timespan(ticks) => f.write_str(&format_timespan(*ticks)),
            Self::Guid(bits) => f.write_str(&format_guid(*bits)),
            Self::String(text) | Self::Dynamic(text) => f.write_str(text),
        }
    }
}

/// `82b8be2d-dfa7-4bd1-8f63-24ad26d31449`.
pub fn format_guid(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Reads a guid with or without hyphens and braces.
pub fn parse_guid(text: &str) -> Option<u128> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let hyphens_right = [8, 13, 18, 23].iter().all(|&at| text.as_bytes().get(at) == Some(&b'-'));
    if !(text.len() == 32 || text.len() == 36 && hyphens_right) {
        return None;
    }
    let hex = text.replace('-', "");
    let all_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_hex { u128::from_str_radix(&hex, 16).ok() } else { None }
}

/// As .NET prints a double: shortest text that reads back, exponent form outside of 1e-5..1e15.
pub fn format_real(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = number.abs();
    if number == 0.0 || (1e-5..1e15).contains(&magnitude) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}E-{digits:0>2}"),
        None => format!("{mantissa}E+{exponent:0>2}"),
    }
}

#[cfg(test)]
mod tests;

//! Conversions between Kusto's types. What cannot be converted is null, or empty for a string.

use std::borrow::Cow;

use kql::Type;

use crate::cell::{Cell, real_to_long};
use crate::json::{self, Shape};
use crate::{decimal, time};

/// `value` as a `to`.
pub(crate) fn convert<'a>(value: &Cell<'a>, to: Type) -> Cell<'a> {
    if to == Type::String {
        return Cell::Text(to_text(value));
    }
    if to == Type::Dynamic {
        return to_dynamic(value);
    }
    if let Cell::Dynamic(json) = value {
        return match scalar(json) {
            Cell::Dynamic(_) => Cell::Null,
            inner => convert(&inner, to).into_owned(),
        };
    }
    match to {
        Type::Bool => Cell::or_null(to_bool(value), Cell::Bool),
        Type::Int => {
            let number = to_long(value).filter(|number| i32::try_from(*number).is_ok());
            Cell::or_null(number, Cell::Long)
        }
        Type::Long => Cell::or_null(to_long(value), Cell::Long),
        Type::Real => Cell::or_null(to_real(value), Cell::Real),
        Type::Decimal => Cell::or_null(to_decimal(value), Cell::Decimal),
        Type::Datetime => Cell::or_null(to_datetime(value), Cell::Datetime),
        Type::Timespan => Cell::or_null(to_timespan(value), Cell::Timespan),
        _ => match value {
            Cell::Guid(_) => value.clone(),
            Cell::Text(text) => Cell::or_null(kql::parse_guid(text), |bits| {
                Cell::Guid(Cow::Owned(kql::format_guid(bits)))
            }),
            _ => Cell::Null,
        },
    }
}

/// The text `tostring` gives; empty for null.
pub(crate) fn to_text<'a>(value: &Cell<'a>) -> Cow<'a, str> {
    match value {
        Cell::Null => Cow::Borrowed(""),
        Cell::Text(text) | Cell::Guid(text) => text.clone(),
        Cell::Dynamic(Cow::Borrowed(json)) if json::shape(json) == Shape::String => {
            json::unquote(json)
        }
        Cell::Dynamic(json) if json::shape(json) == Shape::String => {
            Cow::Owned(json::unquote(json).into_owned())
        }
        Cell::Dynamic(json) => json.clone(),
        Cell::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Cell::Long(value) => Cow::Owned(value.to_string()),
        Cell::Real(value) => Cow::Owned(kql::format_real(*value)),
        Cell::Decimal(value) => Cow::Owned(decimal::format(*value)),
        Cell::Datetime(value) => Cow::Owned(kql::format_datetime(*value)),
        Cell::Timespan(value) => Cow::Owned(kql::format_timespan(*value)),
    }
}

/// The value as a dynamic; text becomes a JSON string.
pub(crate) fn to_dynamic<'a>(value: &Cell<'a>) -> Cell<'a> {
    match value {
        Cell::Null | Cell::Dynamic(_) => value.clone(),
        other => Cell::Dynamic(to_json(other)),
    }
}

/// The JSON text of a value; `null` for null.
pub(crate) fn to_json<'a>(value: &Cell<'a>) -> Cow<'a, str> {
    match value {
        Cell::Null => Cow::Borrowed("null"),
        Cell::Dynamic(json) => json.clone(),
        Cell::Bool(_) | Cell::Long(_) => to_text(value),
        Cell::Real(number) if number.is_finite() => Cow::Owned(real_json(*number)),
        other => Cow::Owned(json::quoted(&to_text(other))),
    }
}

/// A finite real as JSON: whole numbers keep a point, as Kusto writes them.
fn real_json(number: f64) -> String {
    let text = kql::format_real(number);
    if text.contains(['.', 'E']) { text } else { format!("{text}.0") }
}

/// The scalar a JSON text holds; arrays and objects stay dynamic.
pub(crate) fn scalar(json: &str) -> Cell<'_> {
    match json::shape(json) {
        Shape::Null => Cell::Null,
        Shape::Bool => Cell::Bool(json == "true"),
        Shape::String => Cell::Text(json::unquote(json)),
        Shape::Array | Shape::Object => Cell::Dynamic(Cow::Borrowed(json)),
        Shape::Number => match json.parse::<i64>() {
            Ok(number) => Cell::Long(number),
            Err(_) => Cell::or_null(json.parse().ok(), Cell::Real),
        },
    }
}

/// Text read as JSON; what is not JSON becomes a dynamic string.
pub(crate) fn parse_json<'a>(text: &Cow<'a, str>) -> Cell<'a> {
    if text.is_empty() {
        return Cell::Null;
    }
    match text {
        Cow::Borrowed(text) => match json::compact(text) {
            Some(json) => Cell::dynamic(json),
            None => Cell::Dynamic(Cow::Owned(json::quoted(text))),
        },
        Cow::Owned(text) => match json::compact(text) {
            Some(json) => Cell::dynamic(json.into_owned()),
            None => Cell::Dynamic(Cow::Owned(json::quoted(text))),
        },
    }
}

fn to_bool(value: &Cell<'_>) -> Option<bool> {
    match value {
        Cell::Bool(value) => Some(*value),
        Cell::Long(value) => Some(*value != 0),
        Cell::Real(value) => Some(*value != 0.0),
        Cell::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Cell::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Cell::Text(text) => text.trim().parse::<i64>().ok().map(|number| number != 0),
        _ => None,
    }
}

fn to_long(value: &Cell<'_>) -> Option<i64> {
    match value {
        Cell::Text(text) => {
            let text = text.trim();
            match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
                None => text.parse().ok(),
            }
        }
        other => other.as_long(),
    }
}

fn to_real(value: &Cell<'_>) -> Option<f64> {
    match value {
        Cell::Text(text) => {
            let text = text.trim();
            match text.to_ascii_lowercase().as_str() {
                "nan" => Some(f64::NAN),
                "inf" | "+inf" | "infinity" => Some(f64::INFINITY),
                "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
                _ if text.starts_with(|c: char| c.is_ascii_alphabetic()) => None,
                _ => text.parse().ok(),
            }
        }
        other => other.as_real(),
    }
}

fn to_decimal(value: &Cell<'_>) -> Option<arrow::datatypes::i256> {
    match value {
        Cell::Decimal(units) => Some(*units),
        Cell::Long(number) => Some(decimal::from_long(*number)),
        Cell::Bool(value) => Some(decimal::from_long(i64::from(*value))),
        Cell::Real(number) => decimal::from_real(*number),
        Cell::Text(text) => decimal::parse(text),
        _ => None,
    }
}

fn to_datetime(value: &Cell<'_>) -> Option<i64> {
    match value {
        Cell::Datetime(ticks) => Some(*ticks),
        Cell::Text(text) => kql::parse_datetime(text),
        Cell::Long(ticks) => time::in_range(*ticks),
        Cell::Real(ticks) => real_to_long(*ticks).and_then(time::in_range),
        _ => None,
    }
}

fn to_timespan(value: &Cell<'_>) -> Option<i64> {
    match value {
        Cell::Timespan(ticks) | Cell::Long(ticks) => Some(*ticks),
        Cell::Text(text) => kql::parse_timespan(text),
        Cell::Real(ticks) => real_to_long(*ticks),
        _ => None,
    }
}

/// Orders two values of one type: numbers by value, text by bytes; none if they do not compare.
pub(crate) fn compare(a: &Cell<'_>, b: &Cell<'_>) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Cell::Long(a), Cell::Long(b))
        | (Cell::Datetime(a), Cell::Datetime(b))
        | (Cell::Timespan(a), Cell::Timespan(b)) => Some(a.cmp(b)),
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(b)),
        (Cell::Decimal(a), Cell::Decimal(b)) => Some(a.cmp(b)),
        (Cell::Text(a), Cell::Text(b)) | (Cell::Guid(a), Cell::Guid(b)) => Some(a.cmp(b)),
        (Cell::Dynamic(a), Cell::Dynamic(b)) => {
            let (a, b) = (scalar(a), scalar(b));
            match (&a, &b) {
                (Cell::Dynamic(a), Cell::Dynamic(b)) => {
                    (a == b).then_some(std::cmp::Ordering::Equal)
                }
                _ => compare(&a, &b),
            }
        }
        (Cell::Real(_) | Cell::Long(_), Cell::Real(_) | Cell::Long(_)) => {
            a.as_real()?.partial_cmp(&b.as_real()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamics_become_the_text_kusto_gives() {
        let text = |json: &'static str| to_text(&Cell::dynamic(json)).into_owned();
        assert_eq!(text(r#""a\nb""#), "a\nb");
        assert_eq!(text(r#"{"text":"\n1."}"#), r#"{"text":"\n1."}"#);
        assert_eq!(text("118"), "118");
        assert_eq!(text("null"), "");
    }

    #[test]
    fn parse_json_of_what_is_not_json_is_a_dynamic_string() {
        let parsed = |text: &'static str| parse_json(&Cow::Borrowed(text));
        assert_eq!(parsed("{\"a\": 1"), Cell::dynamic("\"{\\\"a\\\": 1\""));
        assert_eq!(parsed(" [1, 2] "), Cell::dynamic("[1,2]"));
        assert_eq!(parsed(""), Cell::Null);
        assert_eq!(parsed("null"), Cell::Null);
    }

    #[test]
    fn what_does_not_convert_is_null() {
        assert_eq!(convert(&Cell::text("x"), Type::Long), Cell::Null);
        assert_eq!(convert(&Cell::text("0x1f"), Type::Long), Cell::Long(31));
        assert_eq!(convert(&Cell::Long(1 << 40), Type::Int), Cell::Null);
        assert_eq!(convert(&Cell::dynamic("\"7\""), Type::Long), Cell::Long(7));
        assert_eq!(convert(&Cell::dynamic("{}"), Type::Long), Cell::Null);
        assert_eq!(convert(&Cell::Real(-1.9), Type::Long), Cell::Long(-1));
    }
}

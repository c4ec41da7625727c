//! Literals: text to values.

use super::Parser;
use crate::lexer::{Token, decode};
use crate::syntax::{Expression, ExpressionKind};
use crate::value::{Decimal, parse_datetime, parse_guid, parse_timespan};
use crate::{Span, Type, Value, codes};

impl Parser<'_> {
    /// The literal at the current token.
    pub(super) fn literal(&mut self) -> Expression {
        let (token, span) = (self.token(), self.span());
        let text = self.text(0).to_owned();
        self.advance();
        let (value, literal_type) = match token {
            Token::Text => return self.adjacent_strings(decode(&text), span),
            Token::Long => (long(&text), Type::Long),
            Token::Real => (text.parse().ok().map(Value::Real), Type::Real),
            Token::Timespan => (parse_timespan(&text).map(Value::Timespan), Type::Timespan),
            Token::Typed(literal_type) => (typed(&text, literal_type), literal_type),
            _ => (None, Type::Dynamic),
        };
        let Some(value) = value else {
            if let (Type::Datetime, Some(time)) = (literal_type, time_of_day(&text)) {
                return self.node(ExpressionKind::Today(time), span);
            }
            let message = format!("The literal is no valid {literal_type}: {text}");
            self.report_at(codes::INVALID_LITERAL, span, message);
            return Expression::error(span);
        };
        self.node(ExpressionKind::Literal(value, literal_type), span)
    }

    /// Strings that follow each other are one string.
    fn adjacent_strings(&mut self, mut text: String, span: Span) -> Expression {
        while self.token() == Token::Text {
            text.push_str(&decode(self.text(0)));
            self.advance();
        }
        let span = self.since(span);
        self.node(ExpressionKind::Literal(Value::String(text), Type::String), span)
    }

    /// `dynamic(…)`; the name is already read.
    pub(super) fn dynamic(&mut self, start: Span) -> Expression {
        self.expect_symbol("(");
        let json = self.json();
        self.expect_symbol(")");
        let span = self.since(start);
        let value = match json {
            serde_json::Value::Null => Value::Null,
            json => Value::Dynamic(json.to_string()),
        };
        self.node(ExpressionKind::Literal(value, Type::Dynamic), span)
    }

    fn json(&mut self) -> serde_json::Value {
        self.nested(|_| serde_json::Value::Null, Self::json_value)
    }

    fn json_value(&mut self) -> serde_json::Value {
        use serde_json::Value as Json;
        if self.eat_symbol("[") {
            let mut elements = Vec::new();
            while !self.is_symbol("]") && !self.at_boundary() {
                elements.push(self.json());
                if !self.eat_symbol(",") {
                    break;
                }
            }
            self.expect_symbol("]");
            return Json::Array(elements);
        }
        if self.eat_symbol("{") {
            return self.json_members();
        }
        let negative = self.eat_symbol("-");
        self.eat_symbol("+");
        match self.token() {
            Token::Name => self.json_word(negative),
            Token::Text | Token::Long | Token::Real | Token::Timespan | Token::Typed(_) => {
                match self.literal().kind {
                    ExpressionKind::Literal(value, _) => to_json(&value, negative),
                    _ => Json::Null,
                }
            }
            _ => {
                self.report(codes::INVALID_LITERAL, "Expected: JSON value".to_owned());
                Json::Null
            }
        }
    }

    fn json_members(&mut self) -> serde_json::Value {
        let mut members = serde_json::Map::new();
        while !self.is_symbol("}") && !self.at_boundary() {
            let name = self.name().text;
            self.expect_symbol(":");
            let value = self.json();
            members.insert(name, value);
            if !self.eat_symbol(",") {
                break;
            }
        }
        self.expect_symbol("}");
        serde_json::Value::Object(members)
    }

    fn json_word(&mut self, negative: bool) -> serde_json::Value {
        use serde_json::Value as Json;
        let word = self.text(0).to_owned();
        self.advance();
        match &*word {
            "true" | "True" => Json::Bool(true),
            "false" | "False" => Json::Bool(false),
            "null" => Json::Null,
            "dynamic" if self.eat_symbol("(") => {
                let value = self.json();
                self.expect_symbol(")");
                value
            }
            "NaN" | "nan" => Json::String("NaN".to_owned()),
            "Infinity" | "inf" => {
                Json::String(if negative { "-Infinity" } else { "Infinity" }.to_owned())
            }
            _ => {
                let message = format!("Expected: JSON value, not {word}");
                self.report_at(codes::INVALID_LITERAL, self.last_span(), message);
                Json::Null
            }
        }
    }
}

/// A literal inside of `dynamic(…)`.
fn to_json(value: &Value, negative: bool) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => if negative { -i64::from(*value) } else { i64::from(*value) }.into(),
        Value::Long(value) => if negative { value.wrapping_neg() } else { *value }.into(),
        Value::Real(value) => if negative { -*value } else { *value }.into(),
        other => other.to_string().into(),
    }
}

fn long(text: &str) -> Option<Value> {
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    };
    value.map(Value::Long)
}

/// `name(content)` to a value of the type.
fn typed(text: &str, literal_type: Type) -> Option<Value> {
    let content = text.split_once('(').map_or("", |(_, rest)| rest).trim_end_matches(')').trim();
    let content = content.trim_matches(['\'', '"']).trim();
    if content == "null" || content.is_empty() {
        return Some(Value::Null);
    }
    match literal_type {
        Type::Bool => boolean(content),
        Type::Int => match signed_long(content)? {
            Value::Long(value) => i32::try_from(value).ok().map(Value::Int),
            _ => None,
        },
        Type::Long => signed_long(content),
        Type::Real => real(content),
        Type::Decimal => content.parse::<Decimal>().ok().map(Value::Decimal),
        Type::Datetime => match content {
            "min" => Some(Value::Datetime(0)),
            "max" => parse_datetime("9999-12-31T23:59:59.9999999").map(Value::Datetime),
            text => parse_datetime(text).or_else(|| date_parts(text)).map(Value::Datetime),
        },
        Type::Timespan => match content {
            "min" => Some(Value::Timespan(i64::MIN)),
            "max" => Some(Value::Timespan(i64::MAX)),
            text => parse_timespan(text).map(Value::Timespan),
        },
        Type::Guid => parse_guid(content).map(Value::Guid),
        Type::String | Type::Dynamic => None,
    }
}

/// `datetime(8:00)`: that time today, in ticks since midnight.
fn time_of_day(text: &str) -> Option<i64> {
    let content = text.split_once('(')?.1.trim_end_matches(')').trim();
    parse_timespan(content).filter(|time| content.contains(':') && *time < crate::TICKS_PER_DAY)
}

/// `datetime(2025, 6, 14)`.
fn date_parts(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [year, month, day] = parts[..] else { return None };
    parse_datetime(&format!("{year}-{month}-{day}"))
}

fn boolean(content: &str) -> Option<Value> {
    match content.to_ascii_lowercase().as_str() {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        other => other.parse::<i64>().ok().map(|number| Value::Bool(number != 0)),
    }
}

fn signed_long(content: &str) -> Option<Value> {
    match content.strip_prefix('-') {
        Some(digits) => format!("-{}", digits.trim()).parse().ok().map(Value::Long),
        None => long(content.trim_start_matches('+').trim()),
    }
}

fn real(content: &str) -> Option<Value> {
    let number = match content.to_ascii_lowercase().as_str() {
        "nan" => f64::NAN,
        "+inf" | "inf" | "infinity" | "+infinity" => f64::INFINITY,
        "-inf" | "-infinity" => f64::NEG_INFINITY,
        other if other.bytes().all(|b| b.is_ascii_digit() || b"+-.e ".contains(&b)) => {
            other.replace(' ', "").parse().ok()?
        }
        _ => return None,
    };
    Some(Value::Real(number))
}

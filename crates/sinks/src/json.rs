//! Rows as JSON, for sinks that are reached over HTTP.

use kql::{Column, Value};

/// A row as an object; how a cell is written is the sink's choice.
pub(crate) fn object(
    columns: &[Column],
    row: &[Value],
    write: impl Fn(&Value) -> String,
) -> String {
    let members = columns
        .iter()
        .zip(row)
        .map(|(column, value)| format!("{}:{}", quoted(&column.name), write(value)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A value as JSON. Numbers that JSON lacks, decimals, times and ids are strings, as Kusto prints them.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Real(number) if number.is_finite() => number_text(*number),
        Value::Dynamic(json) if is_json(json) => json.clone(),
        value => quoted(&value.to_string()),
    }
}

/// Text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn number_text(number: f64) -> String {
    serde_json::Number::from_f64(number)
        .map_or_else(|| "null".to_owned(), |number| number.to_string())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use kql::Type;

    use super::*;

    #[test]
    fn a_row_is_an_object_that_reads_back() {
        let names = ["a\"b", "n", "r", "inf", "d", "j", "broken"];
        let columns = names.map(|name| Column::new(name, Type::Dynamic));
        let row = [
            Value::String("x\n\"\0".into()),
            Value::Long(i64::MAX),
            Value::Real(1e300),
            Value::Real(f64::INFINITY),
            Value::Decimal("1.50".parse().unwrap()),
            Value::Dynamic("{\"big\":12345678901234567890123}".into()),
            Value::Dynamic("{".into()),
        ];
        let text = object(&columns, &row, cell);
        let expected = r#"{"a\"b":"x\n\"\u0000","n":9223372036854775807,"r":1e+300,"inf":"Infinity","d":"1.50","j":{"big":12345678901234567890123},"broken":"{"}"#;
        assert_eq!(text, expected);
        assert!(is_json(&text));
    }
}

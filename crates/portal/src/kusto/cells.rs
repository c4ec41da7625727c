//! Values and tables as Kusto writes them in JSON.

use axum::body::Bytes;
use kql::{Column, Type, Value};
use serde_json::{Number, Value as Json, json};

/// About the bytes of one piece of an answer.
const PIECE_BYTES: usize = 64 << 10;

/// A value as Kusto writes it in JSON: numbers and booleans as such, decimals, times and guids as
/// text, dynamic values as the JSON they are.
pub fn json_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Long(number) => (*number).into(),
        Value::Real(number) => {
            Number::from_f64(*number).map_or_else(|| kql::format_real(*number).into(), Json::Number)
        }
        Value::String(text) => text.clone().into(),
        Value::Dynamic(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
        Value::Decimal(_) | Value::Datetime(_) | Value::Timespan(_) | Value::Guid(_) => {
            value.to_string().into()
        }
    }
}

/// The same for Azure Monitor, whose dynamic values are text.
pub(crate) fn json_text_value(value: &Value) -> Json {
    match value {
        Value::Dynamic(text) => text.clone().into(),
        other => json_value(other),
    }
}

/// Rows as JSON arrays with commas between them, in pieces of a bounded size.
pub(crate) fn row_pieces(
    rows: Vec<Vec<Value>>,
    cell: fn(&Value) -> Json,
) -> impl Iterator<Item = Bytes> + Send {
    let mut rows = rows.into_iter();
    let mut is_first = true;
    std::iter::from_fn(move || {
        let mut piece = Vec::new();
        for row in rows.by_ref() {
            if !is_first {
                piece.push(b',');
            }
            is_first = false;
            let cells: Json = row.iter().map(cell).collect();
            piece.extend_from_slice(cells.to_string().as_bytes());
            if piece.len() >= PIECE_BYTES {
                break;
            }
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    })
}

/// Columns as version 1 lists them.
pub(crate) fn columns_v1(columns: &[Column]) -> Json {
    let column = |column: &Column| {
        json!({
            "ColumnName": &*column.name,
            "DataType": data_type(column.column_type),
            "ColumnType": column.column_type.name(),
        })
    };
    columns.iter().map(column).collect()
}

/// Columns as version 2 lists them.
pub(crate) fn columns_v2(columns: &[Column]) -> Json {
    let column = |column: &Column| json!({ "ColumnName": &*column.name, "ColumnType": column.column_type.name() });
    columns.iter().map(column).collect()
}

/// `DataType` of a column in version 1: the .NET name without its namespace.
pub(crate) fn data_type(column_type: Type) -> &'static str {
    let name = column_type.dotnet_name();
    name.rsplit('.').next().unwrap_or(name)
}

/// Named columns.
pub(crate) fn columns(named: &[(&str, Type)]) -> Vec<Column> {
    named.iter().map(|(name, kusto)| Column::new(*name, *kusto)).collect()
}

/// How a result is to be shown, as an object; its kind is null if nothing was said.
pub(crate) fn visualization(frame: &kql::Frame) -> Json {
    let mut shown = json!({ "Visualization": null, "Title": null, "XColumn": null, "Series": null,
        "YColumns": null, "AnomalyColumns": null, "XTitle": null, "YTitle": null, "XAxis": null,
        "YAxis": null, "Legend": null, "YSplit": null, "Accumulate": false, "IsQuerySorted": false,
        "Kind": null, "Ymin": "NaN", "Ymax": "NaN", "Xmin": null, "Xmax": null });
    if let Some(wanted) = &frame.visualization {
        shown["Visualization"] = wanted.kind.clone().into();
        for (name, value) in &wanted.properties {
            let known = shown
                .as_object()
                .and_then(|all| all.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned());
            shown[known.unwrap_or_else(|| name.clone())] = value.clone().into();
        }
    }
    shown
}

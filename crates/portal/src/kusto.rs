//! Kusto's query protocol, version 1: requests, results and errors.
//!
//! Copies <https://learn.microsoft.com/azure/data-explorer/kusto/api/rest/response> for version 1:
//! the result is the first table, the second holds query properties. With several results each has a
//! table, then come the properties, and last a table of contents.

use std::collections::BTreeMap;
use std::time::Duration;

use kql::{Frame, Options, QueryError, QueryErrorKind, Type, Value};
use serde::Deserialize;
use serde_json::{Map, Number, Value as Json, json};

/// Body of `POST /v1/rest/query`.
#[derive(Debug, Deserialize)]
pub(crate) struct QueryRequest {
    /// The query text.
    pub(crate) csl: String,
    /// Database; Gatehouse has one, so the name is not looked at.
    #[serde(default)]
    pub(crate) db: Option<String>,
    /// Client request properties.
    #[serde(default)]
    pub(crate) properties: Option<Properties>,
}

/// `properties` of a request; options that we do not know are ignored, as Kusto does.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Properties {
    #[serde(default, rename = "Options")]
    options: Map<String, Json>,
    #[serde(default, rename = "Parameters")]
    parameters: BTreeMap<String, Json>,
}

/// Limits and parameters that the request asks for, within `Options::default`.
pub(crate) fn options(properties: Option<Properties>) -> Options {
    let mut options = Options::default();
    let Some(properties) = properties else { return options };
    if let Some(timeout) = properties.options.get("servertimeout").and_then(timespan) {
        options.timeout = timeout.min(Duration::from_secs(3_600));
    }
    let number = |name: &str| properties.options.get(name).and_then(Json::as_u64);
    if let Some(rows) = number("truncationmaxrecords") {
        options.rows_max = options.rows_max.min(rows);
    }
    if let Some(bytes) = number("truncationmaxsize") {
        options.bytes_max = options.bytes_max.min(bytes);
    }
    options.parameters = properties
        .parameters
        .into_iter()
        .map(|(name, value)| {
            (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    options
}

/// `hh:mm:ss` or `d.hh:mm:ss`.
fn timespan(value: &Json) -> Option<Duration> {
    let ticks = kql::parse_timespan(value.as_str()?)?;
    Some(Duration::from_nanos(u64::try_from(ticks).ok()?.checked_mul(100)?))
}

/// The answer to a query.
pub(crate) fn response(frame: &Frame) -> Json {
    let frames: Vec<&Frame> = std::iter::once(frame).chain(&frame.more).collect();
    let mut tables: Vec<Json> =
        (0..).zip(&frames).map(|(at, frame)| table(&format!("Table_{at}"), frame)).collect();
    tables.push(properties(&format!("Table_{}", frames.len()), frame));
    if frames.len() > 1 {
        tables.push(contents(frames.len()));
    }
    let mut answer = json!({ "Tables": tables });
    if let Some(reason) = &frame.truncated {
        answer["Exceptions"] = json!([reason]);
    }
    answer
}

fn table(name: &str, frame: &Frame) -> Json {
    let columns: Vec<Json> = frame
        .columns
        .iter()
        .map(|column| {
            json!({
                "ColumnName": &*column.name,
                "DataType": data_type(column.column_type),
                "ColumnType": column.column_type.name(),
            })
        })
        .collect();
    let rows: Vec<Json> =
        frame.rows.iter().map(|row| row.iter().map(json_value).collect::<Json>()).collect();
    json!({ "TableName": name, "Columns": columns, "Rows": rows })
}

fn properties(name: &str, frame: &Frame) -> Json {
    let visualization = match &frame.visualization {
        None => json!({ "Visualization": null }),
        Some(shown) => {
            let mut map = Map::new();
            map.insert("Visualization".into(), shown.kind.clone().into());
            for (name, value) in &shown.properties {
                map.insert(name.clone(), value.clone().into());
            }
            Json::Object(map)
        }
    };
    json!({
        "TableName": name,
        "Columns": [{ "ColumnName": "Value", "DataType": "String", "ColumnType": "string" }],
        "Rows": [[visualization.to_string()]],
    })
}

/// The table of contents of so many results and their properties.
fn contents(results: usize) -> Json {
    let columns =
        [("Ordinal", "Int64", "long"), ("Kind", "String", "string"), ("Name", "String", "string")];
    let columns: Vec<Json> = columns
        .iter()
        .map(|(name, data, kusto)| json!({ "ColumnName": name, "DataType": data, "ColumnType": kusto }))
        .collect();
    let mut rows: Vec<Json> =
        (0..results).map(|at| json!([at, "QueryResult", "PrimaryResult"])).collect();
    rows.push(json!([results, "QueryProperties", "@ExtendedProperties"]));
    json!({ "TableName": format!("Table_{}", results + 1), "Columns": columns, "Rows": rows })
}

/// The tables of a version 1 answer that hold results.
pub fn results(answer: &Json) -> &[Json] {
    let tables = answer["Tables"].as_array().map_or(&[][..], Vec::as_slice);
    match tables.len() {
        0..=2 => &tables[..tables.len().min(1)],
        len => &tables[..len - 2],
    }
}

/// `DataType` of a column in version 1: the .NET name without its namespace.
fn data_type(column_type: Type) -> &'static str {
    let name = column_type.dotnet_name();
    name.rsplit('.').next().unwrap_or(name)
}

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

/// Rows of a result as one object each, columns in order.
pub fn rows_as_objects(table: &Json) -> Option<Vec<Map<String, Json>>> {
    let names: Vec<&str> = table["Columns"]
        .as_array()?
        .iter()
        .map(|column| column["ColumnName"].as_str())
        .collect::<Option<_>>()?;
    let rows = table["Rows"].as_array()?;
    rows.iter()
        .map(|row| {
            let cells = row.as_array()?;
            Some(names.iter().map(|name| (*name).to_owned()).zip(cells.iter().cloned()).collect())
        })
        .collect()
}

/// Status and body of a failed query, as Kusto's `OneApiError`.
pub(crate) fn error(error: &QueryError, client_request_id: &str) -> (u16, Json) {
    let (status, code, kind) = match error.kind() {
        QueryErrorKind::Syntax => {
            (400, "General_BadRequest", "Kusto.Data.Exceptions.SyntaxException")
        }
        QueryErrorKind::Semantic | QueryErrorKind::Unsupported => {
            (400, "General_BadRequest", "Kusto.Data.Exceptions.SemanticException")
        }
        QueryErrorKind::Evaluation => {
            (400, "General_BadRequest", "Kusto.Data.Exceptions.KustoBadRequestException")
        }
        QueryErrorKind::LimitExceeded => (
            400,
            "LimitsExceeded",
            "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException",
        ),
        QueryErrorKind::Timeout => {
            (504, "Request_Timeout", "Kusto.Data.Exceptions.KustoServiceTimeoutException")
        }
        QueryErrorKind::Cancelled => {
            (499, "Request_Cancelled", "System.OperationCanceledException")
        }
        QueryErrorKind::Internal => {
            (500, "Internal_Service_Error", "Kusto.Data.Exceptions.KustoServiceException")
        }
    };
    let is_permanent = status == 400;
    (status, body(code, kind, error.message(), is_permanent, client_request_id))
}

/// A `OneApiError`.
pub(crate) fn body(code: &str, kind: &str, message: &str, is_permanent: bool, id: &str) -> Json {
    json!({
        "error": {
            "code": code,
            "message": message,
            "@type": kind,
            "@message": message,
            "@context": { "clientRequestId": id, "serviceAlias": "gatehouse" },
            "@permanent": is_permanent,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            columns: vec![
                kql::Column::new("n", Type::Long),
                kql::Column::new("bag", Type::Dynamic),
                kql::Column::new("at", Type::Datetime),
            ],
            rows: vec![vec![
                Value::Long(7),
                Value::Dynamic(r#"{"a":[1]}"#.into()),
                Value::Datetime(0),
            ]],
            ..Frame::default()
        }
    }

    #[test]
    fn a_result_is_the_first_table_with_kusto_types() {
        let answer = response(&frame());
        let table = &answer["Tables"][0];
        assert_eq!(table["Columns"][0]["DataType"], "Int64");
        assert_eq!(table["Columns"][2]["ColumnType"], "datetime");
        assert_eq!(table["Rows"][0][1], json!({ "a": [1] }));
        assert_eq!(table["Rows"][0][2], "0001-01-01T00:00:00.0000000Z");
        let objects = rows_as_objects(&results(&answer)[0]).expect("well formed");
        assert_eq!(objects[0]["n"], 7);
    }

    #[test]
    fn several_results_have_a_table_each_and_a_table_of_contents_at_the_end() {
        let several = Frame { more: vec![frame()], ..frame() };
        let answer = response(&several);
        assert_eq!(answer["Tables"].as_array().map(Vec::len), Some(4));
        assert_eq!(results(&answer).len(), 2);
        assert_eq!(answer["Tables"][3]["Rows"][2][1], "QueryProperties");
    }

    #[test]
    fn a_cut_result_says_so() {
        let cut = Frame { truncated: Some("too many rows".into()), ..frame() };
        assert_eq!(response(&cut)["Exceptions"], json!(["too many rows"]));
    }

    #[test]
    fn request_properties_tighten_the_limits_and_never_loosen_them() {
        let properties = serde_json::from_value(json!({
            "Options": { "servertimeout": "00:00:05", "truncationmaxrecords": 10_000_000, "other": 1 },
            "Parameters": { "who": "\"ann\"", "most": 3 },
        }));
        let asked = options(Some(properties.expect("valid")));
        assert_eq!(asked.timeout, Duration::from_secs(5));
        assert_eq!(asked.rows_max, Options::default().rows_max);
        assert_eq!(asked.parameters["most"], "3");
        assert_eq!(asked.parameters["who"], "\"ann\"");
    }

    #[test]
    fn errors_have_kustos_shape() {
        let wrong = QueryError::new(QueryErrorKind::Semantic, "no such column");
        let (status, body) = error(&wrong, "id-1");
        assert_eq!(status, 400);
        assert_eq!(body["error"]["@permanent"], true);
        assert_eq!(body["error"]["@context"]["clientRequestId"], "id-1");
    }
}

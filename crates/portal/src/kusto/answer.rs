//! Results in Kusto's shapes: tables of version 1, frames of version 2.
//!
//! Copies <https://learn.microsoft.com/azure/data-explorer/kusto/api/rest/response> and
//! <https://learn.microsoft.com/azure/data-explorer/kusto/api/rest/response2>. Rows leave in pieces, so
//! that an answer is never held a second time as text.

use axum::body::Bytes;
use kql::{Frame, Type, UNIX_EPOCH_TICKS, Value};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::cells::{columns, columns_v1, columns_v2, json_value, row_pieces, visualization};

/// Pieces of an answer, in order.
pub(crate) type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// What an answer says beside its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// Id the client gave.
    pub(crate) id: String,
    /// Id of this request.
    pub(crate) activity: Uuid,
    /// Now, in ticks.
    pub(crate) now_ticks: i64,
    /// A cut result is told at the end only.
    pub(crate) defers_failures: bool,
    /// Version 2: the primary results come as fragments.
    pub(crate) is_progressive: bool,
}

/// Now, in ticks.
pub(crate) fn now_ticks() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ticks = since.unwrap_or_default().as_nanos() / 100;
    UNIX_EPOCH_TICKS.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
}

/// A result of its own: the answer to a command.
pub(crate) fn single_v1(frame: Frame) -> Pieces {
    let end = if frame.truncated.is_some() { exceptions(&[&frame]) } else { String::new() };
    let table = table_v1("Table_0", frame);
    Box::new(text(r#"{"Tables":["#).chain(table).chain(text(format!("]{end}}}"))))
}

/// Version 1: each result a table, then properties, status and a table of contents.
pub(crate) fn v1(frame: Frame, about: &About) -> Pieces {
    let frames = separate(frame);
    let count = frames.len();
    let end = exceptions(&frames.iter().collect::<Vec<_>>());
    let properties: Vec<Vec<Value>> =
        frames.iter().map(|frame| vec![string(visualization(frame).to_string())]).collect();
    let cut = frames.iter().find_map(|frame| frame.truncated.clone());
    let mut tables = frames;
    tables.push(Frame {
        columns: columns(&[("Value", Type::String)]),
        rows: properties,
        ..Frame::default()
    });
    tables.push(status_v1(about, cut));
    tables.push(contents(count));
    let tables = tables.into_iter().enumerate().flat_map(|(at, frame)| {
        let comma = if at == 0 { "" } else { "," };
        text(comma).chain(table_v1(&format!("Table_{at}"), frame))
    });
    Box::new(text(r#"{"Tables":["#).chain(tables).chain(text(format!("]{end}}}"))))
}

/// Version 2: frames.
pub(crate) fn v2(frame: Frame, about: &About) -> Pieces {
    let frames = separate(frame);
    let count = frames.len();
    let failures: Vec<Json> =
        frames.iter().filter_map(|frame| Some(failure(frame.truncated.as_ref()?, about))).collect();
    let shown = frames.iter().zip(1..).map(|(frame, at)| {
        vec![
            Value::Int(at),
            string("Visualization"),
            Value::Dynamic(json!(visualization(frame).to_string()).to_string()),
        ]
    });
    let properties = Frame {
        columns: columns(&[
            ("TableId", Type::Int),
            ("Key", Type::String),
            ("Value", Type::Dynamic),
        ]),
        rows: shown.collect(),
        ..Frame::default()
    };
    let statistics = frames.first().map(|frame| frame.statistics).unwrap_or_default();
    let completion = completion_v2(about, &failures, &statistics);
    let head = json!({ "FrameType": "DataSetHeader", "IsProgressive": about.is_progressive, "Version": "v2.0" });
    let is_progressive = about.is_progressive;
    let defers = about.defers_failures;
    let about_rows = about.clone();
    let results = frames.into_iter().enumerate().flat_map(move |(at, frame)| {
        let failure = frame.truncated.as_ref().filter(|_| !defers);
        let failure = failure.map(|reason| failure_row(reason, &about_rows));
        let named = frame.name.clone().unwrap_or_else(|| "PrimaryResult".into());
        let table = Table { id: at + 1, kind: "PrimaryResult", name: named, failure };
        text(",").chain(if is_progressive { table.fragments(frame) } else { table.whole(frame) })
    });
    let table =
        |id, kind: &'static str, name: &str| Table { id, kind, name: name.into(), failure: None };
    let properties = table(0, "QueryProperties", "@ExtendedProperties").whole(properties);
    let completion = table(count + 1, "QueryCompletionInformation", "QueryCompletionInformation")
        .whole(completion);
    let mut end = json!({ "FrameType": "DataSetCompletion", "HasErrors": !failures.is_empty(), "Cancelled": false });
    if !failures.is_empty() {
        end["OneApiErrors"] = failures.into();
    }
    let body = text(format!("[{head},\r\n")).chain(properties).chain(results);
    Box::new(body.chain(text(",")).chain(completion).chain(text(format!(",{end}]"))))
}

/// A table of version 2 under way.
struct Table {
    id: usize,
    kind: &'static str,
    name: String,
    /// Stands behind the last row: why there are no more.
    failure: Option<Json>,
}

impl Table {
    fn head(&self, frame_type: &str, frame: &Frame) -> String {
        let head = json!({
            "FrameType": frame_type, "TableId": self.id, "TableKind": self.kind,
            "TableName": self.name, "Columns": columns_v2(&frame.columns),
        });
        head.to_string()
    }

    fn whole(self, frame: Frame) -> Pieces {
        let head = self.head("DataTable", &frame);
        let head = format!("{},\"Rows\":[", head.trim_end_matches('}'));
        let comma = if frame.rows.is_empty() { "" } else { "," };
        let failure = self.failure.map_or_else(String::new, |failure| format!("{comma}{failure}"));
        let rows = row_pieces(frame.rows, json_value);
        Box::new(text(head).chain(rows).chain(text(format!("{failure}]}}"))))
    }

    fn fragments(self, frame: Frame) -> Pieces {
        let (id, fields, count) = (self.id, frame.columns.len(), frame.rows.len());
        let head = self.head("TableHeader", &frame);
        let fragment = move |rows: &str| {
            format!(
                ",{{\"FrameType\":\"TableFragment\",\"TableFragmentType\":\"DataAppend\",\"TableId\":{id},\"FieldCount\":{fields},\"Rows\":[{rows}]}}"
            )
        };
        let failed =
            self.failure.iter().map(|failure| fragment(&failure.to_string())).collect::<String>();
        let mut end = json!({ "FrameType": "TableCompletion", "TableId": id, "RowCount": count });
        if let Some(failure) = &self.failure {
            end["OneApiErrors"] = failure["OneApiErrors"].clone();
        }
        let rows = row_pieces(frame.rows, json_value).map(move |piece| {
            let piece = String::from_utf8_lossy(&piece);
            Bytes::from(fragment(piece.trim_start_matches(',')))
        });
        Box::new(text(head).chain(rows).chain(text(format!("{failed},{end}"))))
    }
}

fn table_v1(name: &str, frame: Frame) -> Pieces {
    let columns = columns_v1(&frame.columns);
    let head = format!("{{\"TableName\":\"{name}\",\"Columns\":{columns},\"Rows\":[");
    Box::new(text(head).chain(row_pieces(frame.rows, json_value)).chain(text("]}")))
}

fn text(text: impl Into<String>) -> Pieces {
    let text: String = text.into();
    Box::new(std::iter::once(Bytes::from(text)))
}

fn separate(mut frame: Frame) -> Vec<Frame> {
    let more = std::mem::take(&mut frame.more);
    std::iter::once(frame).chain(more).collect()
}

fn string(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// `,"Exceptions":[…]` where results were cut.
fn exceptions(frames: &[&Frame]) -> String {
    let cut: Vec<&String> = frames.iter().filter_map(|frame| frame.truncated.as_ref()).collect();
    if cut.is_empty() { String::new() } else { format!(",\"Exceptions\":{}", json!(cut)) }
}

fn status_v1(about: &About, cut: Option<String>) -> Frame {
    let named = [
        ("Timestamp", Type::Datetime),
        ("Severity", Type::Int),
        ("SeverityName", Type::String),
        ("StatusCode", Type::Int),
        ("StatusDescription", Type::String),
        ("Count", Type::Int),
        ("RequestId", Type::Guid),
        ("ActivityId", Type::Guid),
        ("SubActivityId", Type::Guid),
        ("ClientActivityId", Type::String),
    ];
    let (severity, name, code) = if cut.is_some() { (2, "Error", -1) } else { (4, "Info", 0) };
    let activity = Value::Guid(about.activity.as_u128());
    let row = vec![
        Value::Datetime(about.now_ticks),
        Value::Int(severity),
        string(name),
        Value::Int(code),
        string(cut.unwrap_or_else(|| "Query completed successfully".into())),
        Value::Int(1),
        activity.clone(),
        activity.clone(),
        activity,
        string(about.id.clone()),
    ];
    Frame { columns: columns(&named), rows: vec![row], ..Frame::default() }
}

/// The table of contents of so many results, their properties and the status.
fn contents(results: usize) -> Frame {
    let named = [
        ("Ordinal", Type::Long),
        ("Kind", Type::String),
        ("Name", Type::String),
        ("Id", Type::String),
        ("PrettyName", Type::String),
    ];
    let kinds = std::iter::repeat_n(("QueryResult", "PrimaryResult"), results)
        .chain([("QueryProperties", "@ExtendedProperties"), ("QueryStatus", "QueryStatus")]);
    let row = |(at, (kind, name)): (i64, (&str, &str))| {
        let id = Uuid::from_u128(u128::from(at.unsigned_abs()) + 1).to_string();
        vec![Value::Long(at), string(kind), string(name), string(id), string("")]
    };
    Frame {
        columns: columns(&named),
        rows: (0..).zip(kinds).map(row).collect(),
        ..Frame::default()
    }
}

fn completion_v2(about: &About, failures: &[Json], statistics: &kql::Statistics) -> Frame {
    let named = [
        ("Timestamp", Type::Datetime),
        ("ClientRequestId", Type::String),
        ("ActivityId", Type::Guid),
        ("SubActivityId", Type::Guid),
        ("ParentActivityId", Type::Guid),
        ("Level", Type::Int),
        ("LevelName", Type::String),
        ("StatusCode", Type::Int),
        ("StatusCodeName", Type::String),
        ("EventType", Type::Int),
        ("EventTypeName", Type::String),
        ("Payload", Type::String),
    ];
    let row = |level: (i32, &str), status: (i32, &str), event: (i32, &str), payload: String| {
        let activity = Value::Guid(about.activity.as_u128());
        vec![
            Value::Datetime(about.now_ticks),
            string(about.id.clone()),
            activity.clone(),
            activity.clone(),
            activity,
            Value::Int(level.0),
            string(level.1),
            Value::Int(status.0),
            string(status.1),
            Value::Int(event.0),
            string(event.1),
            string(payload),
        ]
    };
    let mut rows = Vec::new();
    match failures.first() {
        None => {
            let done = json!({ "Count": 1, "Text": "Query completed successfully" });
            rows.push(row((4, "Info"), (0, "S_OK (0)"), (4, "QueryInfo"), done.to_string()));
        }
        Some(failure) => {
            let told = json!({ "Count": 1, "Text": failure["error"]["@message"] });
            let status = (-2_133_196_797, "E_QUERY_RESULT_SET_TOO_LARGE (80DA0003)");
            rows.push(row((2, "Error"), status, (4, "QueryInfo"), told.to_string()));
        }
    }
    let spent = json!({
        "ExecutionTime": statistics.elapsed.as_secs_f64(),
        "resource_usage": { "memory": { "peak_per_node": statistics.memory_peak_bytes } },
        "input_dataset_statistics": { "rows": { "scanned": statistics.rows_scanned },
            "bytes": { "scanned": statistics.bytes_scanned } },
    });
    let event = (5, "QueryResourceConsumption");
    rows.push(row((6, "Stats"), (0, "S_OK (0)"), event, spent.to_string()));
    Frame { columns: columns(&named), rows, ..Frame::default() }
}

fn failure(reason: &str, about: &About) -> Json {
    let kind = "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException";
    super::error::body("LimitsExceeded", kind, reason, false, &about.id)
}

/// What stands among the rows where more would come.
fn failure_row(reason: &str, about: &About) -> Json {
    json!({ "OneApiErrors": [failure(reason, about)] })
}

#[cfg(test)]
mod tests;

//! Results, errors and metadata in Azure Monitor's shapes. Dynamic values are text there.

use axum::body::Bytes;
use kql::{Frame, QueryError, QueryErrorKind, Schema, Statistics};
use serde_json::{Value as Json, json};

use crate::kusto::{Catalogued, Pieces, json_text_value, row_pieces, visualization};
use crate::problem::Problem;

/// The answer to a query, in pieces.
pub(super) fn pieces(mut frame: Frame, statistics: bool, render: bool) -> Pieces {
    let about = about(&frame, statistics, render);
    let more = std::mem::take(&mut frame.more);
    let frames = std::iter::once(frame).chain(more).enumerate();
    let tables = frames.flat_map(|(at, frame)| {
        let comma = if at == 0 { "" } else { "," };
        let name = json!(name(&frame, at));
        let columns = columns(&frame);
        let head = format!("{comma}{{\"name\":{name},\"columns\":{columns},\"rows\":[");
        text(head).chain(row_pieces(frame.rows, json_text_value)).chain(text("]}"))
    });
    let end = about.into_iter().map(|(name, value)| format!(",\"{name}\":{value}"));
    let end = format!("]{}}}", end.collect::<String>());
    Box::new(text(r#"{"tables":["#).chain(tables).chain(text(end)))
}

/// The same as one value.
pub(super) fn whole(frame: Frame, statistics: bool, render: bool) -> Json {
    let bytes: Vec<u8> = pieces(frame, statistics, render).flatten().collect();
    serde_json::from_slice(&bytes).unwrap_or(Json::Null)
}

/// Members beside the tables.
fn about(frame: &Frame, statistics: bool, render: bool) -> Vec<(&'static str, Json)> {
    let mut members = Vec::new();
    if statistics {
        members.push(("statistics", cost(&frame.statistics)));
    }
    if render {
        let mut shown = visualization(frame);
        if let Some(shown) = shown.as_object_mut() {
            let lower =
                std::mem::take(shown).into_iter().map(|(name, value)| (lowered(&name), value));
            shown.extend(lower);
        }
        members.push(("render", shown));
    }
    let all = std::iter::once(frame).chain(&frame.more);
    let cut: Vec<&String> = all.filter_map(|frame| frame.truncated.as_ref()).collect();
    if !cut.is_empty() {
        let detail = |reason: &&String| {
            json!({
                "code": "EngineError",
                "message": "Something went wrong processing your query on the server.",
                "innererror": { "code": "-2133196797", "message": reason, "severity": 2, "severityName": "Error" },
            })
        };
        let error = json!({
            "code": "PartialError",
            "message": "There were some errors when processing your query.",
            "details": cut.iter().map(detail).collect::<Json>(),
        });
        members.push(("error", error));
    }
    members
}

fn lowered(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn cost(statistics: &Statistics) -> Json {
    json!({ "query": {
        "executionTime": statistics.elapsed.as_secs_f64(),
        "resourceUsage": { "memory": { "peakPerNode": statistics.memory_peak_bytes } },
        "inputDatasetStatistics": {
            "rows": { "scanned": statistics.rows_scanned },
            "bytes": { "scanned": statistics.bytes_scanned },
        },
    } })
}

fn name(frame: &Frame, at: usize) -> String {
    frame.name.clone().unwrap_or_else(|| match at {
        0 => "PrimaryResult".into(),
        at => format!("PrimaryResult_{at}"),
    })
}

fn columns(frame: &Frame) -> Json {
    let columns = frame.columns.iter();
    columns
        .map(|column| json!({ "name": &*column.name, "type": column.column_type.name() }))
        .collect()
}

fn text(text: impl Into<String>) -> Pieces {
    let text: String = text.into();
    Box::new(std::iter::once(Bytes::from(text)))
}

/// The body of a request that is none.
pub(super) fn bad_argument(detail: &str, correlation_id: &str) -> Json {
    json!({ "error": {
        "message": "The request had some invalid properties",
        "code": "BadArgumentError",
        "correlationId": correlation_id,
        "innererror": { "code": "ValidationError", "message": detail },
    } })
}

/// What a request is told that was let in nowhere.
pub(crate) fn denied(problem: &Problem) -> Json {
    let code = match problem.status {
        401 => "InvalidTokenError",
        403 => "InsufficientAccessError",
        _ => "BadArgumentError",
    };
    json!({ "error": { "message": problem.detail, "code": code } })
}

/// Status and body of a failed query.
pub(super) fn error(error: &QueryError, correlation_id: &str) -> (u16, Json) {
    let bad = "The request had some invalid properties";
    let (status, code, message, inner) = match error.kind() {
        QueryErrorKind::Syntax => (400, "BadArgumentError", bad, "SyntaxError"),
        QueryErrorKind::Semantic | QueryErrorKind::Unsupported => {
            (400, "BadArgumentError", bad, "SemanticError")
        }
        QueryErrorKind::Evaluation => (400, "BadArgumentError", bad, "EvaluationError"),
        QueryErrorKind::LimitExceeded => {
            (400, "BadArgumentError", "The query needs more than it may use", "LimitsExceeded")
        }
        QueryErrorKind::Forbidden => (
            403,
            "InsufficientAccessError",
            "The provided credentials have insufficient access to perform the requested operation",
            "Forbidden",
        ),
        QueryErrorKind::Throttled => {
            (429, "ThrottledError", "Too many queries are running", "Throttled")
        }
        QueryErrorKind::Timeout => (504, "GatewayTimeout", "The query took too long", "Timeout"),
        QueryErrorKind::Cancelled => (499, "Cancelled", "The query was cancelled", "Cancelled"),
        QueryErrorKind::Internal => (500, "InternalServerError", "The query failed", "Internal"),
    };
    let mut within = json!({ "code": inner, "message": error.message() });
    if let Some(first) = error.diagnostics().iter().find(|finding| finding.is_error()) {
        within["line"] = first.line.into();
        within["pos"] = first.column.into();
        within["innererror"] = json!({ "code": first.code, "message": first.message });
    }
    let body = json!({ "error": {
        "message": message, "code": code, "correlationId": correlation_id, "innererror": within,
    } });
    (status, body)
}

/// The tables of a workspace.
pub(super) fn metadata(catalogued: &Catalogued, workspace: &str) -> Json {
    let table = |(name, schema): &(String, std::sync::Arc<Schema>)| {
        let columns = schema.columns.iter();
        let columns: Json = columns
            .map(|column| json!({ "name": &*column.name, "type": column.column_type.name() }))
            .collect();
        let mut table = json!({ "id": format!("t/{name}"), "name": name, "columns": columns });
        if schema.position("TimeGenerated").is_some() {
            table["timespanColumn"] = "TimeGenerated".into();
        }
        table
    };
    let tables: Json = catalogued.tables.iter().map(table).collect();
    let ids: Json = catalogued.tables.iter().map(|(name, _)| format!("t/{name}")).collect();
    json!({
        "tables": tables,
        "tableGroups": [],
        "functions": [],
        "workspaces": [{ "id": workspace, "name": catalogued.database, "resourceId": "", "tables": ids }],
        "permissions": { "workspaces": [] },
    })
}

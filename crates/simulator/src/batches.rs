//! Batches: each look moves one on, and the answers of every line are there at the end.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::files::{self, NewFile};
use crate::paging::page;
use crate::payload::Payload;
use crate::route::Route;
use crate::store::{Kind, Object};
use crate::usage::Used;
use crate::{chat, completions, embeddings, responses};

/// Most lines in one batch.
const LINES_MAX: usize = 100_000;
/// Longest answer to one line.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest output file; it is kept like any other.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Seconds in the only window there is.
const WINDOW_S: i64 = 86_400;

/// `batches...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    match (&call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => {
            let reply = page(call, call.instance.store.list(Kind::Batch, None))?;
            Ok(if call.dialect().is_azure() {
                reply
                    .header("deployment-enqueued-tokens", "0")
                    .header("deployment-maximum-enqueued-tokens", "5000000")
            } else {
                reply
            })
        }
        (&Method::GET, [id]) => advance(call, id),
        (&Method::POST, [id, "cancel"]) => {
            let value = call.instance.store.with(Kind::Batch, id, |object| {
                let status = object.value["status"].as_str().unwrap_or_default();
                if matches!(status, "validating" | "in_progress" | "finalizing") {
                    object.value["status"] = json!("cancelling");
                    object.value["cancelling_at"] = json!(call.now);
                }
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        _ => Err(call.unknown()),
    }
}

fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let endpoint = call.need_text("endpoint")?;
    if segments(endpoint).is_none() {
        return Err(Failure::invalid(
            "endpoint",
            "expected chat completions, completions, embeddings or responses",
        ));
    }
    if call.need_text("completion_window")? != "24h" {
        return Err(Failure::invalid("completion_window", "expected '24h'"));
    }
    let input = call.need_text("input_file_id")?;
    call.instance.store.get(Kind::File, input)?;
    let id = call.id(Kind::Batch);
    let mut value = json!({
        "id": id,
        "object": "batch",
        "endpoint": endpoint,
        "errors": null,
        "input_file_id": input,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": null,
        "error_file_id": null,
        "created_at": call.now,
    });
    for name in [
        "in_progress_at",
        "finalizing_at",
        "completed_at",
        "failed_at",
        "expired_at",
        "cancelling_at",
        "cancelled_at",
    ] {
        value[name] = Value::Null;
    }
    value["expires_at"] = json!(call.now + WINDOW_S);
    value["request_counts"] = json!({"total": 0, "completed": 0, "failed": 0});
    value["metadata"] = call.field("metadata").cloned().unwrap_or(Value::Null);
    call.keep(Kind::Batch, &id, Object::new(value.clone()));
    let newest = call.dialect() == Dialect::AzureDated && call.route.since("2025-04-01");
    let reply = Reply::json(&value);
    Ok(if newest { reply.status(StatusCode::CREATED) } else { reply })
}

/// The path behind an endpoint's prefix.
fn segments(endpoint: &str) -> Option<Vec<String>> {
    let path = endpoint
        .strip_prefix("/v1")
        .or_else(|| endpoint.strip_prefix("/openai/v1"))
        .unwrap_or(endpoint);
    let known = ["/chat/completions", "/completions", "/embeddings", "/responses"].contains(&path);
    known.then(|| path.split('/').skip(1).map(str::to_owned).collect())
}

/// validating, in progress, finalizing, completed.
fn advance(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let (mut value, polls) = store.with(Kind::Batch, id, |object| {
        object.polls += 1;
        (object.value.clone(), object.polls)
    })?;
    match value["status"].as_str().unwrap_or_default() {
        "validating" => begin(call, &mut value),
        "in_progress" => {
            value["status"] = json!("finalizing");
            value["finalizing_at"] = json!(call.now);
        }
        "finalizing" => finish(call, id, &mut value),
        "cancelling" => {
            value["status"] = json!("cancelled");
            value["cancelled_at"] = json!(call.now);
        }
        _ => {}
    }
    store.with(Kind::Batch, id, |object| {
        // Another look at the same time may have been faster; the further one stays.
        if object.polls == polls {
            object.value.clone_from(&value);
        }
    })?;
    Ok(Reply::json(&value))
}

fn begin(call: &Call<'_>, value: &mut Value) {
    let lines = lines(call, value["input_file_id"].as_str().unwrap_or_default());
    match lines {
        Ok(lines) => {
            value["status"] = json!("in_progress");
            value["in_progress_at"] = json!(call.now);
            value["request_counts"]["total"] = json!(lines.len());
        }
        Err((code, message, line)) => {
            value["status"] = json!("failed");
            value["failed_at"] = json!(call.now);
            value["errors"] = json!({"object": "list", "data": [{"code": code, "message": message, "param": null, "line": line}]});
        }
    }
}

type Invalid = (&'static str, String, Option<usize>);

fn lines(call: &Call<'_>, file: &str) -> Result<Vec<Value>, Invalid> {
    let content = files::need_content(call, file).map_err(|_| {
        (
            "file_not_readable",
            "The input file is gone or its content was not kept.".to_owned(),
            None,
        )
    })?;
    let text = String::from_utf8_lossy(&content);
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = Some(index + 1);
        let value: Value = serde_json::from_str(line).map_err(|_| {
            ("invalid_json_line", "This line is not parseable as valid JSON.".to_owned(), number)
        })?;
        if value["custom_id"].as_str().is_none() || !value["body"].is_object() {
            return Err((
                "missing_required_parameter",
                "custom_id and body are required.".to_owned(),
                number,
            ));
        }
        if lines.len() >= LINES_MAX {
            return Err((
                "too_many_tasks",
                format!("At most {LINES_MAX} lines are allowed."),
                number,
            ));
        }
        lines.push(value);
    }
    if lines.is_empty() {
        Err(("empty_file", "The input file is empty.".to_owned(), None))
    } else {
        Ok(lines)
    }
}

fn finish(call: &Call<'_>, id: &str, value: &mut Value) {
    let endpoint = value["endpoint"].as_str().and_then(segments).unwrap_or_default();
    let lines =
        lines(call, value["input_file_id"].as_str().unwrap_or_default()).unwrap_or_default();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let (mut completed, mut failed) = (0, 0);
    let mut used = Used { service_tier: "batch", is_told: true, ..Used::default() };
    for line in &lines {
        let (status, body, line_used) = answer(call, &endpoint, &line["body"]);
        if let Some(line_used) = line_used {
            used.model = line_used.model;
            used.prompt_tokens += line_used.prompt_tokens;
            used.completion_tokens += line_used.completion_tokens;
        }
        let request = call.instance.id("req_");
        let out = json!({
            "id": call.instance.id("batch_req_"),
            "custom_id": line["custom_id"],
            "response": {"status_code": status, "request_id": request, "body": body},
            "error": null,
        });
        let (file, count) =
            if status < 400 { (&mut good, &mut completed) } else { (&mut bad, &mut failed) };
        *count += 1;
        if file.len() < OUTPUT_BYTES_MAX {
            file.extend_from_slice(format!("{out}\n").as_bytes());
        }
    }
    for (name, content) in [("output_file_id", good), ("error_file_id", bad)] {
        if !content.is_empty() {
            value[name] = keep(call, format!("{id}_{}.jsonl", &name[..name.len() - 8]), content);
        }
    }
    value["status"] = json!("completed");
    value["completed_at"] = json!(call.now);
    value["request_counts"] =
        json!({"total": lines.len(), "completed": completed, "failed": failed});
    value["model"] = json!(used.model);
    value["usage"] = json!({
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": used.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": used.prompt_tokens + used.completion_tokens,
    });
    call.instance.book.add(used);
}

fn keep(call: &Call<'_>, name: String, content: Vec<u8>) -> Value {
    let new = NewFile {
        name,
        purpose: "batch_output".to_owned(),
        bytes: content.len() as u64,
        sha256: String::new(),
        content: Some(content.into()),
    };
    files::keep(call, new)["id"].clone()
}

/// One line, answered as a request of its own.
fn answer(call: &Call<'_>, endpoint: &[String], body: &Value) -> (u16, Value, Option<Used>) {
    let mut body = body.clone();
    if let Some(map) = body.as_object_mut() {
        map.remove("stream");
    }
    let dialect =
        if call.dialect() == Dialect::OpenAi { Dialect::OpenAi } else { Dialect::AzureV1 };
    let route = Route {
        dialect,
        deployment: None,
        segments: endpoint.to_vec(),
        version: call.route.version.clone(),
        operation_id: endpoint.join("_"),
    };
    let headers = http::HeaderMap::new();
    let inner = Call {
        instance: call.instance,
        method: Method::POST,
        route,
        query: Vec::new(),
        headers: &headers,
        host: call.host.clone(),
        payload: Payload::Json(body),
        faults: call.faults,
        triggers: true,
        now: call.now,
    };
    let names: Vec<&str> = endpoint.iter().map(String::as_str).collect();
    let answered = match names.as_slice() {
        ["chat", "completions"] => chat::create(&inner),
        ["completions"] => completions::create(&inner),
        ["embeddings"] => embeddings::create(&inner),
        ["responses"] => responses::perform(&inner, &[]),
        _ => Err(inner.unknown()),
    };
    match answered {
        Ok(reply) => {
            let used = reply.used;
            let bytes = reply.script.into_bytes(LINE_BYTES_MAX);
            let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match value {
                Some(value) => (reply.status.as_u16(), value, used),
                None => (
                    500,
                    json!({"error": {"message": "the answer is too long for a batch", "code": "sim_too_long"}}),
                    used,
                ),
            }
        }
        Err(failure) => (failure.status.as_u16(), failure.body(dialect), None),
    }
}

//! What a request asks for beside its prompt.

use serde_json::{Map, Value, json};

use super::Input;
use super::content::tool_name;
use crate::{Body, Tree};

/// Members that hold text of users, or keys; they are parts, or nothing.
const PROMPT_MEMBERS: [&str; 22] = [
    "messages",
    "prompt",
    "suffix",
    "input",
    "instructions",
    "functions",
    "data_sources",
    "dataSources",
    "additional_instructions",
    "additional_messages",
    "thread",
    "tool_outputs",
    "content",
    "query",
    "prediction",
    "items",
    "session",
    "data_source",
    "image",
    "images",
    "mask",
    "item",
];

/// Largest value kept; larger ones are replaced by their size.
const VALUE_BYTES_MAX: usize = 16 * 1024;

pub(crate) fn read(input: &Input<'_>) -> Value {
    match input.request {
        Body::Json(Tree::Object(request)) => members(request),
        Body::Form(_) => form(input),
        _ => Value::Null,
    }
}

pub(crate) fn members(request: &[(String, Tree)]) -> Value {
    let mut parameters = Map::new();
    for (key, value) in request {
        if let ("session", Tree::Object(session)) = (key.as_str(), value) {
            parameters.insert(key.clone(), members(session));
            continue;
        }
        if PROMPT_MEMBERS.contains(&key.as_str()) {
            continue;
        }
        let value = match (key.as_str(), value.as_array()) {
            ("tools", Some(tools)) => tools.iter().map(tool_name).collect(),
            _ => bounded(value),
        };
        parameters.insert(key.clone(), value);
    }
    Value::Object(parameters)
}

fn bounded(value: &Tree) -> Value {
    let bytes = match value {
        Tree::String(text) => text.len(),
        Tree::Array(_) | Tree::Object(_) => value.to_string().len(),
        _ => 0,
    };
    if bytes > VALUE_BYTES_MAX { json!({ "omitted_bytes": bytes }) } else { value.into() }
}

fn form(input: &Input<'_>) -> Value {
    let mut parameters = Map::new();
    for part in input.request.form() {
        if part.file_name.is_none() && PROMPT_MEMBERS.contains(&part.name.as_str()) {
            continue;
        }
        let value = match (&part.file_name, &part.text) {
            (Some(file_name), _) => json!({ "file_name": file_name, "bytes": part.bytes }),
            (None, Some(text)) => bounded(&Tree::String(text.clone())),
            (None, None) => json!({ "omitted_bytes": part.bytes }),
        };
        // `timestamp_granularities[]` may stand several times.
        match parameters.get_mut(&part.name) {
            Some(Value::Array(list)) => list.push(value),
            Some(known) => *known = json!([known.take(), value]),
            None => {
                parameters.insert(part.name.clone(), value);
            }
        }
    }
    Value::Object(parameters)
}

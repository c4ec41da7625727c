//! Threads and their messages.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};

/// Most messages given with a new thread.
const MESSAGES_MAX: usize = 1000;

/// Makes a thread from a body that may hold its first messages.
pub(crate) fn new_thread(call: &Call<'_>, body: &Value) -> Result<Value, Failure> {
    let id = call.id(Kind::Thread);
    let value = json!({
        "id": id,
        "object": "thread",
        "created_at": call.now,
        "metadata": body.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "tool_resources": body.get("tool_resources").cloned().unwrap_or_else(|| json!({})),
    });
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if messages.len() > MESSAGES_MAX {
        return Err(Failure::invalid("messages", "expected at most 1000"));
    }
    let messages = messages
        .iter()
        .map(|message| message_value(call, &id, message))
        .collect::<Result<Vec<_>, _>>()?;
    call.keep(Kind::Thread, &id, Object::new(value.clone()));
    for message in messages {
        keep_message(call, &id, &message);
    }
    Ok(value)
}

pub(crate) fn thread(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match call.method {
        Method::GET => Ok(Reply::json(&store.get(Kind::Thread, id)?.value)),
        Method::POST => Ok(Reply::json(&modify(call, Kind::Thread, id)?)),
        Method::DELETE => {
            store.remove(Kind::Thread, id)?;
            Ok(Reply::deleted(id, "thread.deleted"))
        }
        _ => Err(call.unknown()),
    }
}

/// Changes metadata, the only thing that can be changed of most objects.
pub(crate) fn modify(call: &Call<'_>, kind: Kind, id: &str) -> Result<Value, Failure> {
    call.instance.store.with(kind, id, |object| {
        for name in ["metadata", "tool_resources"] {
            if let Some(value) = call.field(name) {
                object.value[name] = value.clone();
            }
        }
        object.value.clone()
    })
}

pub(crate) fn messages(call: &Call<'_>, thread: &str, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let value = message_value(call, thread, call.body())?;
            keep_message(call, thread, &value);
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => {
            let mut messages = store.list(Kind::Message, Some(thread));
            if let Some(run) = call.query("run_id") {
                messages.retain(|message| message.value["run_id"] == run);
            }
            page(call, messages)
        }
        (&Method::GET, [id]) => Ok(Reply::json(&store.get_under(Kind::Message, thread, id)?.value)),
        (&Method::POST, [id]) => {
            store.get_under(Kind::Message, thread, id)?;
            Ok(Reply::json(&modify(call, Kind::Message, id)?))
        }
        (&Method::DELETE, [id]) => {
            store.get_under(Kind::Message, thread, id)?;
            store.remove(Kind::Message, id)?;
            Ok(Reply::deleted(id, "thread.message.deleted"))
        }
        (&Method::GET, [id, "files", rest @ ..]) => {
            message_files(call, &store.get_under(Kind::Message, thread, id)?.value, rest)
        }
        _ => Err(call.unknown()),
    }
}

/// `threads/{thread}/messages/{message}/files...` of the first version of the API.
fn message_files(call: &Call<'_>, message: &Value, rest: &[&str]) -> Result<Reply, Failure> {
    let attached = message["attachments"].as_array().into_iter().flatten();
    let files: Vec<Value> = attached
        .map(|attached| json!({"id": attached["file_id"], "object": "thread.message.file", "created_at": message["created_at"], "message_id": message["id"]}))
        .collect();
    match rest {
        [] => page(call, files.into_iter().map(Object::new).collect()),
        [file] => {
            let found = files.iter().find(|found| found["id"] == *file);
            found.map(Reply::json).ok_or_else(|| Kind::File.missing(file))
        }
        _ => Err(call.unknown()),
    }
}

fn message_value(call: &Call<'_>, thread: &str, given: &Value) -> Result<Value, Failure> {
    let role = given.get("role").and_then(Value::as_str).unwrap_or_default();
    if !matches!(role, "user" | "assistant") {
        return Err(Failure::invalid("role", "expected 'user' or 'assistant'"));
    }
    let content = match given.get("content") {
        Some(Value::String(text)) => json!([text_part(text)]),
        Some(Value::Array(parts)) if !parts.is_empty() => parts
            .iter()
            .map(|part| match part.get("text").and_then(Value::as_str) {
                Some(text) => text_part(text),
                None => part.clone(),
            })
            .collect(),
        _ => return Err(Failure::missing("content")),
    };
    let mut value = message(call, thread, role, content);
    for name in ["attachments", "metadata"] {
        if let Some(given) = given.get(name).filter(|given| !given.is_null()) {
            value[name] = given.clone();
        }
    }
    Ok(value)
}

/// Text as a message holds it.
pub(crate) fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": {"value": text, "annotations": []}})
}

/// A message with a new id.
pub(crate) fn message(call: &Call<'_>, thread: &str, role: &str, content: Value) -> Value {
    json!({
        "id": call.id(Kind::Message),
        "object": "thread.message",
        "created_at": call.now,
        "assistant_id": null,
        "thread_id": thread,
        "run_id": null,
        "status": "completed",
        "completed_at": call.now,
        "incomplete_at": null,
        "incomplete_details": null,
        "role": role,
        "content": content,
        "attachments": [],
        "metadata": {},
    })
}

pub(crate) fn keep_message(call: &Call<'_>, thread: &str, value: &Value) {
    let id = value["id"].as_str().unwrap_or_default();
    call.keep(Kind::Message, id, Object::new(value.clone()).under(thread));
}

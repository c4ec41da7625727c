//! Assistants, and the way to threads and what runs on them.

use http::Method;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::runs;
use crate::store::{Kind, Object};
use crate::threads::{messages, new_thread, thread};

/// `assistants...` and `threads...`
pub(crate) fn perform(call: &Call<'_>, segments: &[&str]) -> Result<Reply, Failure> {
    let method = &call.method;
    match segments {
        ["assistants", rest @ ..] => assistants(call, rest),
        ["threads"] if method == Method::POST => Ok(Reply::json(&new_thread(call, call.body())?)),
        ["threads", "runs"] if method == Method::POST => runs::create_with_thread(call),
        ["threads", id] => thread(call, id),
        ["threads", id, rest @ ..] => {
            call.instance.store.get(Kind::Thread, id)?;
            match rest {
                ["messages", rest @ ..] => messages(call, id, rest),
                ["runs", rest @ ..] => runs::perform(call, id, rest),
                _ => Err(call.unknown()),
            }
        }
        _ => Err(call.unknown()),
    }
}

/// What a caller may change of an assistant.
const SETTINGS: [(&str, &str); 10] = [
    ("name", "null"),
    ("description", "null"),
    ("model", "null"),
    ("instructions", "null"),
    ("tools", "[]"),
    ("tool_resources", "{}"),
    ("metadata", "{}"),
    ("temperature", "1.0"),
    ("top_p", "1.0"),
    ("response_format", "\"auto\""),
];

fn assistants(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            call.deployment(Some(call.need_text("model")?))?;
            let id = call.id(Kind::Assistant);
            let mut value = json!({"id": id, "object": "assistant", "created_at": call.now});
            for (name, default) in SETTINGS {
                let default = || serde_json::from_str(default).expect("the defaults are JSON");
                value[name] = call.field(name).cloned().unwrap_or_else(default);
            }
            call.keep(Kind::Assistant, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::Assistant, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Assistant, id)?.value)),
        (&Method::POST, [id]) => {
            let value = store.with(Kind::Assistant, id, |object| {
                for (name, _) in SETTINGS {
                    if let Some(value) = call.body().get(name) {
                        object.value[name] = value.clone();
                    }
                }
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Assistant, id)?;
            Ok(Reply::deleted(id, "assistant.deleted"))
        }
        (method, [id, "files", rest @ ..]) => {
            store.get(Kind::Assistant, id)?;
            files(call, method, id, rest)
        }
        _ => Err(call.unknown()),
    }
}

/// `assistants/{id}/files...` of the first version of the API.
fn files(
    call: &Call<'_>,
    method: &Method,
    assistant: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    // A file may be attached to several assistants.
    let key = |file: &str| format!("{assistant}/{file}");
    match (method, rest) {
        (&Method::POST, []) => {
            let file = call.need_text("file_id")?;
            store.get(Kind::File, file)?;
            let value = json!({"id": file, "object": "assistant.file", "created_at": call.now, "assistant_id": assistant});
            let object = Object::new(value.clone()).under(assistant);
            call.keep(Kind::AssistantFile, &key(file), object);
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::AssistantFile, Some(assistant))),
        (&Method::GET, [file]) => {
            Ok(Reply::json(&store.get(Kind::AssistantFile, &key(file))?.value))
        }
        (&Method::DELETE, [file]) => {
            store.remove(Kind::AssistantFile, &key(file))?;
            Ok(Reply::deleted(file, "assistant.file.deleted"))
        }
        _ => Err(call.unknown()),
    }
}

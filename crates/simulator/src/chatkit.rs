//! ChatKit: sessions for a chat in a browser, and the threads that come of it. No browser talks here, so a session
//! has one thread with a greeting from the start.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};

/// How long a session lives if the request does not say, in seconds.
const LIFE_SECONDS: i64 = 600;

/// `chatkit...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, ["sessions"]) => open(call),
        (&Method::POST, ["sessions", id, "cancel"]) => {
            let value = store.with(Kind::ChatSession, id, |object| {
                object.value["status"] = json!("cancelled");
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::GET, ["threads"]) => {
            let mut threads = store.list(Kind::ChatThread, None);
            if let Some(user) = call.query("user") {
                threads.retain(|thread| thread.value["user"] == user);
            }
            page(call, threads)
        }
        (&Method::GET, ["threads", id]) => Ok(Reply::json(&store.get(Kind::ChatThread, id)?.value)),
        (&Method::DELETE, ["threads", id]) => {
            store.remove(Kind::ChatThread, id)?;
            Ok(Reply::deleted(id, "chatkit.thread.deleted"))
        }
        (&Method::GET, ["threads", id, "items"]) => {
            store.get(Kind::ChatThread, id)?;
            page(call, store.list(Kind::ChatItem, Some(id)))
        }
        _ => Err(call.unknown()),
    }
}

fn open(call: &Call<'_>) -> Result<Reply, Failure> {
    let user = call.need_text("user")?;
    let asked = call.field("workflow").ok_or_else(|| Failure::missing("workflow"))?;
    let workflow = asked["id"].as_str().ok_or_else(|| Failure::missing("workflow.id"))?;
    let asked_or = |pointer: &str, default: Value| {
        call.body().pointer(pointer).filter(|value| !value.is_null()).cloned().unwrap_or(default)
    };
    let life = asked_or("/expires_after/seconds", json!(LIFE_SECONDS)).as_i64();
    let life =
        life.ok_or_else(|| Failure::invalid("expires_after.seconds", "expected a number"))?;
    let id = call.id(Kind::ChatSession);
    let rate = asked_or("/rate_limits/max_requests_per_1_minute", json!(10));
    let settings = "/chatkit_configuration";
    let value = json!({
        "id": id,
        "object": "chatkit.session",
        "status": "active",
        "user": user,
        "client_secret": call.instance.id("ek_"),
        "expires_at": call.now.saturating_add(life),
        "max_requests_per_1_minute": rate,
        "rate_limits": {"max_requests_per_1_minute": rate},
        "workflow": {
            "id": workflow,
            "version": asked["version"],
            "state_variables": asked["state_variables"],
            "tracing": {"enabled": asked_or("/workflow/tracing/enabled", json!(true))},
        },
        "chatkit_configuration": {
            "automatic_thread_titling": {"enabled": asked_or(&format!("{settings}/automatic_thread_titling/enabled"), json!(true))},
            "file_upload": {
                "enabled": asked_or(&format!("{settings}/file_upload/enabled"), json!(false)),
                "max_file_size": asked_or(&format!("{settings}/file_upload/max_file_size"), json!(512)),
                "max_files": asked_or(&format!("{settings}/file_upload/max_files"), json!(10)),
            },
            "history": {
                "enabled": asked_or(&format!("{settings}/history/enabled"), json!(true)),
                "recent_threads": asked_or(&format!("{settings}/history/recent_threads"), Value::Null),
            },
        },
    });
    call.keep(Kind::ChatSession, &id, Object::new(value.clone()));
    keep_thread(call, user);
    Ok(Reply::json(&value))
}

fn keep_thread(call: &Call<'_>, user: &str) {
    let thread = call.id(Kind::ChatThread);
    let value = json!({
        "id": thread,
        "object": "chatkit.thread",
        "created_at": call.now,
        "title": "A greeting",
        "status": {"type": "active"},
        "user": user,
    });
    call.keep(Kind::ChatThread, &thread, Object::new(value));
    let said = json!([{"type": "input_text", "text": "Hello"}]);
    let answered =
        json!([{"type": "output_text", "text": "Hello! How can I help?", "annotations": []}]);
    for (kind, content) in [("chatkit.user_message", said), ("chatkit.assistant_message", answered)]
    {
        let id = call.id(Kind::ChatItem);
        let mut item = json!({"id": id, "object": "chatkit.thread_item", "type": kind, "created_at": call.now, "thread_id": thread, "content": content});
        if kind == "chatkit.user_message" {
            item["attachments"] = json!([]);
            item["inference_options"] = Value::Null;
        }
        call.keep(Kind::ChatItem, &id, Object::new(item).under(&thread));
    }
}

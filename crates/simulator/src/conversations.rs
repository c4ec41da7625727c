//! Conversations and their items.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};

/// Most items in one request.
const ITEMS_MAX: usize = 20;

/// `conversations...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let id = call.id(Kind::Conversation);
            let metadata = call.field("metadata").cloned().unwrap_or_else(|| json!({}));
            let value = json!({"id": id, "object": "conversation", "created_at": call.now, "metadata": metadata});
            call.keep(Kind::Conversation, &id, Object::new(value.clone()));
            let items = call.field("items").and_then(Value::as_array).cloned().unwrap_or_default();
            add(call, &id, &items);
            Ok(Reply::json(&value))
        }
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Conversation, id)?.value)),
        (&Method::POST, [id]) => {
            let metadata =
                call.field("metadata").cloned().ok_or_else(|| Failure::missing("metadata"))?;
            let value = store.with(Kind::Conversation, id, |object| {
                object.value["metadata"] = metadata;
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Conversation, id)?;
            Ok(Reply::deleted(id, "conversation.deleted"))
        }
        (method, [id, "items", rest @ ..]) => {
            store.get(Kind::Conversation, id)?;
            items(call, method, id, rest)
        }
        _ => Err(call.unknown()),
    }
}

fn items(
    call: &Call<'_>,
    method: &Method,
    conversation: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (method, rest) {
        (&Method::POST, []) => {
            let items = call
                .field("items")
                .and_then(Value::as_array)
                .ok_or_else(|| Failure::missing("items"))?;
            if items.len() > ITEMS_MAX {
                return Err(Failure::invalid("items", "expected at most 20"));
            }
            let data = add(call, conversation, items);
            let id = |value: Option<&Value>| value.map_or(Value::Null, |value| value["id"].clone());
            let (first, last) = (id(data.first()), id(data.last()));
            Ok(Reply::json(
                &json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false}),
            ))
        }
        (&Method::GET, []) => page(call, store.list(Kind::ConversationItem, Some(conversation))),
        (&Method::GET, [item]) => {
            Ok(Reply::json(&store.get_under(Kind::ConversationItem, conversation, item)?.value))
        }
        (&Method::DELETE, [item]) => {
            store.get_under(Kind::ConversationItem, conversation, item)?;
            store.remove(Kind::ConversationItem, item)?;
            Ok(Reply::json(&store.get(Kind::Conversation, conversation)?.value))
        }
        _ => Err(call.unknown()),
    }
}

/// Adds items, giving each an id; their final form.
pub(crate) fn add(call: &Call<'_>, conversation: &str, items: &[Value]) -> Vec<Value> {
    let kept: Vec<Value> = items.iter().map(|item| item_value(call, item)).collect();
    for item in &kept {
        let id = item["id"].as_str().unwrap_or_default();
        call.keep(Kind::ConversationItem, id, Object::new(item.clone()).under(conversation));
    }
    kept
}

/// An input item as it is shown later: with an id, a status and parts.
pub(crate) fn item_value(call: &Call<'_>, item: &Value) -> Value {
    let mut out = json!({"id": call.id(Kind::ConversationItem)});
    let Some(map) = out.as_object_mut() else { return Value::Null };
    for (name, value) in item.as_object().into_iter().flatten() {
        map.insert(name.clone(), value.clone());
    }
    map.entry("type").or_insert(json!("message"));
    map.entry("status").or_insert(json!("completed"));
    if let Some(Value::String(text)) = map.get("content") {
        let assistant = map.get("role").is_some_and(|role| role == "assistant");
        let part = if assistant {
            json!({"type": "output_text", "text": text, "annotations": []})
        } else {
            json!({"type": "input_text", "text": text})
        };
        map.insert("content".into(), json!([part]));
    }
    out
}

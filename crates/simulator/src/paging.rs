//! Lists: newest or oldest first, by pages.

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::store::Object;

/// Longest page.
const LIMIT_MAX: usize = 100;
/// Longest page of files.
pub(crate) const FILES_LIMIT_MAX: usize = 10_000;

/// A page of objects given oldest first; newest first unless asked otherwise.
pub(crate) fn page(call: &Call<'_>, objects: Vec<Object>) -> Result<Reply, Failure> {
    let values = objects.into_iter().map(|object| object.value).collect();
    page_of(call, values, (20, LIMIT_MAX), "desc")
}

/// A page of values given oldest first.
pub(crate) fn page_of(
    call: &Call<'_>,
    mut values: Vec<Value>,
    (default, max): (usize, usize),
    order: &str,
) -> Result<Reply, Failure> {
    let limit = match call.query("limit") {
        None => default,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=max).contains(limit))
            .ok_or_else(|| Failure::invalid("limit", &format!("expected 1 to {max}")))?,
    };
    match call.query("order").unwrap_or(order) {
        "desc" => values.reverse(),
        "asc" => {}
        _ => return Err(Failure::invalid("order", "expected 'asc' or 'desc'")),
    }
    let place = |id: &str| values.iter().position(|value| value["id"] == id);
    let start = call.query("after").and_then(place).map_or(0, |at| at + 1);
    let end = call.query("before").and_then(place).unwrap_or(values.len()).max(start);
    let has_more = end - start > limit;
    let data: Vec<Value> = values.drain(start..end).take(limit).collect();
    let id = |value: Option<&Value>| value.map_or(Value::Null, |value| value["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    Ok(Reply::json(
        &json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}),
    ))
}

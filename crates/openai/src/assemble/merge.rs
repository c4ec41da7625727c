//! Adding a delta to what came before it, as the official SDKs do.

use serde_json::{Map, Value};

/// Members that name a thing and are repeated, not continued.
const NAMES: [&str; 5] = ["type", "index", "id", "object", "role"];

/// Adds `delta` to `whole`: texts are appended, lists extended (entries with the same `index`
/// merged), objects merged, everything else replaced. Nulls add nothing.
pub(crate) fn accumulate(whole: &mut Value, delta: Value) {
    match (whole, delta) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(&more),
        (Value::Object(members), Value::Object(more)) => accumulate_members(members, more),
        (Value::Array(list), Value::Array(more)) => {
            for entry in more {
                accumulate_entry(list, entry);
            }
        }
        (whole, delta) => *whole = delta,
    }
}

fn accumulate_members(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        accumulate_member(members, &key, value);
    }
}

/// Adds one member of a delta.
pub(crate) fn accumulate_member(members: &mut Map<String, Value>, key: &str, value: Value) {
    match members.get_mut(key) {
        Some(known) if !NAMES.contains(&key) => accumulate(known, value),
        Some(known) if !value.is_null() => *known = value,
        Some(_) => {}
        None => {
            members.insert(key.to_owned(), value);
        }
    }
}

fn accumulate_entry(list: &mut Vec<Value>, entry: Value) {
    let index = entry.get("index").filter(|index| index.is_u64()).cloned();
    let known = index
        .and_then(|index| list.iter_mut().rev().find(|known| known.get("index") == Some(&index)));
    match known {
        Some(known) => accumulate(known, entry),
        None => list.push(entry),
    }
}

/// Adds the verdicts of one chunk to those before: the graver one stays.
pub(crate) fn accumulate_verdicts(whole: &mut Value, more: Value) {
    match (whole, more) {
        (Value::Object(known), Value::Object(more)) => {
            for (key, value) in more {
                match known.get_mut(&key) {
                    Some(before) => graver(&key, before, value),
                    None => {
                        known.insert(key, value);
                    }
                }
            }
        }
        (whole, more) if !more.is_null() => *whole = more,
        _ => {}
    }
}

fn graver(key: &str, before: &mut Value, value: Value) {
    match (before, value) {
        (Value::Bool(before), Value::Bool(value)) => *before |= value,
        (Value::String(before), Value::String(value)) => {
            if key != "severity" || severity(&value) > severity(before) {
                *before = value;
            }
        }
        (before @ Value::Object(_), value @ Value::Object(_)) => accumulate_verdicts(before, value),
        (before, value) => {
            if !value.is_null() {
                *before = value;
            }
        }
    }
}

fn severity(name: &str) -> usize {
    ["safe", "low", "medium", "high"].iter().position(|known| *known == name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deltas_add_up() {
        let mut whole = json!({"type": "a", "text": "x", "list": [{"index": 0, "v": "p"}], "n": 1});
        accumulate(
            &mut whole,
            json!({"type": "a", "text": "y", "list": [{"index": 0, "v": "q"}, {"index": 1}], "n": 2, "z": null}),
        );
        accumulate(&mut whole, json!({"text": null}));
        assert_eq!(
            whole,
            json!({"type": "a", "text": "xy", "list": [{"index": 0, "v": "pq"}, {"index": 1}], "n": 2, "z": null})
        );
    }

    #[test]
    fn the_graver_verdict_stays() {
        let mut whole = json!({"hate": {"filtered": false, "severity": "low"}});
        accumulate_verdicts(&mut whole, json!({"hate": {"filtered": true, "severity": "safe"}}));
        accumulate_verdicts(&mut whole, json!({"sexual": {"filtered": false, "severity": "safe"}}));
        assert_eq!(
            whole,
            json!({"hate": {"filtered": true, "severity": "low"}, "sexual": {"filtered": false, "severity": "safe"}})
        );
    }
}

//! Verdicts of the content filter.

use serde_json::{Map, Value, json};

use super::Input;

/// An object with what was found in the prompt and in the answer; null if nothing was told.
pub(crate) fn read(input: &Input<'_>) -> Value {
    let Some(response) = input.response.json() else { return Value::Null };
    let mut verdicts = Map::new();
    if let Some(prompt) = prompt(response) {
        verdicts.insert("prompt".into(), prompt);
    }
    let mut answers = Vec::new();
    for list in ["choices", "data"] {
        let entries = response.get(list).and_then(Value::as_array);
        for (at, entry) in entries.into_iter().flatten().enumerate() {
            let results = entry.get("content_filter_results");
            if let Some(results) = results.filter(|results| !results.is_null()) {
                let index = entry.get("index").filter(|index| index.is_u64()).cloned();
                let index = index.unwrap_or_else(|| json!(at));
                answers.push(json!({ "index": index, "content_filter_results": results }));
            }
        }
    }
    if !answers.is_empty() {
        verdicts.insert("completion".into(), answers.into());
    }
    // Azure's responses, and moderation, whose very answer is a verdict.
    for (key, name) in [("content_filters", "response"), ("results", "moderation")] {
        if let Some(found) = response.get(key).filter(|found| found.is_array()) {
            verdicts.insert(name.into(), found.clone());
        }
    }
    if verdicts.is_empty() { Value::Null } else { Value::Object(verdicts) }
}

fn prompt(response: &Value) -> Option<Value> {
    // The wire and the description spell the inner error differently.
    let refused = ["/error/innererror", "/error/inner_error"];
    let refused = refused.iter().find_map(|pointer| response.pointer(pointer)).and_then(|inner| {
        inner.get("content_filter_result").or_else(|| inner.get("content_filter_results"))
    });
    let told = ["/prompt_filter_results", "/prompt_annotations", "/data/0/prompt_filter_results"];
    let told = told.iter().find_map(|pointer| response.pointer(pointer));
    told.or(refused).filter(|found| !found.is_null()).cloned()
}

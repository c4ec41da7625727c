//! Cases of `extract`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::Catalogue;

/// As the table `Messages` describes them.
const CONTENT_TYPES: [&str; 15] = [
    "text",
    "image",
    "audio",
    "file",
    "tool_call",
    "tool_result",
    "tool_definition",
    "refusal",
    "reasoning",
    "instructions",
    "embedding_input",
    "transcript",
    "image_prompt",
    "revised_prompt",
    "speech_input",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/extract")
}

/// A body of a case: JSON as it is; text as it is sent.
fn body(case: &Value, key: &str) -> Body {
    let content_type = case[format!("{key}_type")].as_str();
    match &case[key] {
        Value::Null => Body::Empty,
        Value::String(text) => Body::read(content_type, text.as_bytes()),
        value => Body::read(Some("application/json"), value.to_string().as_bytes()),
    }
}

fn read(case: &Value, tokenizer: &Tokenizer) -> (String, Extraction) {
    let catalogue = Catalogue::builtin();
    let method = case["method"].as_str().unwrap_or("POST");
    let path = case["path"].as_str().expect("every case has a path");
    let identified = catalogue.identify(method, path, None);
    let operation = identified.operation.unwrap_or_else(|| panic!("{method} {path} is unknown"));
    let (request, response) = (body(case, "request"), body(case, "response"));
    let extraction = extract(&Input {
        kind: operation.kind,
        subkind: &operation.subkind,
        operation_id: &operation.log_operation_id,
        path_ids: &identified.ids,
        deployment: identified.deployment.as_deref().unwrap_or_default(),
        request: &request,
        response: &response,
        status: case["status"].as_u64().map_or(200, |status| status as u16),
        streamed: case["streamed"].as_bool().unwrap_or(false),
        tokenizer,
    });
    (operation.log_operation_id.clone(), extraction)
}

fn shown(operation_id: &str, out: &Extraction) -> Value {
    let parts: Vec<String> = out
        .parts
        .iter()
        .map(|part| {
            let Part { role, content_type, content, name, choice_index, .. } = part;
            let direction = part.direction.name();
            format!("{direction} {choice_index} {role:?} {content_type} {name:?}: {content}")
        })
        .collect();
    let usage = out.usage.map(|usage| {
        let numbers = [
            ("prompt", usage.prompt),
            ("completion", usage.completion),
            ("total", usage.total),
            ("cached", usage.cached),
            ("reasoning", usage.reasoning),
            ("audio_prompt", usage.audio_prompt),
            ("audio_completion", usage.audio_completion),
        ];
        let numbers = numbers.into_iter().filter_map(|(name, n)| Some(format!("{name} {}", n?)));
        let seconds = usage.seconds.map(|seconds| format!("seconds {seconds}"));
        let source = usage.source.name().to_owned();
        numbers.chain(seconds).chain([source]).collect::<Vec<_>>().join(", ")
    });
    json!({
        "operation_id": operation_id,
        "parts": parts,
        "usage": usage,
        "usage_is_repeated": out.usage_is_repeated,
        "service_tier": out.service_tier,
        "model": out.model,
        "provider_id": out.provider_id,
        "finish_reason": out.finish_reason,
        "request_parameters": out.request_parameters,
        "content_filter": serde_json::from_str::<Value>(&out.content_filter).unwrap_or_default(),
        "thread_run_assistant": [out.thread_id, out.run_id, out.assistant_id],
        "images": out.images,
        "audio_seconds": out.audio_seconds,
        "request_messages": request_messages(out),
        "response_messages": response_messages(out),
    })
}

fn check(file: &Path, tokenizer: &Tokenizer) {
    let text = std::fs::read_to_string(file).expect("the case");
    let mut case: Value = serde_json::from_str(&text).expect("the case is JSON");
    let (operation_id, extraction) = read(&case, tokenizer);
    for part in &extraction.parts {
        assert!(CONTENT_TYPES.contains(&part.content_type), "{}", part.content_type);
    }
    let found = shown(&operation_id, &extraction);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        case["expect"] = found.clone();
        let text = serde_json::to_string_pretty(&case).expect("it is JSON") + "\n";
        std::fs::write(file, text).expect("the case can be written");
    }
    assert_eq!(case["expect"], found, "{}", file.display());
}

/// Every case says what was sent and answered and what must be found. `UPDATE_EXPECT=1` rewrites the latter.
#[test]
fn everything_is_found_in_every_kind_of_interaction() {
    let tokenizer = Tokenizer::new();
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    files.sort();
    assert!(files.len() >= 20);
    files.iter().for_each(|file| check(file, &tokenizer));
}

/// Every value of every case replaced by one of another type: nothing may fail.
#[test]
fn wrong_types_anywhere_never_fail() {
    let tokenizer = Tokenizer::new();
    for entry in std::fs::read_dir(folder()).expect("the cases") {
        let text = std::fs::read_to_string(entry.expect("a case").path()).expect("the case");
        let case: Value = serde_json::from_str(&text).expect("the case is JSON");
        let catalogue = Catalogue::builtin();
        let method = case["method"].as_str().unwrap_or("POST");
        let path = case["path"].as_str().expect("every case has a path");
        let identified = catalogue.identify(method, path, None);
        let operation = identified.operation.expect("it is known");
        for wrong in [json!(null), json!(-7), json!("x"), json!([1]), json!([[]]), json!({"a": {}})]
        {
            for key in ["request", "response"] {
                let mut places = Vec::new();
                pointers(&case[key], String::new(), &mut places);
                for place in places {
                    let mut bent = case.clone();
                    *bent[key].pointer_mut(&place).expect("it is there") = wrong.clone();
                    let (request, response) = (body(&bent, "request"), body(&bent, "response"));
                    let input = Input {
                        kind: operation.kind,
                        subkind: &operation.subkind,
                        operation_id: "",
                        path_ids: &identified.ids,
                        deployment: "",
                        request: &request,
                        response: &response,
                        status: 200,
                        streamed: false,
                        tokenizer: &tokenizer,
                    };
                    let parts = extract(&input).parts;
                    assert!(parts.iter().all(|part| !part.content.is_empty()), "{place}");
                }
            }
        }
    }
}

fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(value, format!("{at}/{key}"), places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

#[test]
fn usage_is_read_in_every_spelling() {
    let usage = json!({"prompt_tokens": 7.0, "completion_tokens": 2, "prompt_token_details": {"cached_tokens": 1}});
    let read = Usage::read(&usage.into(), UsageSource::Reported).expect("it is usage");
    assert_eq!((read.prompt, read.total, read.cached), (Some(7), Some(9), Some(1)));
    for none in [
        json!(null),
        json!({}),
        json!([1]),
        json!({"prompt_tokens": -1}),
        json!({"total_tokens": "9"}),
    ] {
        assert_eq!(Usage::read(&none.clone().into(), UsageSource::Reported), None, "{none}");
    }
}

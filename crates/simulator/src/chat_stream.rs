//! Chat completions as events: annotation, role, pieces, finish, usage, end, in the order both vendors send them.

use serde_json::{Map, Value, json};

use crate::call::Reply;
use crate::plan::{Choice, Plan, Said};
use crate::script::{Deltas, Lane, PIECE, Script, Segment};
use crate::text::{hex, mix};

/// Characters after which asynchronous annotations are sent.
const OFFSET_CHARS: u64 = 1000;

/// The stream of a plan.
pub(crate) fn reply(plan: &Plan<'_>) -> Reply {
    let mut script = Script::default();
    if plan.azure && plan.filter.annotates {
        script.event(None, &annotation(plan));
    }
    for (index, choice) in plan.choices.iter().enumerate() {
        script.event(None, &chunk(plan, index, first_delta(plan, choice), None));
    }
    let lanes =
        plan.choices.iter().enumerate().map(|(index, choice)| lane(plan, index, choice)).collect();
    script.push(Segment::Deltas(Deltas::new(lanes, 0)));
    for (index, choice) in plan.choices.iter().enumerate() {
        script.event(None, &chunk(plan, index, json!({}), Some(choice.finish)));
    }
    if plan.deployment.async_filter && plan.filter.annotates {
        async_annotations(plan, &mut script);
    }
    if plan.include_usage && !plan.no_usage {
        for _ in 0..=u8::from(plan.duplicate_usage) {
            script.event(None, &envelope(plan, json!([]), Some(plan.usage.value())));
        }
    }
    if plan.audio {
        let delta = json!({"audio": {"expires_at": plan.created + 3600}});
        script.event(None, &chunk(plan, 0, delta, None));
    }
    script.push_bytes(&b"data: [DONE]\n\n"[..]);
    Reply::stream(script)
}

fn annotation(plan: &Plan<'_>) -> Value {
    // Early asynchronous streams used another name.
    let early = plan.deployment.async_filter && plan.filter.is_early();
    let name = if early { "prompt_annotations" } else { "prompt_filter_results" };
    let mut value = json!({"choices": [], "created": 0, "id": "", "model": "", "object": ""});
    value[name] = plan.filter.prompt_results(1);
    value
}

/// The event around `choices`; `usage` is there (null) in every event if it was asked for.
fn envelope(plan: &Plan<'_>, choices: Value, usage: Option<Value>) -> Value {
    let mut value = Map::new();
    let mut put = |name: &str, member: Value| {
        value.insert(name.to_owned(), member);
    };
    if plan.azure {
        put("choices", choices);
        put("created", json!(plan.created));
        put("id", json!(plan.id));
        put("model", json!(plan.model));
        put("object", json!("chat.completion.chunk"));
        if plan.is_priority {
            put("service_tier", json!("priority"));
        }
        put("system_fingerprint", json!(plan.fingerprint));
    } else {
        put("id", json!(plan.id));
        put("object", json!("chat.completion.chunk"));
        put("created", json!(plan.created));
        put("model", json!(plan.model));
        put("service_tier", json!(plan.service_tier()));
        put("system_fingerprint", json!(plan.fingerprint));
        put("choices", choices);
    }
    match usage {
        Some(usage) => put("usage", usage),
        None if plan.include_usage => put("usage", Value::Null),
        None => {}
    }
    if !plan.azure {
        put("obfuscation", json!(hex(mix(plan.created.unsigned_abs(), 3), 11)));
    }
    Value::Object(value)
}

fn chunk(plan: &Plan<'_>, index: usize, delta: Value, finish: Option<&str>) -> Value {
    let mut choice = Map::new();
    if plan.azure && plan.filter.annotates && !plan.deployment.async_filter {
        let says =
            delta.get("content").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let results = match finish {
            Some("content_filter") => plan.filter.choice_results(),
            _ if says => plan.filter.piece_results(),
            _ => json!({}),
        };
        choice.insert("content_filter_results".into(), results);
    }
    if plan.azure {
        choice.insert("delta".into(), delta);
        choice.insert("finish_reason".into(), json!(finish));
        choice.insert("index".into(), json!(index));
        choice.insert("logprobs".into(), Value::Null);
    } else {
        choice.insert("index".into(), json!(index));
        choice.insert("delta".into(), delta);
        choice.insert("logprobs".into(), Value::Null);
        choice.insert("finish_reason".into(), json!(finish));
    }
    envelope(plan, json!([choice]), None)
}

fn first_delta(plan: &Plan<'_>, choice: &Choice) -> Value {
    match &choice.said {
        Said::Text(_) if plan.audio => {
            let id = format!(
                "audio_{}",
                hex(mix(plan.created.unsigned_abs(), choice.said.tokens()), 24)
            );
            json!({"role": "assistant", "audio": {"id": id}})
        }
        Said::Text(_) => json!({"role": "assistant", "content": "", "refusal": null}),
        Said::Tool(id, name, _) => {
            let function = json!({"name": name, "arguments": ""});
            json!({"role": "assistant", "content": null, "tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]})
        }
        Said::Function(name, _) => {
            json!({"role": "assistant", "content": null, "function_call": {"name": name, "arguments": ""}})
        }
    }
}

fn lane(plan: &Plan<'_>, index: usize, choice: &Choice) -> Lane {
    let (delta, answer) = match &choice.said {
        Said::Text(answer) if plan.audio => {
            (json!({"audio": {"transcript": PIECE, "data": crate::media::wav_base64(1)}}), answer)
        }
        Said::Text(answer) => (json!({"content": PIECE}), answer),
        Said::Tool(_, _, answer) => {
            (json!({"tool_calls": [{"index": 0, "function": {"arguments": PIECE}}]}), answer)
        }
        Said::Function(_, answer) => (json!({"function_call": {"arguments": PIECE}}), answer),
    };
    let step = if plan.azure && !plan.deployment.async_filter {
        plan.deployment.tokens_per_event
    } else {
        1
    };
    let mut template = chunk(plan, index, delta, None);
    if plan.logprobs && matches!(choice.said, Said::Text(_)) {
        let token = json!({"token": PIECE, "bytes": null, "logprob": crate::plan::logprob(0), "top_logprobs": []});
        template["choices"][0]["logprobs"] = json!({"content": [token], "refusal": null});
    }
    Lane::new("data: ", &template, "\n\n", answer.clone(), step)
}

/// Annotations that follow the text, by character offset.
fn async_annotations(plan: &Plan<'_>, script: &mut Script) {
    for (index, choice) in plan.choices.iter().enumerate() {
        let Said::Text(answer) = &choice.said else { continue };
        // Five characters a token is near enough: the offsets only have to grow.
        let chars = answer.tokens() * 5;
        let mut start = 0;
        while start < chars && start < OFFSET_CHARS * 16 {
            let end = (start + OFFSET_CHARS).min(chars);
            let offsets = json!({"check_offset": end, "start_offset": start, "end_offset": end});
            let choice = json!({
                "content_filter_offsets": offsets,
                "content_filter_results": plan.filter.piece_results(),
                "finish_reason": null,
                "index": index,
            });
            script.event(
                None,
                &json!({"choices": [choice], "created": 0, "id": "", "model": "", "object": ""}),
            );
            start = end;
        }
    }
}

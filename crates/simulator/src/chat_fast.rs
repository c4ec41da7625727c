//! The commonest answer of all, plain text to a plain question on Azure, written straight into bytes:
//! a load test measures the gateway, not this.

use std::io::Write;

use crate::plan::{Plan, Said};
use crate::text::{Answer, push_escaped};

/// Longest text written at once.
const TOKENS_MAX: u64 = 2048;

/// What a quiet filter says of a choice.
const CHOICE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"protected_material_code":{"filtered":false,"detected":false},"protected_material_text":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// What a quiet filter says of a prompt.
const PROMPT: &str = r#"[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}]"#;

/// The answer's bytes, or nothing if it is not of the plain sort.
pub(crate) fn write(plan: &Plan<'_>) -> Option<Vec<u8>> {
    if !plan.azure
        || !plan.filter.is_quiet()
        || plan.logprobs
        || plan.audio
        || plan.no_usage
        || plan.is_priority
    {
        return None;
    }
    let mut out = Vec::with_capacity(2048);
    out.extend_from_slice(b"{\"choices\":[");
    for (index, choice) in plan.choices.iter().enumerate() {
        let Said::Text(Answer::Words(words)) = &choice.said else { return None };
        if words.tokens > TOKENS_MAX {
            return None;
        }
        let comma = if index == 0 { "" } else { "," };
        let finish = choice.finish;
        write!(out, "{comma}{{\"content_filter_results\":{CHOICE},\"finish_reason\":\"{finish}\",\"index\":{index},\"logprobs\":null,\"message\":{{\"content\":\"").ok()?;
        (0..words.tokens).for_each(|token| words.push(token, &mut out));
        out.extend_from_slice(b"\",\"refusal\":null,\"role\":\"assistant\"}}");
    }
    write!(out, "],\"created\":{},\"id\":\"{}\",\"model\":\"", plan.created, plan.id).ok()?;
    push_escaped(&plan.model, &mut out);
    write!(out, "\",\"object\":\"chat.completion\",\"prompt_filter_results\":{PROMPT},\"system_fingerprint\":\"{}\",\"usage\":", plan.fingerprint).ok()?;
    plan.usage.write(&mut out);
    out.extend_from_slice(b"}\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;
    use crate::call::Call;
    use crate::chat;
    use crate::config::SimulatorConfig;
    use crate::fault::Faults;
    use crate::instance::Instance;
    use crate::payload::Payload;
    use crate::route::query;
    use crate::script::Script;

    #[test]
    fn the_fast_path_writes_what_the_value_says() {
        let instance = Arc::new(Instance::new(SimulatorConfig::default()));
        let query = query("api-version=2024-10-21");
        let path = "/openai/deployments/gpt-4o/chat/completions";
        let body =
            json!({"messages": [{"role": "user", "content": "hi"}], "n": 2, "max_tokens": 9});
        let call = Call {
            instance: &instance,
            method: Method::POST,
            route: instance.table.route(&Method::POST, path, &query).unwrap(),
            query,
            headers: &HeaderMap::new(),
            host: String::new(),
            payload: Payload::Json(body),
            faults: &Faults::default(),
            triggers: false,
            now: 7,
        };
        let (plan, _) = chat::plan(&call).unwrap();
        let slow = Script::json(&chat::value(&plan), "\n").into_bytes(1 << 20).unwrap();
        assert_eq!(String::from_utf8(write(&plan).unwrap()), String::from_utf8(slow));
    }
}

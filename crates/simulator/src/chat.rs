//! Chat completions: what will be said, and the whole answer at once.

use serde_json::{Map, Value, json};

use crate::call::{Call, Reply, model_label};
use crate::chat_fast;
use crate::chat_stream;
use crate::config::Deployment;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::filter::Filter;
use crate::models::{self, Task};
use crate::plan::{Choice, Plan, Said, Usage, logprob};
use crate::schema;
use crate::script::Script;
use crate::store::{Kind, Object};
use crate::text::{Answer, Words, hex, mix};
use crate::tokens::Prompt;
use crate::usage::Used;

/// First day of versions that know `stream_options`.
const STREAM_OPTIONS_SINCE: &str = "2024-09-01";
/// Most choices in one answer.
const CHOICES_MAX: u64 = 128;
/// What Azure assumes an answer takes when no limit is given.
const ASSUMED_TOKENS: u64 = 16;
/// Most tokens whose probabilities are listed.
const LOGPROBS_MAX: u64 = 2048;

/// `POST chat/completions`.
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let (plan, cost) = plan(call)?;
    if call.flag("store") {
        keep(call, &plan, messages(call)?);
    }
    let reply = if call.flag("stream") {
        chat_stream::reply(&plan)
    } else {
        whole(&plan).after(plan.usage.completion)
    };
    let used = call.tokens_used(&plan.model, plan.usage.prompt, plan.usage.completion);
    let is_told = used.is_told && (plan.include_usage || !call.flag("stream"));
    models::charge(call, &plan.deployment, cost, reply.using(Used { is_told, ..used }))
}

/// Everything about the answer, and the tokens it is counted with against the limit.
pub(crate) fn plan<'a>(call: &Call<'a>) -> Result<(Plan<'a>, u64), Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Chat)?;
    let messages = messages(call)?;
    let include_usage = include_usage(call, call.flag("stream"))?;
    let mut prompt = call.prompt();
    prompt.add_messages(messages);
    for name in ["tools", "functions", "data_sources"] {
        if let Some(value) = call.field(name) {
            prompt.add_all(value);
        }
    }
    if prompt.tokens > deployment.context_tokens_max {
        return Err(Failure::context_length(deployment.context_tokens_max, prompt.tokens));
    }
    let filter = Filter::inspect(call)?;
    let n = call.number("n", 1, CHOICES_MAX)?.unwrap_or(1);
    let max = max_tokens(call, &deployment)?;
    let choices: Vec<Choice> =
        (0..n).map(|index| choice(call, messages, (&prompt, index), max, &filter)).collect();
    let spoken: u64 = choices.iter().map(|choice| choice.said.tokens()).sum();
    let reasoning = if models::reasons(&deployment.model) { 64 * n } else { 0 };
    let plan = Plan {
        id: call.id(Kind::Completion),
        created: call.now,
        model: model_label(&deployment),
        fingerprint: &call.instance.fingerprint,
        filter,
        azure: call.dialect().is_azure(),
        choices,
        usage: Usage {
            prompt: prompt.tokens,
            cached: call.cached_tokens(prompt.tokens),
            completion: spoken + reasoning,
            reasoning,
        },
        include_usage,
        logprobs: call.flag("logprobs"),
        audio: wants_audio(call),
        is_priority: call.is_priority(),
        no_usage: call.faults.has(&Fault::NoUsage),
        duplicate_usage: call.faults.has(&Fault::DuplicateUsage),
        deployment,
    };
    Ok((plan, prompt.chars / 4 + max.unwrap_or(ASSUMED_TOKENS) * n))
}

fn messages<'a>(call: &'a Call<'_>) -> Result<&'a [Value], Failure> {
    let messages = call.field("messages").ok_or_else(|| Failure::missing("messages"))?;
    let messages =
        messages.as_array().ok_or_else(|| Failure::invalid("messages", "expected an array"))?;
    if messages.is_empty() {
        return Err(Failure::invalid("messages", "expected at least one message"));
    }
    for message in messages {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !["system", "developer", "user", "assistant", "tool", "function"].contains(&role) {
            return Err(Failure::invalid("messages", &format!("'{role}' is not a role")));
        }
    }
    Ok(messages)
}

fn include_usage(call: &Call<'_>, stream: bool) -> Result<bool, Failure> {
    let Some(options) = call.field("stream_options") else { return Ok(false) };
    if !call.route.since(STREAM_OPTIONS_SINCE) {
        return Err(Failure::unrecognised_argument("stream_options"));
    }
    if !stream {
        return Err(Failure::invalid("stream_options", "only allowed when 'stream' is true"));
    }
    Ok(options.get("include_usage").and_then(Value::as_bool).unwrap_or(false))
}

fn max_tokens(call: &Call<'_>, deployment: &Deployment) -> Result<Option<u64>, Failure> {
    let newer = call.number("max_completion_tokens", 1, u64::from(u32::MAX))?;
    let older = call.number("max_tokens", 1, u64::from(u32::MAX))?;
    if older.is_some() && models::reasons(&deployment.model) {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Err(Failure::bad_request(message)
            .param("max_tokens")
            .with_code("unsupported_parameter"));
    }
    Ok(newer.or(older))
}

fn wants_audio(call: &Call<'_>) -> bool {
    let modalities = call.field("modalities").and_then(Value::as_array);
    modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality == "audio"))
}

fn choice(
    call: &Call<'_>,
    messages: &[Value],
    of: (&Prompt, u64),
    max: Option<u64>,
    filter: &Filter,
) -> Choice {
    let (prompt, index) = of;
    let seed = mix(prompt.hash, index);
    if let Some(choice) = tool_choice(call, messages, seed) {
        return choice;
    }
    let wanted = answer(call.field("response_format"), call.sim_tokens(), seed);
    limit(wanted, max, filter)
}

/// Cuts an answer where the filter or the caller's limit wants it.
fn limit(wanted: Answer, max: Option<u64>, filter: &Filter) -> Choice {
    let tokens = wanted.tokens();
    if filter.cuts {
        return Choice { said: Said::Text(wanted.truncated(tokens / 2)), finish: "content_filter" };
    }
    match max {
        Some(max) if max < tokens => {
            Choice { said: Said::Text(wanted.truncated(max)), finish: "length" }
        }
        _ => Choice { said: Said::Text(wanted), finish: "stop" },
    }
}

/// The text for a prompt: JSON where a format demands it, else words.
pub(crate) fn answer(format: Option<&Value>, sim_tokens: Option<u64>, seed: u64) -> Answer {
    let kind = format.and_then(|format| format.get("type")).and_then(Value::as_str);
    let schema = format
        .and_then(|format| format.pointer("/json_schema/schema").or_else(|| format.get("schema")));
    match (kind, schema) {
        (Some("json_schema"), Some(schema)) => {
            Answer::literal(&schema::instance(schema, seed).to_string())
        }
        (Some("json_object" | "json_schema"), _) => {
            Answer::literal(&json!({"answer": Words { seed, tokens: 8 }.text()}).to_string())
        }
        _ => Answer::Words(Words { seed, tokens: sim_tokens.unwrap_or(16 + seed % 48) }),
    }
}

/// A call of a tool, if one is offered and wanted.
fn tool_choice(call: &Call<'_>, messages: &[Value], seed: u64) -> Option<Choice> {
    if call.field("functions").is_none() && call.field("tools").is_none() {
        return None;
    }
    let said = last_user_text(messages);
    if let Some(functions) = call.field("functions").and_then(Value::as_array) {
        let choice = call.field("function_call");
        let (name, arguments) = pick(functions, choice, said.as_deref(), seed)?;
        return Some(Choice { said: Said::Function(name, arguments), finish: "function_call" });
    }
    let tools = call.field("tools").and_then(Value::as_array)?;
    let functions: Vec<Value> =
        tools.iter().filter_map(|tool| tool.get("function").cloned()).collect();
    let (name, arguments) = pick(&functions, call.field("tool_choice"), said.as_deref(), seed)?;
    let id = format!("call_{}", hex(seed, 24));
    Some(Choice { said: Said::Tool(id, name, arguments), finish: "tool_calls" })
}

/// The text of the last message if a user wrote it.
pub(crate) fn last_user_text(messages: &[Value]) -> Option<String> {
    let last = messages.last()?;
    if last.get("role").and_then(Value::as_str) != Some("user") {
        return None;
    }
    match last.get("content")? {
        Value::String(text) => Some(text.to_lowercase()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            Some(texts.collect::<Vec<_>>().join(" ").to_lowercase())
        }
        _ => None,
    }
}

/// Chooses a function: the one demanded, or the one the text names.
pub(crate) fn pick(
    functions: &[Value],
    choice: Option<&Value>,
    said: Option<&str>,
    seed: u64,
) -> Option<(String, Answer)> {
    let name = |function: &Value| {
        function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let demanded = choice
        .and_then(|choice| choice.pointer("/function/name").or_else(|| choice.get("name")))
        .and_then(Value::as_str);
    let mode = choice.and_then(Value::as_str).unwrap_or("auto");
    let chosen = match (demanded, mode) {
        (Some(demanded), _) => functions.iter().find(|function| name(function) == demanded),
        (None, "none") => None,
        (None, "required") => functions.first(),
        _ => {
            let said = said?;
            functions.iter().find(|function| names(&name(function), said)).or_else(|| {
                said.split(|letter: char| !letter.is_alphanumeric())
                    .any(|word| word == "tool")
                    .then(|| functions.first())?
            })
        }
    }?;
    let empty = json!({"type": "object", "properties": {}});
    let parameters = chosen.get("parameters").filter(|schema| schema.is_object()).unwrap_or(&empty);
    Some((name(chosen), Answer::literal(&schema::instance(parameters, seed).to_string())))
}

/// Whether a text names a function or a part of its name of at least four letters.
fn names(function: &str, said: &str) -> bool {
    let function = function.to_lowercase();
    function
        .split(['_', '-', '.'])
        .chain([function.as_str()])
        .any(|part| part.len() >= 4 && said.contains(part))
}

/// The whole answer.
fn whole(plan: &Plan<'_>) -> Reply {
    let script = match chat_fast::write(plan) {
        Some(bytes) => Script::bytes(bytes),
        None => Script::json(&value(plan), if plan.azure { "\n" } else { "" }),
    };
    Reply::new("application/json", script)
}

/// The whole answer as a value: what the fast path must equal.
pub(crate) fn value(plan: &Plan<'_>) -> Value {
    let choices: Value = plan
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| choice_value(plan, index, choice))
        .collect();
    let mut value = Map::new();
    let mut put = |name: &str, member: Value| value.insert(name.to_owned(), member);
    if plan.azure {
        put("choices", choices);
        put("created", json!(plan.created));
        put("id", json!(plan.id));
        put("model", json!(plan.model));
        put("object", json!("chat.completion"));
        if plan.filter.annotates {
            put("prompt_filter_results", plan.filter.prompt_results(1));
        }
        if plan.is_priority {
            put("service_tier", json!("priority"));
        }
        put("system_fingerprint", json!(plan.fingerprint));
    } else {
        put("id", json!(plan.id));
        put("object", json!("chat.completion"));
        put("created", json!(plan.created));
        put("model", json!(plan.model));
        put("choices", choices);
    }
    if !plan.no_usage {
        put("usage", plan.usage.value());
    }
    if !plan.azure {
        put("service_tier", json!(plan.service_tier()));
        put("system_fingerprint", json!(plan.fingerprint));
    }
    Value::Object(value)
}

fn choice_value(plan: &Plan<'_>, index: usize, choice: &Choice) -> Value {
    let message = message(plan, choice);
    let logprobs = if plan.logprobs { logprobs(&choice.said) } else { Value::Null };
    if !plan.azure {
        return json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": choice.finish});
    }
    let mut value = Map::new();
    if plan.filter.annotates {
        value.insert("content_filter_results".into(), plan.filter.choice_results());
    }
    value.insert("finish_reason".into(), json!(choice.finish));
    value.insert("index".into(), json!(index));
    value.insert("logprobs".into(), logprobs);
    value.insert("message".into(), message);
    Value::Object(value)
}

fn message(plan: &Plan<'_>, choice: &Choice) -> Value {
    let mut message = json!({"content": null, "refusal": null, "role": "assistant"});
    match &choice.said {
        Said::Text(answer) if plan.audio => {
            message["audio"] = json!({
                "id": format!("audio_{}", hex(mix(plan.created.unsigned_abs(), answer.tokens()), 24)),
                "data": crate::media::wav_base64(answer.tokens()),
                "expires_at": plan.created + 3600,
                "transcript": answer.for_json(),
            });
        }
        Said::Text(answer) => message["content"] = json!(answer.for_json()),
        Said::Tool(id, name, arguments) => {
            let function = json!({"arguments": arguments.for_json(), "name": name});
            message["tool_calls"] = json!([{"function": function, "id": id, "type": "function"}]);
        }
        Said::Function(name, arguments) => {
            message["function_call"] = json!({"arguments": arguments.for_json(), "name": name});
        }
    }
    if plan.azure { message } else { openai_order(message) }
}

/// OpenAI writes the role first.
fn openai_order(mut message: Value) -> Value {
    let mut ordered = json!({"role": "assistant"});
    if let (Some(from), Some(to)) = (message.as_object_mut(), ordered.as_object_mut()) {
        to.extend(std::mem::take(from));
        to.insert("annotations".into(), json!([]));
    }
    ordered
}

/// The probabilities of the first tokens of a text; the numbers are made up.
fn logprobs(said: &Said) -> Value {
    let Said::Text(answer) = said else { return Value::Null };
    let content: Vec<Value> = (0..answer.tokens().min(LOGPROBS_MAX))
        .map(|index| {
            let mut token = Vec::from(*b"\"");
            answer.push_escaped(index, &mut token);
            token.push(b'"');
            let token: String = serde_json::from_slice(&token).unwrap_or_default();
            json!({"token": token, "bytes": token.as_bytes(), "logprob": logprob(index), "top_logprobs": []})
        })
        .collect();
    json!({"content": content, "refusal": null})
}

fn keep(call: &Call<'_>, plan: &Plan<'_>, messages: &[Value]) {
    let mut kept = value(plan);
    kept["metadata"] = call.field("metadata").cloned().unwrap_or_else(|| json!({}));
    let hidden: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let mut message = message.clone();
            if let Some(map) = message.as_object_mut() {
                map.insert("id".into(), json!(format!("{}-{index}", plan.id)));
            }
            message
        })
        .collect();
    call.keep(Kind::Completion, &plan.id, Object::new(kept).hiding(Value::Array(hidden)));
}

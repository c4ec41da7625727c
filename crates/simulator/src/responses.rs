//! Responses: made, kept, chained, run in the background, cancelled, listed.

use http::Method;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply, model_label};
use crate::chat::{answer, last_user_text, pick};
use crate::config::Deployment;
use crate::conversations;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::filter::Filter;
use crate::models::{self, Task};
use crate::paging::page_of;
use crate::responses_stream;
use crate::script::Script;
use crate::store::{Kind, Object};
use crate::text::{Words, hex, mix};
use crate::tokens::Prompt;

/// Tokens thought by a reasoning model.
const REASONING_TOKENS: u64 = 64;
/// What is assumed against the limit when none is given.
const ASSUMED_TOKENS: u64 = 16;

/// `responses...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::POST, ["input_tokens"]) => {
            let prompt = prompt(call, &input_items(call)?)?;
            Ok(Reply::json(
                &json!({"object": "response.input_tokens", "input_tokens": prompt.tokens}),
            ))
        }
        (&Method::POST, ["compact"]) => compact(call),
        (&Method::GET, [id]) => get(call, id),
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Response, id)?;
            Ok(Reply::deleted(id, "response.deleted"))
        }
        (&Method::POST, [id, "cancel"]) => cancel(call, id),
        (&Method::GET, [id, "input_items"]) => {
            let object = store.get(Kind::Response, id)?;
            let items = object.hidden["input"].as_array().cloned().unwrap_or_default();
            page_of(call, items, (20, 100), "desc")
        }
        _ => Err(call.unknown()),
    }
}

fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Chat)?;
    let input = input_items(call)?;
    let prompt = prompt(call, &input)?;
    if prompt.tokens > deployment.context_tokens_max {
        return Err(Failure::context_length(deployment.context_tokens_max, prompt.tokens));
    }
    let conversation = conversation(call)?;
    let filter = Filter::inspect(call)?;
    let max = call.number("max_output_tokens", 16, u64::from(u32::MAX))?;
    let background = call.flag("background");
    let cost = prompt.chars / 4 + max.unwrap_or(ASSUMED_TOKENS);
    let left = models::admit(call, &deployment, cost)?;
    let output = Output::make(call, &deployment, &input, (&prompt, max, &filter));
    let spoken = output.tokens;
    let mut value = response(call, &deployment, &prompt, output);
    if let Some(id) = &conversation {
        value["conversation"] = json!({"id": id});
        conversations::add(call, id, &input);
        conversations::add(call, id, value["output"].as_array().map_or(&[], Vec::as_slice));
    }
    let id = value["id"].as_str().unwrap_or_default().to_owned();
    let kept = call.field("store").and_then(Value::as_bool).unwrap_or(true);
    if background && !kept {
        return Err(Failure::invalid("background", "requires 'store' to be true"));
    }
    if kept {
        let items: Vec<Value> =
            input.iter().map(|item| conversations::item_value(call, item)).collect();
        let hidden = json!({"input": items, "background": background});
        call.keep(Kind::Response, &id, Object::new(value.clone()).hiding(hidden));
    }
    if call.faults.has(&Fault::NoUsage) {
        value["usage"] = Value::Null;
    }
    let tokens = value["usage"]["output_tokens"].as_u64().unwrap_or_default();
    let reply = if call.flag("stream") {
        responses_stream::reply(&value, background, None)
    } else if background {
        Reply::json(&responses_stream::unfinished(&value, "queued"))
    } else {
        Reply::new("application/json", Script::json(&value, "")).after(tokens)
    };
    let used = call.tokens_used(&model_label(&deployment), prompt.tokens, spoken);
    Ok(models::allowed(call, left, reply.by(&deployment).using(used)))
}

/// The input as a list of items.
fn input_items(call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    match call.field("input") {
        Some(Value::String(text)) => Ok(vec![json!({"role": "user", "content": text})]),
        Some(Value::Array(items)) => Ok(items.clone()),
        None if call.field("prompt").is_some() || call.field("conversation").is_some() => {
            Ok(Vec::new())
        }
        None => Err(Failure::missing("input")),
        Some(_) => Err(Failure::invalid("input", "expected a string or a list of items")),
    }
}

/// What is asked, with what the chain before it cost.
fn prompt(call: &Call<'_>, input: &[Value]) -> Result<Prompt, Failure> {
    let mut prompt = call.prompt();
    if let Some(instructions) = call.text("instructions") {
        prompt.add(instructions);
    }
    prompt.add_messages(input);
    if let Some(tools) = call.field("tools") {
        prompt.add_all(tools);
    }
    if let Some(previous) = call.text("previous_response_id") {
        let previous = call.instance.store.get(Kind::Response, previous)?;
        prompt.tokens += previous.value["usage"]["total_tokens"].as_u64().unwrap_or_default();
        prompt.hash =
            mix(prompt.hash, previous.value["usage"]["total_tokens"].as_u64().unwrap_or_default());
    }
    Ok(prompt)
}

fn conversation(call: &Call<'_>) -> Result<Option<String>, Failure> {
    let Some(value) = call.field("conversation") else { return Ok(None) };
    if call.field("previous_response_id").is_some() {
        return Err(Failure::invalid(
            "conversation",
            "not allowed together with 'previous_response_id'",
        ));
    }
    let id = value.as_str().or_else(|| value.get("id").and_then(Value::as_str)).unwrap_or_default();
    call.instance.store.get(Kind::Conversation, id)?;
    Ok(Some(id.to_owned()))
}

/// The items of an answer and what they cost.
struct Output {
    items: Vec<Value>,
    tokens: u64,
    reasoning: u64,
    incomplete: Option<&'static str>,
}

impl Output {
    fn make(
        call: &Call<'_>,
        deployment: &Deployment,
        input: &[Value],
        of: (&Prompt, Option<u64>, &Filter),
    ) -> Self {
        let (prompt, max, filter) = of;
        let seed = prompt.hash;
        let mut output = Self { items: Vec::new(), tokens: 0, reasoning: 0, incomplete: None };
        if models::reasons(&deployment.model) || call.field("reasoning").is_some() {
            output.reason(call, seed);
        }
        let said = last_user_text(input);
        if let Some(item) = function_call(call, said.as_deref(), seed) {
            output.tokens += 20;
            output.items.push(item);
            return output;
        }
        let searched = built_in(call, said.as_deref(), seed);
        let cites = searched.as_ref().is_some_and(|item| item["type"] != "code_interpreter_call");
        output.items.extend(searched);
        let wanted = answer(call.body().pointer("/text/format"), call.sim_tokens(), seed);
        let all = wanted.tokens();
        let room = max.map_or(u64::MAX, |max| max.saturating_sub(output.tokens));
        let (keep, incomplete) = match (filter.cuts, room < all) {
            (true, _) => (all / 2, Some("content_filter")),
            (false, true) => (room, Some("max_output_tokens")),
            (false, false) => (all, None),
        };
        output.tokens += keep;
        output.incomplete = incomplete;
        let status = if incomplete.is_some() { "incomplete" } else { "completed" };
        let annotations = if cites {
            json!([{"type": "url_citation", "start_index": 0, "end_index": 4, "title": "A page", "url": "https://example.com/page"}])
        } else {
            json!([])
        };
        let part = json!({"type": "output_text", "annotations": annotations, "logprobs": [], "text": wanted.truncated(keep).for_json()});
        let id = format!("msg_{}", hex(mix(seed, call.instance.draw()), 48));
        output.items.push(json!({"id": id, "type": "message", "status": status, "content": [part], "role": "assistant"}));
        output
    }

    fn reason(&mut self, call: &Call<'_>, seed: u64) {
        let wanted = call
            .body()
            .pointer("/reasoning/summary")
            .or_else(|| call.body().pointer("/reasoning/generate_summary"));
        let summary = match wanted {
            Some(Value::String(_)) => {
                json!([{"type": "summary_text", "text": Words { seed: mix(seed, 9), tokens: 12 }.text()}])
            }
            _ => json!([]),
        };
        let id = format!("rs_{}", hex(mix(seed, call.instance.draw()), 48));
        self.items.push(json!({"id": id, "type": "reasoning", "summary": summary}));
        self.reasoning = REASONING_TOKENS;
        self.tokens += REASONING_TOKENS;
    }
}

fn function_call(call: &Call<'_>, said: Option<&str>, seed: u64) -> Option<Value> {
    let tools = call.field("tools").and_then(Value::as_array)?;
    let functions: Vec<Value> =
        tools.iter().filter(|tool| tool["type"] == "function").cloned().collect();
    let (name, arguments) = pick(&functions, call.field("tool_choice"), said, seed)?;
    let draw = call.instance.draw();
    Some(json!({
        "id": format!("fc_{}", hex(mix(seed, draw), 48)),
        "type": "function_call",
        "status": "completed",
        "arguments": arguments.for_json(),
        "call_id": format!("call_{}", hex(draw, 24)),
        "name": name,
    }))
}

/// A search or a program, if such a tool is offered and the text speaks of it.
fn built_in(call: &Call<'_>, said: Option<&str>, seed: u64) -> Option<Value> {
    let tools = call.field("tools").and_then(Value::as_array)?;
    let demanded = call.body().pointer("/tool_choice/type").and_then(Value::as_str);
    let draw = call.instance.draw();
    for tool in tools {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        let word = if kind == "code_interpreter" { "code" } else { "search" };
        if demanded != Some(kind) && !said.is_some_and(|said| said.contains(word)) {
            continue;
        }
        let query = Words { seed: mix(seed, 7), tokens: 3 }.text();
        let id = |prefix: &str| format!("{prefix}_{}", hex(mix(seed, draw), 48));
        match kind {
            "file_search" => {
                return Some(
                    json!({"id": id("fs"), "type": "file_search_call", "status": "completed", "queries": [query], "results": null}),
                );
            }
            "web_search" | "web_search_preview" => {
                return Some(
                    json!({"id": id("ws"), "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": query}}),
                );
            }
            "code_interpreter" => {
                let container = format!("cntr_{}", hex(draw, 24));
                return Some(
                    json!({"id": id("ci"), "type": "code_interpreter_call", "status": "completed", "code": "print(6 * 7)", "container_id": container, "outputs": null}),
                );
            }
            _ => {}
        }
    }
    None
}

fn response(call: &Call<'_>, deployment: &Deployment, prompt: &Prompt, output: Output) -> Value {
    let given = |name: &str, default: Value| call.field(name).cloned().unwrap_or(default);
    let usage = json!({
        "input_tokens": prompt.tokens,
        "input_tokens_details": {"cached_tokens": call.cached_tokens(prompt.tokens)},
        "output_tokens": output.tokens,
        "output_tokens_details": {"reasoning_tokens": output.reasoning},
        "total_tokens": prompt.tokens + output.tokens,
    });
    let effort = call.body().pointer("/reasoning/effort").cloned().unwrap_or(Value::Null);
    let summary = call.body().pointer("/reasoning/summary").cloned().unwrap_or(Value::Null);
    let mut text = given("text", json!({}));
    if let Some(text) = text.as_object_mut() {
        text.entry("format").or_insert(json!({"type": "text"}));
        text.entry("verbosity").or_insert(json!("medium"));
    }
    json!({
        "id": call.instance.id("resp_"),
        "object": "response",
        "created_at": call.now,
        "status": if output.incomplete.is_some() { "incomplete" } else { "completed" },
        "background": call.flag("background"),
        "error": null,
        "incomplete_details": output.incomplete.map(|reason| json!({"reason": reason})),
        "instructions": given("instructions", Value::Null),
        "max_output_tokens": given("max_output_tokens", Value::Null),
        "max_tool_calls": null,
        "model": model_label(deployment),
        "output": output.items,
        "parallel_tool_calls": given("parallel_tool_calls", json!(true)),
        "previous_response_id": given("previous_response_id", Value::Null),
        "prompt_cache_key": given("prompt_cache_key", Value::Null),
        "reasoning": {"effort": effort, "summary": summary},
        "safety_identifier": given("safety_identifier", Value::Null),
        "service_tier": if call.is_priority() { "priority" } else { "default" },
        "store": given("store", json!(true)),
        "temperature": given("temperature", json!(1.0)),
        "text": text,
        "tool_choice": given("tool_choice", json!("auto")),
        "tools": given("tools", json!([])),
        "top_logprobs": 0,
        "top_p": given("top_p", json!(1.0)),
        "truncation": given("truncation", json!("disabled")),
        "usage": usage,
        "user": given("user", Value::Null),
        "metadata": given("metadata", json!({})),
    })
}

/// A background response is queued, then in progress at the first look, then done.
fn get(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let object = call.instance.store.with(Kind::Response, id, |object| {
        object.polls += 1;
        object.clone()
    })?;
    let background = object.hidden["background"] == true;
    if call.wants_stream_by_query() {
        let after = match call.query("starting_after") {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Failure::invalid("starting_after", "expected a whole number"))?,
            ),
        };
        return Ok(responses_stream::reply(&object.value, background, after));
    }
    let running = background && object.polls < 2 && object.value["status"] != "cancelled";
    if running {
        Ok(Reply::json(&responses_stream::unfinished(&object.value, "in_progress")))
    } else {
        Ok(Reply::json(&object.value))
    }
}

fn cancel(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let value = call.instance.store.with(Kind::Response, id, |object| {
        if object.hidden["background"] != true {
            return Err(Failure::conflict("Cannot cancel a synchronous response."));
        }
        if object.polls < 2 {
            object.value = responses_stream::unfinished(&object.value, "cancelled");
        }
        Ok(object.value.clone())
    })??;
    Ok(Reply::json(&value))
}

fn compact(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Chat)?;
    let input = input_items(call)?;
    let prompt = prompt(call, &input)?;
    let mut output: Vec<Value> = input
        .iter()
        .filter(|item| item["role"] == "user")
        .map(|item| conversations::item_value(call, item))
        .collect();
    let id = format!("cmp_{}", hex(call.instance.draw(), 48));
    output
        .push(json!({"id": id, "type": "compaction", "encrypted_content": hex(prompt.hash, 128)}));
    let mut value = Map::new();
    value.insert("id".into(), json!(call.instance.id("resp_")));
    value.insert("object".into(), json!("response.compaction"));
    value.insert("created_at".into(), json!(call.now));
    value.insert("output".into(), Value::Array(output));
    value.insert(
        "usage".into(),
        json!({
            "input_tokens": prompt.tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 32,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt.tokens + 32,
        }),
    );
    models::charge(call, &deployment, prompt.tokens, Reply::json(&Value::Object(value)))
}

//! Runs of assistants: moved on by looking at them, or told as events.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::chat::{answer, last_user_text, pick};
use crate::failure::Failure;
use crate::models;
use crate::paging::page;
use crate::script::{Deltas, Lane, PIECE, Script, Segment};
use crate::store::{Kind, Object};
use crate::text::{Answer, hex, mix};
use crate::threads::{keep_message, message, modify, new_thread, text_part};

/// Seconds until an untouched run expires.
const EXPIRES_S: i64 = 600;

/// `threads/{thread}/runs...`
pub(crate) fn perform(call: &Call<'_>, thread: &str, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => start(call, thread, None),
        (&Method::GET, []) => page(call, store.list(Kind::Run, Some(thread))),
        (&Method::GET, [id]) => {
            store.get_under(Kind::Run, thread, id)?;
            Ok(Reply::json(&advance(call, id)?))
        }
        (&Method::POST, [id]) => {
            store.get_under(Kind::Run, thread, id)?;
            Ok(Reply::json(&modify(call, Kind::Run, id)?))
        }
        (&Method::POST, [id, "cancel"]) => cancel(call, thread, id),
        (&Method::POST, [id, "submit_tool_outputs"]) => submit(call, thread, id),
        (&Method::GET, [id, "steps"]) => {
            store.get_under(Kind::Run, thread, id)?;
            page(call, store.list(Kind::RunStep, Some(id)))
        }
        (&Method::GET, [id, "steps", step]) => {
            store.get_under(Kind::Run, thread, id)?;
            Ok(Reply::json(&store.get_under(Kind::RunStep, id, step)?.value))
        }
        _ => Err(call.unknown()),
    }
}

/// `POST threads/runs`
pub(crate) fn create_with_thread(call: &Call<'_>) -> Result<Reply, Failure> {
    call.instance.store.get(Kind::Assistant, call.need_text("assistant_id")?)?;
    let empty = json!({});
    let thread = new_thread(call, call.field("thread").unwrap_or(&empty))?;
    let id = thread["id"].as_str().unwrap_or_default().to_owned();
    start(call, &id, Some(thread))
}

fn start(call: &Call<'_>, thread: &str, created: Option<Value>) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let assistant = store.get(Kind::Assistant, call.need_text("assistant_id")?)?.value;
    let active = store.list(Kind::Run, Some(thread)).into_iter().find(|run| {
        matches!(run.value["status"].as_str(), Some("queued" | "in_progress" | "requires_action"))
    });
    if let Some(active) = active {
        let message = format!(
            "Thread {thread} already has an active run {}.",
            active.value["id"].as_str().unwrap_or_default()
        );
        return Err(Failure::conflict(message));
    }
    let model = call.text("model").or(assistant["model"].as_str());
    let deployment = call.deployment(model)?;
    let left = models::admit(call, &deployment, 16)?;
    for given in call.field("additional_messages").and_then(Value::as_array).into_iter().flatten() {
        let text = given.get("content").and_then(Value::as_str).unwrap_or_default();
        keep_message(call, thread, &message(call, thread, "user", json!([text_part(text)])));
    }
    let plan = plan(call, thread, &assistant);
    let id = call.id(Kind::Run);
    let value = run_value(call, &id, thread, &assistant);
    call.keep(Kind::Run, &id, Object::new(value.clone()).under(thread).hiding(plan));
    let reply = if call.flag("stream") {
        let mut events = Events::default();
        if let Some(thread) = created {
            events.emit("thread.created", &thread);
        }
        events.emit("thread.run.created", &value);
        events.run(call, &id)?
    } else {
        Reply::json(&value)
    };
    Ok(models::allowed(call, left, reply.by(&deployment)))
}

/// What the run will say: decided at its start from the thread, kept beside it.
fn plan(call: &Call<'_>, thread: &str, assistant: &Value) -> Value {
    let messages: Vec<Value> = call
        .instance
        .store
        .list(Kind::Message, Some(thread))
        .into_iter()
        .map(|object| {
            let text = object.value.pointer("/content/0/text/value").cloned().unwrap_or(json!(""));
            json!({"role": object.value["role"], "content": text})
        })
        .collect();
    let mut prompt = call.prompt();
    if let Some(instructions) = call.text("instructions").or(assistant["instructions"].as_str()) {
        prompt.add(instructions);
    }
    prompt.add_messages(&messages);
    let tools = call.field("tools").unwrap_or(&assistant["tools"]);
    let functions: Vec<Value> = tools
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool.get("function").cloned())
        .collect();
    let said = last_user_text(&messages);
    let tool = pick(&functions, call.field("tool_choice"), said.as_deref(), prompt.hash).map(|(name, arguments)| {
        let id = format!("call_{}", hex(mix(prompt.hash, 2), 24));
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.for_json()}})
    });
    let format = call.field("response_format").unwrap_or(&assistant["response_format"]);
    let answer = answer(Some(format), call.sim_tokens(), prompt.hash);
    json!({"text": answer.for_json(), "tokens": answer.tokens(), "prompt_tokens": prompt.tokens, "tool": tool})
}

fn run_value(call: &Call<'_>, id: &str, thread: &str, assistant: &Value) -> Value {
    let given = |name: &str| call.field(name).cloned().unwrap_or_else(|| assistant[name].clone());
    let mut value = json!({
        "id": id,
        "object": "thread.run",
        "created_at": call.now,
        "assistant_id": assistant["id"],
        "thread_id": thread,
        "status": "queued",
        "started_at": null,
        "expires_at": call.now + EXPIRES_S,
        "cancelled_at": null,
        "failed_at": null,
        "completed_at": null,
        "required_action": null,
        "last_error": null,
        "incomplete_details": null,
        "model": given("model"),
        "instructions": given("instructions"),
        "tools": given("tools"),
        "usage": null,
    });
    value["metadata"] = call.field("metadata").cloned().unwrap_or_else(|| json!({}));
    value["temperature"] = given("temperature");
    value["top_p"] = given("top_p");
    value["max_prompt_tokens"] = call.field("max_prompt_tokens").cloned().unwrap_or(Value::Null);
    value["max_completion_tokens"] =
        call.field("max_completion_tokens").cloned().unwrap_or(Value::Null);
    value["truncation_strategy"] = json!({"type": "auto", "last_messages": null});
    value["tool_choice"] = call.field("tool_choice").cloned().unwrap_or(json!("auto"));
    value["parallel_tool_calls"] = json!(true);
    value["response_format"] = given("response_format");
    value
}

/// One look: queued, in progress, then done or in need of a tool.
fn advance(call: &Call<'_>, id: &str) -> Result<Value, Failure> {
    let run = call.instance.store.get(Kind::Run, id)?;
    match run.value["status"].as_str().unwrap_or_default() {
        "queued" => set(call, id, |value| {
            value["status"] = json!("in_progress");
            value["started_at"] = json!(call.now);
        }),
        "in_progress" if run.hidden["tool"].is_object() => {
            let step = tool_step(call, &run.value, &run.hidden["tool"]);
            keep_step(call, id, &step);
            require(call, id, &run.hidden["tool"])
        }
        "in_progress" => {
            let message = answer_message(call, &run);
            let step = message_step(call, &run.value, &message);
            finish(call, &run, &message, &step)
        }
        _ => Ok(run.value),
    }
}

fn set(call: &Call<'_>, id: &str, change: impl FnOnce(&mut Value)) -> Result<Value, Failure> {
    call.instance.store.with(Kind::Run, id, |object| {
        change(&mut object.value);
        object.value.clone()
    })
}

fn require(call: &Call<'_>, id: &str, tool: &Value) -> Result<Value, Failure> {
    set(call, id, |value| {
        value["status"] = json!("requires_action");
        value["required_action"] =
            json!({"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [tool]}});
    })
}

fn answer_message(call: &Call<'_>, run: &Object) -> Value {
    let thread = run.value["thread_id"].as_str().unwrap_or_default();
    let text = run.hidden["text"].as_str().unwrap_or_default();
    let mut value = message(call, thread, "assistant", json!([text_part(text)]));
    value["assistant_id"] = run.value["assistant_id"].clone();
    value["run_id"] = run.value["id"].clone();
    value
}

fn step(call: &Call<'_>, run: &Value, kind: &str, details: Value) -> Value {
    json!({
        "id": call.id(Kind::RunStep),
        "object": "thread.run.step",
        "created_at": call.now,
        "run_id": run["id"],
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "type": kind,
        "status": "in_progress",
        "cancelled_at": null,
        "completed_at": null,
        "expires_at": run["expires_at"],
        "expired_at": null,
        "failed_at": null,
        "last_error": null,
        "step_details": details,
        "usage": null,
        "metadata": {},
    })
}

fn message_step(call: &Call<'_>, run: &Value, message: &Value) -> Value {
    let details =
        json!({"type": "message_creation", "message_creation": {"message_id": message["id"]}});
    step(call, run, "message_creation", details)
}

fn tool_step(call: &Call<'_>, run: &Value, tool: &Value) -> Value {
    let mut tool = tool.clone();
    tool["function"]["output"] = Value::Null;
    step(call, run, "tool_calls", json!({"type": "tool_calls", "tool_calls": [tool]}))
}

fn keep_step(call: &Call<'_>, run: &str, value: &Value) {
    let id = value["id"].as_str().unwrap_or_default();
    call.keep(Kind::RunStep, id, Object::new(value.clone()).under(run));
}

fn usage(plan: &Value) -> Value {
    let (asked, said) = (
        plan["prompt_tokens"].as_u64().unwrap_or_default(),
        plan["tokens"].as_u64().unwrap_or_default(),
    );
    json!({
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        // Runs really spell it in the singular.
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

fn completed(call: &Call<'_>, mut step: Value, plan: &Value) -> Value {
    step["status"] = json!("completed");
    step["completed_at"] = json!(call.now);
    step["usage"] = usage(plan);
    step
}

/// Keeps the answer and its step and completes the run.
fn finish(call: &Call<'_>, run: &Object, message: &Value, step: &Value) -> Result<Value, Failure> {
    let id = run.value["id"].as_str().unwrap_or_default();
    keep_message(call, run.value["thread_id"].as_str().unwrap_or_default(), message);
    keep_step(call, id, &completed(call, step.clone(), &run.hidden));
    set(call, id, |value| {
        value["status"] = json!("completed");
        value["completed_at"] = json!(call.now);
        value["expires_at"] = Value::Null;
        value["usage"] = usage(&run.hidden);
    })
}

fn cancel(call: &Call<'_>, thread: &str, id: &str) -> Result<Reply, Failure> {
    let run = call.instance.store.get_under(Kind::Run, thread, id)?;
    let status = run.value["status"].as_str().unwrap_or_default();
    if !matches!(status, "queued" | "in_progress" | "requires_action") {
        return Err(Failure::conflict(format!("Cannot cancel run with status '{status}'.")));
    }
    let shown = set(call, id, |value| {
        value["status"] = json!("cancelled");
        value["cancelled_at"] = json!(call.now);
    })?;
    let mut answer = shown;
    answer["status"] = json!("cancelling");
    answer["cancelled_at"] = Value::Null;
    Ok(Reply::json(&answer))
}

fn submit(call: &Call<'_>, thread: &str, id: &str) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let run = store.get_under(Kind::Run, thread, id)?;
    if run.value["status"] != "requires_action" {
        return Err(Failure::conflict(format!(
            "Runs in status {} do not accept tool outputs.",
            run.value["status"]
        )));
    }
    let outputs = call
        .field("tool_outputs")
        .and_then(Value::as_array)
        .ok_or_else(|| Failure::missing("tool_outputs"))?;
    let wanted = &run.hidden["tool"]["id"];
    let Some(output) = outputs.iter().find(|output| output["tool_call_id"] == *wanted) else {
        return Err(Failure::conflict(format!("Expected tool outputs for call_ids [{wanted}]")));
    };
    let mut done = Vec::new();
    for object in store.list(Kind::RunStep, Some(id)) {
        if object.value["status"] != "in_progress" {
            continue;
        }
        let mut step = completed(call, object.value, &run.hidden);
        step["step_details"]["tool_calls"][0]["function"]["output"] = output["output"].clone();
        keep_step(call, id, &step);
        done.push(step);
    }
    let value = store.with(Kind::Run, id, |object| {
        object.hidden["tool"] = Value::Null;
        object.value["status"] = json!("queued");
        object.value["required_action"] = Value::Null;
        object.value.clone()
    })?;
    if !call.flag("stream") {
        return Ok(Reply::json(&value));
    }
    let mut events = Events::default();
    done.iter().for_each(|step| events.emit("thread.run.step.completed", step));
    events.run(call, id)
}

#[derive(Default)]
struct Events {
    script: Script,
}

impl Events {
    fn emit(&mut self, name: &str, value: &Value) {
        self.script.event(Some(name), value);
    }

    /// From queued to the end, or to the need of a tool. The state is final before the first event leaves.
    fn run(mut self, call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
        let run = call.instance.store.get(Kind::Run, id)?;
        self.emit("thread.run.queued", &run.value);
        let started = set(call, id, |value| {
            value["status"] = json!("in_progress");
            value["started_at"] = json!(call.now);
        })?;
        self.emit("thread.run.in_progress", &started);
        if run.hidden["tool"].is_object() {
            self.tool(call, &run, &run.hidden["tool"])?;
        } else {
            self.message(call, &run)?;
        }
        self.script.push_bytes(&b"event: done\ndata: [DONE]\n\n"[..]);
        Ok(Reply::stream(self.script))
    }

    fn tool(&mut self, call: &Call<'_>, run: &Object, tool: &Value) -> Result<(), Failure> {
        let id = run.value["id"].as_str().unwrap_or_default();
        let step = tool_step(call, &run.value, tool);
        let mut started = step.clone();
        started["step_details"]["tool_calls"] = json!([]);
        self.emit("thread.run.step.created", &started);
        self.emit("thread.run.step.in_progress", &started);
        let delta = |calls: Value| json!({"id": step["id"], "object": "thread.run.step.delta", "delta": {"step_details": {"type": "tool_calls", "tool_calls": calls}}});
        let function = json!({"name": tool["function"]["name"], "arguments": "", "output": null});
        self.emit(
            "thread.run.step.delta",
            &delta(
                json!([{"index": 0, "id": tool["id"], "type": "function", "function": function}]),
            ),
        );
        let template =
            delta(json!([{"index": 0, "type": "function", "function": {"arguments": PIECE}}]));
        let arguments =
            Answer::from_text(tool["function"]["arguments"].as_str().unwrap_or_default());
        self.pieces("thread.run.step.delta", &template, arguments);
        keep_step(call, id, &step);
        let value = require(call, id, tool)?;
        self.emit("thread.run.requires_action", &value);
        Ok(())
    }

    fn message(&mut self, call: &Call<'_>, run: &Object) -> Result<(), Failure> {
        let message = answer_message(call, run);
        let step = message_step(call, &run.value, &message);
        self.emit("thread.run.step.created", &step);
        self.emit("thread.run.step.in_progress", &step);
        let mut started = message.clone();
        started["content"] = json!([]);
        started["status"] = json!("in_progress");
        started["completed_at"] = Value::Null;
        self.emit("thread.message.created", &started);
        self.emit("thread.message.in_progress", &started);
        let part = json!({"index": 0, "type": "text", "text": {"value": PIECE}});
        let template = json!({"id": message["id"], "object": "thread.message.delta", "delta": {"content": [part]}});
        let text = Answer::from_text(run.hidden["text"].as_str().unwrap_or_default());
        self.pieces("thread.message.delta", &template, text);
        let value = finish(call, run, &message, &step)?;
        self.emit("thread.message.completed", &message);
        self.emit("thread.run.step.completed", &completed(call, step, &run.hidden));
        self.emit("thread.run.completed", &value);
        Ok(())
    }

    fn pieces(&mut self, name: &str, template: &Value, answer: Answer) {
        let lane = Lane::new(&format!("event: {name}\ndata: "), template, "\n\n", answer, 1);
        self.script.push(Segment::Deltas(Deltas::new(vec![lane], 0)));
    }
}

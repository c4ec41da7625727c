//! Streams of runs of assistants: `thread.*` events.

use serde_json::{Map, Value};

use super::merge::accumulate;
use super::{Budget, Step, error_in, event_type};

/// Most messages and most steps of one run.
const ENTRIES_MAX: usize = 4096;

/// Events of a run after which nothing is due but `done`.
const TERMINAL: [&str; 6] =
    ["completed", "failed", "cancelled", "expired", "incomplete", "requires_action"];

/// Joins one stream of a run.
#[derive(Debug, Default)]
pub(crate) struct AssistantsJoin {
    thread: Value,
    run: Value,
    messages: Vec<Value>,
    steps: Vec<Value>,
}

impl AssistantsJoin {
    pub(crate) fn event(&mut self, name: &str, data: &str, budget: &mut Budget) -> Step {
        let Ok(value) = serde_json::from_str::<Value>(data) else { return Step::Malformed };
        let name = event_type(name, data);
        if let Some(error) = error_in(&name, &value) {
            return Step::Error(error);
        }
        if !budget.take(data.len()) {
            return Step::Taken;
        }
        if let Some(event) = name.strip_prefix("thread.message.") {
            take(&mut self.messages, event == "delta", value);
        } else if let Some(event) = name.strip_prefix("thread.run.step.") {
            take(&mut self.steps, event == "delta", value);
        } else if let Some(event) = name.strip_prefix("thread.run.") {
            self.run = value;
            if TERMINAL.contains(&event) {
                return Step::Terminal;
            }
        } else if name.starts_with("thread.") {
            self.thread = value;
        } else {
            return self.unnamed(value);
        }
        Step::Taken
    }

    /// Without event names the object tells what it is.
    fn unnamed(&mut self, value: Value) -> Step {
        match value.get("object").and_then(Value::as_str) {
            Some("thread.run") => self.run = value,
            Some("thread") => self.thread = value,
            Some("thread.message") => take(&mut self.messages, false, value),
            Some("thread.message.delta") => take(&mut self.messages, true, value),
            Some("thread.run.step") => take(&mut self.steps, false, value),
            Some("thread.run.step.delta") => take(&mut self.steps, true, value),
            _ => return Step::Malformed,
        }
        Step::Taken
    }

    pub(crate) fn finish(mut self) -> Value {
        let mut body = Map::new();
        body.insert("object".into(), "thread.run.stream".into());
        for key in ["id", "thread_id", "assistant_id", "model", "status", "created_at"] {
            if let Some(value) = self.run.get(key) {
                body.insert(key.into(), value.clone());
            }
        }
        if let Some(thread_id) = self.thread.get("id")
            && !body.contains_key("thread_id")
        {
            body.insert("thread_id".into(), thread_id.clone());
        }
        let usage = self.run.get("usage").cloned();
        if !self.thread.is_null() {
            body.insert("thread".into(), self.thread);
        }
        body.insert("run".into(), self.run);
        for entry in self.messages.iter_mut().chain(&mut self.steps) {
            without_indices(entry);
        }
        body.insert("messages".into(), self.messages.into());
        body.insert("steps".into(), self.steps.into());
        if let Some(usage) = usage {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }
}

/// Replaces the object of this id, or adds a delta to it.
fn take(objects: &mut Vec<Value>, is_delta: bool, mut value: Value) {
    let id = value.get("id").cloned().unwrap_or_default();
    let known = objects.iter().position(|known| known.get("id") == Some(&id));
    if !is_delta {
        match known {
            Some(at) => objects[at] = value,
            None if objects.len() < ENTRIES_MAX => objects.push(value),
            None => {}
        }
        return;
    }
    let delta = value.get_mut("delta").map(Value::take).unwrap_or_default();
    let at = match known {
        Some(at) => at,
        None if objects.len() < ENTRIES_MAX => {
            objects.push(Value::Object(Map::from_iter([("id".to_owned(), id)])));
            objects.len() - 1
        }
        None => return,
    };
    accumulate(&mut objects[at], delta);
}

/// Content that was built from deltas still has their indices, which an answer has not.
fn without_indices(object: &mut Value) {
    let lists = [
        object.pointer("/content").is_some().then_some("/content"),
        Some("/step_details/tool_calls"),
    ];
    for pointer in lists.into_iter().flatten() {
        let list = object.pointer_mut(pointer).and_then(Value::as_array_mut);
        for entry in list.into_iter().flatten() {
            if let Some(members) = entry.as_object_mut() {
                members.shift_remove("index");
            }
        }
    }
}

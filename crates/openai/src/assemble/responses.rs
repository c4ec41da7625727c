//! Streams of responses. The terminal event carries the whole response; only a stream that broke is
//! rebuilt from its deltas.

use serde_json::{Map, Value, json};

use super::borrowed::{ResponseDelta, type_of};
use super::{Budget, Step, error_in};

/// Most output items, and most parts of one.
const ENTRIES_MAX: usize = 4096;

/// Joins one stream of a response.
#[derive(Debug, Default)]
pub(crate) struct ResponsesJoin {
    /// The response as the last event that held it had it.
    response: Value,
    is_whole: bool,
    items: Vec<(u32, ItemJoin)>,
}

#[derive(Debug, Default)]
struct ItemJoin {
    item: Value,
    /// The item is whole; its deltas were dropped.
    is_done: bool,
    content: Vec<(u32, &'static str, String)>,
    summary: Vec<(u32, String)>,
    /// `arguments`, `input` or `code`.
    member: Option<(&'static str, String)>,
}

impl ResponsesJoin {
    pub(crate) fn event(&mut self, name: &str, data: &str, budget: &mut Budget) -> Step {
        let own;
        let name = if name.is_empty() {
            own = type_of(data);
            own.as_deref().unwrap_or_default()
        } else {
            name
        };
        match name {
            "response.output_text.delta" => self.content(data, "output_text", budget),
            "response.refusal.delta" => self.content(data, "refusal", budget),
            "response.reasoning_text.delta" => self.content(data, "reasoning_text", budget),
            "response.reasoning_summary_text.delta" => self.summary(data, budget),
            "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta" => {
                self.member(data, "arguments", budget)
            }
            "response.custom_tool_call_input.delta" => self.member(data, "input", budget),
            "response.code_interpreter_call_code.delta" => self.member(data, "code", budget),
            "response.output_item.added" | "response.output_item.done" => {
                self.item(data, name.ends_with("done"), budget)
            }
            "response.created" | "response.queued" | "response.in_progress" => {
                self.whole(data, false, budget)
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => self.whole(data, true, budget),
            _ if name.starts_with("response.") => Step::Taken,
            _ => match serde_json::from_str::<Value>(data) {
                Ok(value) => error_in(name, &value).map_or(Step::Taken, Step::Error),
                Err(_) => Step::Malformed,
            },
        }
    }

    fn whole(&mut self, data: &str, is_terminal: bool, budget: &mut Budget) -> Step {
        let Ok(Value::Object(mut event)) = serde_json::from_str(data) else {
            return Step::Malformed;
        };
        let Some(response @ Value::Object(_)) = event.remove("response") else {
            return Step::Malformed;
        };
        if !is_terminal {
            if budget.take(data.len()) {
                self.response = response;
            }
            return Step::Taken;
        }
        self.response = response;
        self.is_whole = true;
        self.items.clear();
        Step::Terminal
    }

    fn item(&mut self, data: &str, is_done: bool, budget: &mut Budget) -> Step {
        let Ok(Value::Object(mut event)) = serde_json::from_str(data) else {
            return Step::Malformed;
        };
        let index = event.get("output_index").and_then(Value::as_u64);
        let Some(index) = index.and_then(|index| u32::try_from(index).ok()) else {
            return Step::Malformed;
        };
        let item = event.remove("item").unwrap_or_default();
        if let Some(join) = self.entry(index)
            && budget.take(data.len())
        {
            *join = ItemJoin { item, is_done, ..ItemJoin::default() };
        }
        Step::Taken
    }

    fn content(&mut self, data: &str, kind: &'static str, budget: &mut Budget) -> Step {
        let Ok(delta) = serde_json::from_str::<ResponseDelta<'_>>(data) else {
            return Step::Malformed;
        };
        let index = delta.content_index.unwrap_or(0);
        let (Some(join), Some(text)) = (self.entry(delta.output_index.unwrap_or(0)), delta.delta)
        else {
            return Step::Taken;
        };
        let part = match join.content.iter().position(|(known, _, _)| *known == index) {
            Some(at) => &mut join.content[at].2,
            None if join.content.len() >= ENTRIES_MAX => return Step::Taken,
            None => {
                join.content.push((index, kind, String::new()));
                let last = join.content.len() - 1;
                &mut join.content[last].2
            }
        };
        budget.append(part, &text.0);
        Step::Taken
    }

    fn summary(&mut self, data: &str, budget: &mut Budget) -> Step {
        let Ok(delta) = serde_json::from_str::<ResponseDelta<'_>>(data) else {
            return Step::Malformed;
        };
        let index = delta.summary_index.unwrap_or(0);
        let (Some(join), Some(text)) = (self.entry(delta.output_index.unwrap_or(0)), delta.delta)
        else {
            return Step::Taken;
        };
        let part = match join.summary.iter().position(|(known, _)| *known == index) {
            Some(at) => &mut join.summary[at].1,
            None if join.summary.len() >= ENTRIES_MAX => return Step::Taken,
            None => {
                join.summary.push((index, String::new()));
                let last = join.summary.len() - 1;
                &mut join.summary[last].1
            }
        };
        budget.append(part, &text.0);
        Step::Taken
    }

    fn member(&mut self, data: &str, name: &'static str, budget: &mut Budget) -> Step {
        let Ok(delta) = serde_json::from_str::<ResponseDelta<'_>>(data) else {
            return Step::Malformed;
        };
        if let (Some(join), Some(text)) = (self.entry(delta.output_index.unwrap_or(0)), delta.delta)
        {
            let (_, kept) = join.member.get_or_insert_with(|| (name, String::new()));
            budget.append(kept, &text.0);
        }
        Step::Taken
    }

    fn entry(&mut self, index: u32) -> Option<&mut ItemJoin> {
        let at = match self.items.iter().position(|(known, _)| *known == index) {
            Some(at) => at,
            None if self.items.len() >= ENTRIES_MAX => return None,
            None => {
                self.items.push((index, ItemJoin::default()));
                self.items.len() - 1
            }
        };
        Some(&mut self.items[at].1)
    }

    /// The response of the terminal event, or what the deltas make of it.
    pub(crate) fn finish(mut self) -> Value {
        if self.is_whole {
            return self.response;
        }
        self.items.sort_by_key(|(index, _)| *index);
        let output: Vec<Value> = self.items.into_iter().map(|(_, item)| item.finish()).collect();
        let mut response = match self.response {
            Value::Object(response) => response,
            _ => Map::from_iter([("object".to_owned(), Value::from("response"))]),
        };
        response.insert("output".into(), output.into());
        Value::Object(response)
    }
}

impl ItemJoin {
    fn finish(self) -> Value {
        if self.is_done {
            return self.item;
        }
        let mut item = match self.item {
            Value::Object(item) => item,
            _ => self.guessed(),
        };
        if !self.content.is_empty() {
            let mut parts = self.content;
            parts.sort_by_key(|(index, _, _)| *index);
            let parts: Vec<Value> =
                parts.into_iter().map(|(_, kind, text)| part(kind, text)).collect();
            item.insert("content".into(), parts.into());
        }
        if !self.summary.is_empty() {
            let mut parts = self.summary;
            parts.sort_by_key(|(index, _)| *index);
            let parts: Vec<Value> =
                parts.into_iter().map(|(_, text)| part("summary_text", text)).collect();
            item.insert("summary".into(), parts.into());
        }
        if let Some((name, text)) = self.member {
            item.insert(name.into(), text.into());
        }
        Value::Object(item)
    }

    /// An item whose first event was lost.
    fn guessed(&self) -> Map<String, Value> {
        let kind = match (&self.member, self.summary.is_empty()) {
            (Some(("arguments", _)), _) => "function_call",
            (Some(("code", _)), _) => "code_interpreter_call",
            (Some(_), _) => "custom_tool_call",
            (None, false) => "reasoning",
            (None, true) => "message",
        };
        Map::from_iter([("type".to_owned(), Value::from(kind))])
    }
}

fn part(kind: &str, text: String) -> Value {
    match kind {
        "refusal" => json!({ "type": kind, "refusal": text }),
        "output_text" => json!({ "type": kind, "text": text, "annotations": [] }),
        _ => json!({ "type": kind, "text": text }),
    }
}

//! Streams of chat completions and of legacy completions.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::borrowed::{Choice, Chunk, Delta, Function, Text, ToolCall};
use super::merge::{accumulate, accumulate_member, accumulate_verdicts};
use super::{Budget, Step};

/// Longest chunk that is remembered while a stream is open; chunks are a few hundred bytes long.
const REMEMBERED_BYTES_MAX: usize = 2 << 10;
/// Most choices, and most tool calls of one choice.
const ENTRIES_MAX: usize = 1024;

/// Joins one stream of chunks.
#[derive(Debug)]
pub(crate) struct ChatJoin {
    is_legacy: bool,
    id: Option<Value>,
    model: Option<Value>,
    created: Option<Value>,
    choices: Vec<(u32, ChoiceJoin)>,
    prompt_filter_results: Option<Box<RawValue>>,
    usage: Option<Value>,
    others: Map<String, Value>,
    /// The chunk read last, unless it says more than text.
    last: Option<TextChunk>,
}

/// A chunk that may come again with another text: all else it says is known then, and it is not parsed.
/// Nearly every chunk is one.
#[derive(Debug)]
struct TextChunk {
    data: String,
    /// Where its text stands in it, without the quotes.
    text: Range<usize>,
    choice: u32,
}

#[derive(Debug, Default)]
struct ChoiceJoin {
    role: String,
    text: String,
    refusal: Option<String>,
    tool_calls: Vec<(u32, ToolCallJoin)>,
    function_call: Option<FunctionJoin>,
    finish_reason: Option<String>,
    logprobs: Value,
    content_filter_results: Verdicts,
    /// Members of the message that are not known by name.
    message: Map<String, Value>,
    /// Members of the choice that are not known by name.
    others: Map<String, Value>,
}

/// Verdicts of content filters. Nearly every chunk repeats them: they stay a text, which takes a tenth of the
/// memory, until others come.
#[derive(Debug, Default)]
struct Verdicts {
    before: Value,
    last: String,
}

#[derive(Debug, Default)]
struct ToolCallJoin {
    id: String,
    kind: String,
    function: Option<FunctionJoin>,
    others: Map<String, Value>,
}

#[derive(Debug, Default)]
struct FunctionJoin {
    name: String,
    arguments: String,
}

impl ChatJoin {
    pub(crate) fn new(is_legacy: bool) -> Self {
        Self {
            is_legacy,
            id: None,
            model: None,
            created: None,
            choices: Vec::new(),
            prompt_filter_results: None,
            usage: None,
            others: Map::new(),
            last: None,
        }
    }

    /// Takes an event if it is like the one before.
    pub(crate) fn like_the_last(&mut self, data: &[u8], budget: &mut Budget) -> bool {
        let Some(last) = &self.last else { return false };
        let Some(text) = last.text_of(data) else { return false };
        let Some(join) = entry(&mut self.choices, last.choice) else { return false };
        budget.append(&mut join.text, text);
        true
    }

    pub(crate) fn event(&mut self, data: &str, budget: &mut Budget) -> Step {
        self.last = None;
        if let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(data) {
            self.last = TextChunk::new(&chunk, data);
            return self.chunk(chunk, data, budget);
        }
        // Some servers bend the types; what can be made to fit is taken.
        let Ok(mut value) = serde_json::from_str::<Value>(data) else { return Step::Malformed };
        mend(&mut value);
        let mended = value.to_string();
        match serde_json::from_str::<Chunk<'_>>(&mended) {
            Ok(chunk) => self.chunk(chunk, &mended, budget),
            Err(_) => Step::Malformed,
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, data: &str, budget: &mut Budget) -> Step {
        if chunk.error.is_some() {
            return Step::Error(serde_json::from_str(data).unwrap_or_default());
        }
        if chunk.choices.is_none() && chunk.usage.is_none() && chunk.id.is_none() {
            return Step::Malformed;
        }
        // A prompt annotation comes first and has empty ids and a zero time.
        first(&mut self.id, chunk.id);
        first(&mut self.model, chunk.model);
        first(&mut self.created, chunk.created);
        if let Some(usage) = chunk.usage {
            self.usage = serde_json::from_str(usage.get()).ok();
        }
        for (key, raw) in &chunk.others {
            self.other(key, raw, budget);
        }
        for choice in chunk.choices.into_iter().flatten() {
            let index = choice.index.unwrap_or(0);
            if let Some(join) = entry(&mut self.choices, index) {
                join.add(choice, budget);
            }
        }
        Step::Taken
    }

    fn other(&mut self, key: &Text<'_>, raw: &RawValue, budget: &mut Budget) {
        let key = key.0.as_ref();
        if matches!(key, "prompt_filter_results" | "prompt_annotations") {
            if budget.take(raw.get().len()) {
                self.prompt_filter_results = Some(raw.to_owned());
            }
            return;
        }
        let text = raw.get();
        let is_known = self.others.get(key).and_then(Value::as_str);
        let is_same = is_known.is_some_and(|known| text.get(1..text.len() - 1) == Some(known));
        if text == "null" || is_same || !budget.take(text.len()) {
            return;
        }
        if let Ok(value) = serde_json::from_str(text) {
            self.others.insert(key.to_owned(), value);
        }
    }

    /// The answer as it would have been without streaming, in Azure's order of members.
    pub(crate) fn finish(mut self) -> Value {
        self.choices.sort_by_key(|(index, _)| *index);
        let is_legacy = self.is_legacy;
        let choices: Vec<Value> = self
            .choices
            .into_iter()
            .map(|(index, choice)| choice.finish(index, is_legacy))
            .collect();
        let mut body = Map::new();
        body.insert("choices".into(), choices.into());
        body.insert("created".into(), self.created.unwrap_or_default());
        body.insert("id".into(), self.id.unwrap_or_default());
        body.insert("model".into(), self.model.unwrap_or_default());
        let object = if is_legacy { "text_completion" } else { "chat.completion" };
        body.insert("object".into(), object.into());
        let results = self.prompt_filter_results.filter(|raw| raw.get() != "null");
        if let Some(results) = results.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
            body.insert("prompt_filter_results".into(), results);
        }
        let fingerprint = self.others.remove("system_fingerprint");
        body.insert("system_fingerprint".into(), fingerprint.unwrap_or_default());
        body.extend(self.others);
        if let Some(usage) = self.usage {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }
}

impl TextChunk {
    /// None if something else in it adds up with what other chunks say.
    fn new(chunk: &Chunk<'_>, data: &str) -> Option<Self> {
        let [choice] = &chunk.choices.as_ref()?[..] else { return None };
        let delta = choice.delta.as_ref()?;
        let Cow::Borrowed(text) = delta.content.as_ref()?.0 else { return None };
        let adds_up = choice.text.is_some()
            || choice.logprobs.is_some()
            || !choice.others.is_empty()
            || delta.refusal.is_some()
            || delta.tool_calls.is_some()
            || delta.function_call.is_some()
            || !delta.others.is_empty();
        if adds_up || chunk.error.is_some() || data.len() > REMEMBERED_BYTES_MAX {
            return None;
        }
        let from = text.as_ptr().addr() - data.as_ptr().addr();
        let text = from..from + text.len();
        Some(Self { data: data.to_owned(), text, choice: choice.index.unwrap_or(0) })
    }

    /// The text of a chunk that differs from this one in its text alone.
    fn text_of<'a>(&self, data: &'a [u8]) -> Option<&'a str> {
        let (before, behind) = (&self.data[..self.text.start], &self.data[self.text.end..]);
        let text = data.strip_prefix(before.as_bytes())?.strip_suffix(behind.as_bytes())?;
        let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
        let text = text.iter().all(is_plain).then_some(text)?;
        std::str::from_utf8(text).ok()
    }
}

/// Keeps the first value that says something.
fn first(kept: &mut Option<Value>, raw: Option<&RawValue>) {
    if kept.is_some() {
        return;
    }
    if let Some(raw) = raw
        && !matches!(raw.get(), "\"\"" | "null" | "0")
    {
        *kept = serde_json::from_str(raw.get()).ok();
    }
}

/// The entry of this index; none if there are too many already.
fn entry<T: Default>(entries: &mut Vec<(u32, T)>, index: u32) -> Option<&mut T> {
    let at = match entries.iter().position(|(known, _)| *known == index) {
        Some(at) => at,
        None if entries.len() >= ENTRIES_MAX => return None,
        None => {
            // Nearly always the only one, and large: a stream that is open holds no room for three more.
            if entries.is_empty() {
                entries.reserve_exact(1);
            }
            entries.push((index, T::default()));
            entries.len() - 1
        }
    };
    Some(&mut entries[at].1)
}

impl ChoiceJoin {
    fn add(&mut self, choice: Choice<'_>, budget: &mut Budget) {
        if let Some(delta) = choice.delta {
            self.delta(delta, budget);
        }
        if let Some(text) = choice.text {
            budget.append(&mut self.text, &text.0);
        }
        if let Some(reason) = choice.finish_reason {
            self.finish_reason = Some(reason.0.into_owned());
        }
        if let Some(raw) = choice.logprobs {
            add_raw(raw, budget, |value| accumulate(&mut self.logprobs, value));
        }
        if let Some(raw) = choice.content_filter_results {
            self.content_filter_results.add(raw.get());
        }
        for (key, raw) in choice.others {
            add_raw(raw, budget, |value| accumulate_member(&mut self.others, &key.0, value));
        }
    }

    fn delta(&mut self, delta: Delta<'_>, budget: &mut Budget) {
        if let Some(content) = delta.content {
            budget.append(&mut self.text, &content.0);
        }
        if let Some(role) = delta.role
            && self.role.is_empty()
        {
            self.role = role.0.into_owned();
        }
        if let Some(refusal) = delta.refusal {
            budget.append(self.refusal.get_or_insert_default(), &refusal.0);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            let index = call.index.unwrap_or(0);
            if let Some(join) = entry(&mut self.tool_calls, index) {
                join.add(call, budget);
            }
        }
        if let Some(function) = delta.function_call {
            self.function_call.get_or_insert_default().add(function, budget);
        }
        for (key, raw) in delta.others {
            add_raw(raw, budget, |value| accumulate_member(&mut self.message, &key.0, value));
        }
    }

    fn finish(self, index: u32, is_legacy: bool) -> Value {
        let mut choice = Map::new();
        let verdicts = self.content_filter_results.finish();
        if !verdicts.is_null() {
            choice.insert("content_filter_results".into(), verdicts);
        }
        choice.insert("finish_reason".into(), self.finish_reason.into());
        choice.insert("index".into(), index.into());
        choice.insert("logprobs".into(), self.logprobs);
        if is_legacy {
            choice.insert("text".into(), self.text.into());
            choice.extend(self.others);
            return Value::Object(choice);
        }
        let mut message = Map::new();
        let stands_for_text = self.refusal.is_some()
            || !self.tool_calls.is_empty()
            || self.function_call.is_some()
            || self.message.contains_key("audio");
        let content = (!self.text.is_empty() || !stands_for_text).then_some(self.text);
        message.insert("content".into(), content.into());
        let role = if self.role.is_empty() { "assistant".to_owned() } else { self.role };
        message.insert("role".into(), role.into());
        if let Some(refusal) = self.refusal {
            message.insert("refusal".into(), refusal.into());
        }
        if !self.tool_calls.is_empty() {
            let mut calls = self.tool_calls;
            calls.sort_by_key(|(index, _)| *index);
            let calls: Vec<Value> = calls.into_iter().map(|(_, call)| call.finish()).collect();
            message.insert("tool_calls".into(), calls.into());
        }
        if let Some(function) = self.function_call {
            message.insert("function_call".into(), function.finish());
        }
        message.extend(self.message);
        choice.insert("message".into(), message.into());
        for (key, value) in self.others {
            // Some servers repeat the whole message at the end; ours is the one that passed.
            choice.entry(key).or_insert(value);
        }
        Value::Object(choice)
    }
}

impl Verdicts {
    fn add(&mut self, raw: &str) {
        if raw != self.last {
            self.join_last();
            raw.clone_into(&mut self.last);
        }
    }

    fn join_last(&mut self) {
        if let Ok(verdicts) = serde_json::from_str(&self.last) {
            accumulate_verdicts(&mut self.before, verdicts);
        }
    }

    fn finish(mut self) -> Value {
        self.join_last();
        self.before
    }
}

impl ToolCallJoin {
    fn add(&mut self, call: ToolCall<'_>, budget: &mut Budget) {
        for (kept, text) in [(&mut self.id, call.id), (&mut self.kind, call.kind)] {
            if let Some(text) = text
                && kept.is_empty()
            {
                budget.append(kept, &text.0);
            }
        }
        if let Some(function) = call.function {
            self.function.get_or_insert_default().add(function, budget);
        }
        for (key, raw) in call.others {
            add_raw(raw, budget, |value| accumulate_member(&mut self.others, &key.0, value));
        }
    }

    fn finish(self) -> Value {
        let mut call = Map::new();
        if let Some(function) = self.function {
            call.insert("function".into(), function.finish());
        }
        call.insert("id".into(), self.id.into());
        let kind = if self.kind.is_empty() { "function".to_owned() } else { self.kind };
        call.insert("type".into(), kind.into());
        call.extend(self.others);
        Value::Object(call)
    }
}

impl FunctionJoin {
    fn add(&mut self, function: Function<'_>, budget: &mut Budget) {
        if let Some(name) = function.name {
            budget.append(&mut self.name, &name.0);
        }
        if let Some(arguments) = function.arguments {
            budget.append(&mut self.arguments, &arguments.0);
        }
    }

    fn finish(self) -> Value {
        let mut function = Map::new();
        function.insert("arguments".into(), self.arguments.into());
        function.insert("name".into(), self.name.into());
        Value::Object(function)
    }
}

fn add_raw(raw: &RawValue, budget: &mut Budget, add: impl FnOnce(Value)) {
    if raw.get() != "null"
        && budget.take(raw.get().len())
        && let Ok(value) = serde_json::from_str(raw.get())
    {
        add(value);
    }
}

/// Bends what has a wrong type into shape, or takes it out.
fn mend(chunk: &mut Value) {
    let Some(choices) = chunk.get_mut("choices") else { return };
    let Some(list) = choices.as_array_mut() else {
        *choices = Value::Null;
        return;
    };
    list.retain(Value::is_object);
    for choice in list {
        keep(choice, "index", |value| value.as_u64().is_some_and(|n| u32::try_from(n).is_ok()));
        for key in ["text", "finish_reason"] {
            keep(choice, key, Value::is_string);
        }
        keep(choice, "delta", Value::is_object);
        let Some(delta) = choice.get_mut("delta") else { continue };
        if let Some(content) = delta.get_mut("content").filter(|content| content.is_array()) {
            *content = parts_text(content).into();
        }
        for key in ["role", "content", "refusal"] {
            keep(delta, key, Value::is_string);
        }
        keep(delta, "function_call", is_function);
        keep(delta, "tool_calls", |calls| {
            calls.as_array().is_some_and(|calls| calls.iter().all(is_tool_call))
        });
    }
}

/// The text of a list of content parts.
fn parts_text(parts: &Value) -> String {
    let parts = parts.as_array().into_iter().flatten();
    parts.filter_map(|part| part.get("text").and_then(Value::as_str).or(part.as_str())).collect()
}

fn is_tool_call(call: &Value) -> bool {
    let is = |key, fits: fn(&Value) -> bool| call.get(key).is_none_or(|v| v.is_null() || fits(v));
    call.is_object()
        && is("index", |index| index.as_u64().is_some_and(|n| u32::try_from(n).is_ok()))
        && is("id", Value::is_string)
        && is("type", Value::is_string)
        && is("function", is_function)
}

fn is_function(function: &Value) -> bool {
    let text = |key| function.get(key).is_none_or(|v| v.is_null() || v.is_string());
    function.is_object() && text("name") && text("arguments")
}

fn keep(object: &mut Value, key: &str, fits: impl Fn(&Value) -> bool) {
    if let Some(value) = object.get_mut(key)
        && !fits(value)
    {
        *value = Value::Null;
    }
}

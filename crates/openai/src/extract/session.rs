//! WebSocket sessions, realtime or responses: what was said, by message, as they pass.
//!
//! Whole messages come in the order in which they passed. Answers are taken from the event that ends
//! a response; deltas count only where no such event came. Audio is not looked into.

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::content::{Speaker, tool_definitions};
use super::{Direction, Extraction, parameters, responses};
use crate::assemble::type_of;
use crate::{Tree, Usage, UsageSource};

/// Most text that one session keeps; what is said beyond it is left out and marked.
pub const SESSION_TEXT_BYTES_MAX: usize = 8 << 20;
/// Most errors kept of one session.
const ERRORS_MAX: usize = 32;
/// Most answers that are rebuilt from deltas at once.
const PARTIALS_MAX: usize = 256;

/// A session, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// What it holds; its parts stand in the order in which they were said.
    pub extraction: Extraction,
    /// The `error` objects of the backend's error events and failed responses.
    pub errors: Vec<Value>,
    /// Texts were left out because there were too many.
    pub is_truncated: bool,
}

/// Reads a session message by message.
#[derive(Debug, Default)]
pub struct SessionReader {
    out: Extraction,
    errors: Vec<Value>,
    partials: Vec<Partial>,
    parameters: Map<String, Value>,
    /// Instructions and tools as they were last set, to tell a change.
    instructions: String,
    tools: Tree,
    responses: u64,
    usage: Option<Usage>,
    text_bytes: usize,
    is_full: bool,
}

/// An answer whose end has not come.
#[derive(Debug)]
struct Partial {
    item_id: String,
    content_index: u64,
    content_type: &'static str,
    text: String,
}

/// What a message of the backend means for whoever counts responses and their cost.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// A response began.
    ResponseStarted,
    /// A response ended; with what it used, if that was told.
    ResponseEnded(Option<Usage>),
    /// Anything else.
    Other,
}

impl SessionEvent {
    /// Reads one whole message of the backend. Most are not parsed at all.
    pub fn read(message: &[u8]) -> Self {
        let names: [&[u8]; 5] = [
            b"response.created",
            b"response.done",
            b"response.completed",
            b"response.incomplete",
            b"response.failed",
        ];
        let is_marked = memmem::find_iter(message, b"\"response.")
            .any(|at| names.iter().any(|name| message[at + 1..].starts_with(name)));
        if !is_marked {
            return Self::Other;
        }
        let Ok(text) = std::str::from_utf8(message) else { return Self::Other };
        match type_of(text).as_deref() {
            Some("response.created") => Self::ResponseStarted,
            Some(name) if is_end(name) => {
                let event: Tree = serde_json::from_str(text).unwrap_or_default();
                Self::ResponseEnded(usage(&event["response"]))
            }
            _ => Self::Other,
        }
    }
}

impl SessionReader {
    /// Takes a whole message of the client.
    pub fn client(&mut self, message: &str) {
        match type_of(message).as_deref() {
            Some("session.update" | "transcription_session.update") => {
                let event = parse(message);
                self.configured(&event["session"]);
            }
            Some("conversation.item.create") => {
                let event = parse(message);
                self.adding(|out| responses::item(out, &event["item"], Direction::Prompt));
            }
            Some("response.create" | "response.steer") => {
                let event = parse(message);
                // The Responses API has its members beside `type`, realtime below `response`.
                let asked = if event["response"].is_object() { &event["response"] } else { &event };
                self.asked(asked);
            }
            _ => {}
        }
    }

    /// Takes a whole message of the backend.
    pub fn server(&mut self, message: &str) {
        let Some(name) = type_of(message) else { return };
        match name.as_ref() {
            "session.created"
            | "session.updated"
            | "transcription_session.created"
            | "transcription_session.updated" => {
                let event = parse(message);
                let session = &event["session"];
                set(&mut self.out.model, &session["model"]);
                set(&mut self.out.provider_id, &session["id"]);
            }
            "conversation.item.input_audio_transcription.completed" => {
                let event = parse(message);
                self.heard(&event);
            }
            "response.text.delta" | "response.output_text.delta" => {
                self.delta(message, "text");
            }
            "response.audio_transcript.delta" | "response.output_audio_transcript.delta" => {
                self.delta(message, "transcript");
            }
            "response.text.done" | "response.output_text.done" => self.done(message, "text"),
            "response.audio_transcript.done" | "response.output_audio_transcript.done" => {
                self.done(message, "transcript");
            }
            name if is_end(name) => {
                let event = parse(message);
                self.ended(&event["response"]);
            }
            "error" => {
                let event = parse(message);
                let error = &event["error"];
                self.fail(if error.is_object() { error } else { &event });
            }
            _ => {}
        }
    }

    /// Bytes of text held.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// From now on texts are left out, for want of memory.
    pub fn leave_out_texts(&mut self) {
        self.is_full = true;
        self.text_bytes -= self.partials.iter().map(|partial| partial.text.len()).sum::<usize>();
        self.partials.clear();
    }

    /// The end of the session.
    pub fn finish(mut self) -> Session {
        let partials = std::mem::take(&mut self.partials);
        self.text_bytes -= partials.iter().map(|partial| partial.text.len()).sum::<usize>();
        for partial in partials {
            self.say(partial);
        }
        let mut parameters = self.parameters;
        parameters.insert("responses".into(), json!(self.responses));
        self.out.request_parameters = Value::Object(parameters);
        self.out.usage = self.usage;
        Session { extraction: self.out, errors: self.errors, is_truncated: self.is_full }
    }

    fn configured(&mut self, session: &Tree) {
        if let Tree::Object(members) = session {
            let known = self.parameters.entry("session").or_insert_with(|| json!({}));
            if let (Value::Object(known), Value::Object(new)) =
                (known, parameters::members(members))
            {
                known.extend(new);
            }
        }
        let said = session["instructions"].as_str().unwrap_or_default();
        if !said.is_empty() && said != self.instructions {
            said.clone_into(&mut self.instructions);
            let speaker = Speaker::prompt("system").of_type("instructions");
            self.adding(|out| speaker.text(out, said));
        }
        let tools = &session["tools"];
        if tools.is_array() && *tools != self.tools {
            self.tools.clone_from(tools);
            self.adding(|out| tool_definitions(out, tools));
        }
    }

    fn asked(&mut self, asked: &Tree) {
        if let Tree::Object(members) = asked
            && let Value::Object(mut new) = parameters::members(members)
        {
            new.retain(|name, _| name != "type" && name != "event_id");
            self.parameters.extend(new);
        }
        if self.out.model.is_empty() {
            set(&mut self.out.model, &asked["model"]);
        }
        self.adding(|out| responses::request_parts(out, asked));
    }

    /// What the caller said, as another model wrote it down.
    fn heard(&mut self, event: &Tree) {
        let transcript = event["transcript"].as_str().unwrap_or_default();
        let speaker = Speaker::prompt("user").of_type("transcript");
        self.adding(|out| speaker.text(out, transcript));
        if let Some(seconds) = event["usage"]["seconds"].as_f64() {
            self.out.audio_seconds = Some(self.out.audio_seconds.unwrap_or(0.0) + seconds);
        }
    }

    fn delta(&mut self, message: &str, content_type: &'static str) {
        let event = parse(message);
        let Some(piece) = event["delta"].as_str() else { return };
        if self.has_room(piece.len())
            && let Some(partial) = self.partial(&event, content_type)
        {
            partial.text.push_str(piece);
            self.text_bytes += piece.len();
        }
    }

    fn done(&mut self, message: &str, content_type: &'static str) {
        let event = parse(message);
        let key = if content_type == "text" { "text" } else { "transcript" };
        let Some(whole) = event[key].as_str() else { return };
        if self.has_room(whole.len())
            && let Some(partial) = self.partial(&event, content_type)
        {
            let before = std::mem::replace(&mut partial.text, whole.to_owned());
            self.text_bytes = self.text_bytes.saturating_sub(before.len()) + whole.len();
        }
    }

    fn partial(&mut self, event: &Tree, content_type: &'static str) -> Option<&mut Partial> {
        let item_id = event["item_id"].as_str()?;
        let content_index = event["content_index"].as_u64().unwrap_or(0);
        let is_it = |partial: &Partial| {
            partial.item_id == item_id
                && partial.content_index == content_index
                && partial.content_type == content_type
        };
        let place = match self.partials.iter().position(is_it) {
            Some(place) => place,
            None if self.partials.len() < PARTIALS_MAX => {
                let (item_id, text) = (item_id.to_owned(), String::new());
                self.partials.push(Partial { item_id, content_index, content_type, text });
                self.partials.len() - 1
            }
            None => return None,
        };
        self.partials.get_mut(place)
    }

    /// A response came to its end.
    fn ended(&mut self, response: &Tree) {
        self.responses += 1;
        set(&mut self.out.model, &response["model"]);
        if self.out.provider_id.is_empty() {
            set(&mut self.out.provider_id, &response["id"]);
        }
        if let Some(used) = usage(response) {
            self.usage = Some(self.usage.map_or(used, |sum| sum.plus(&used)));
        }
        for item in response["output"].as_array().into_iter().flatten() {
            let before = self.out.parts.len();
            self.adding(|out| responses::item(out, item, Direction::Completion));
            let has_text = self.out.parts.len() > before;
            for partial in self.take_partials(item["id"].as_str().unwrap_or_default()) {
                if !has_text {
                    self.say(partial);
                }
            }
        }
        let details = &response["status_details"];
        let reasons = [&response["incomplete_details"]["reason"], &details["reason"]];
        let reason = reasons.into_iter().find_map(Tree::as_str);
        self.out.finished(reason.or(response["status"].as_str()).unwrap_or_default());
        for error in [&response["error"], &details["error"]] {
            if error.is_object() {
                self.fail(error);
            }
        }
    }

    fn take_partials(&mut self, item_id: &str) -> Vec<Partial> {
        let (taken, left): (Vec<_>, Vec<_>) =
            self.partials.drain(..).partition(|partial| partial.item_id == item_id);
        self.partials = left;
        self.text_bytes -= taken.iter().map(|partial| partial.text.len()).sum::<usize>();
        taken
    }

    fn say(&mut self, partial: Partial) {
        let speaker = Speaker::completion("assistant", 0).of_type(partial.content_type);
        self.adding(|out| speaker.text(out, &partial.text));
    }

    /// Adds parts and counts their text; what is too much is taken out again.
    fn adding(&mut self, add: impl FnOnce(&mut Extraction)) {
        if self.is_full {
            return;
        }
        let before = self.out.parts.len();
        add(&mut self.out);
        let added = self.out.parts[before..].iter().map(|part| part.content.len()).sum();
        if self.has_room(added) {
            self.text_bytes += added;
        } else {
            self.out.parts.truncate(before);
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.is_full |= self.text_bytes + bytes > SESSION_TEXT_BYTES_MAX;
        !self.is_full
    }

    fn fail(&mut self, error: &Tree) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error.into());
        }
    }
}

fn is_end(name: &str) -> bool {
    matches!(
        name,
        "response.done"
            | "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled"
    )
}

fn usage(response: &Tree) -> Option<Usage> {
    Usage::read(&response["usage"], UsageSource::FinalChunk)
}

fn parse(message: &str) -> Tree {
    serde_json::from_str(message).unwrap_or_default()
}

fn set(text: &mut String, value: &Tree) {
    if let Some(told) = value.as_str().filter(|told| !told.is_empty()) {
        told.clone_into(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/sessions");

    /// Lines of `> ` from the client and `< ` from the backend, then `----` and what they hold.
    #[test]
    fn sessions_hold_what_was_said() {
        let mut seen = 0;
        for entry in std::fs::read_dir(DATA).expect("the folder") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a session");
            let (messages, expected) = text.split_once("----\n").expect("two halves");
            let found = shown(messages);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, format!("{messages}----\n{found}")).expect("written");
            } else {
                assert_eq!(found, expected, "{}", path.display());
            }
            seen += 1;
        }
        assert!(seen >= 4, "{seen}");
    }

    fn shown(messages: &str) -> String {
        use std::fmt::Write as _;
        let mut reader = SessionReader::default();
        let mut events = Vec::new();
        for line in messages.lines() {
            match line.split_once(' ') {
                Some((">", message)) => reader.client(message),
                Some(("<", message)) => {
                    reader.server(message);
                    match SessionEvent::read(message.as_bytes()) {
                        SessionEvent::Other => {}
                        SessionEvent::ResponseStarted => events.push("started".to_owned()),
                        SessionEvent::ResponseEnded(usage) => {
                            let total = usage.and_then(|usage| usage.total);
                            events.push(format!("ended {total:?}"));
                        }
                    }
                }
                _ => panic!("neither > nor <: {line}"),
            }
        }
        let Session { extraction, errors, is_truncated } = reader.finish();
        let mut out = String::new();
        for part in &extraction.parts {
            let (direction, role, name) = (part.direction.name(), &part.role, &part.name);
            writeln!(out, "{direction} {role} {} {name:?}: {}", part.content_type, part.content)
                .expect("a string");
        }
        let usage = extraction.usage.map(|u| {
            [u.prompt, u.completion, u.total, u.cached, u.audio_prompt, u.audio_completion]
        });
        let Extraction { model, provider_id, finish_reason, request_parameters, .. } = extraction;
        writeln!(out, "model {model}, id {provider_id}, finish {finish_reason}").expect("a string");
        writeln!(out, "usage {usage:?}\nparameters {request_parameters}").expect("a string");
        writeln!(out, "errors {errors:?}, truncated {is_truncated}").expect("a string");
        writeln!(out, "events {events:?}").expect("a string");
        out
    }

    #[test]
    fn a_session_without_end_holds_bounded_text() {
        let mut reader = SessionReader::default();
        let piece = "x".repeat(1 << 20);
        let item = json!({"type": "conversation.item.create", "item": {"type": "message",
            "role": "user", "content": [{"type": "input_text", "text": piece}]}});
        let delta = json!({"type": "response.output_text.delta", "item_id": "i", "delta": piece});
        for _ in 0..12 {
            reader.client(&item.to_string());
            reader.server(&delta.to_string());
            assert!(reader.text_bytes() <= SESSION_TEXT_BYTES_MAX);
        }
        let session = reader.finish();
        assert!(session.is_truncated);
        let kept: usize = session.extraction.parts.iter().map(|part| part.content.len()).sum();
        assert!(kept > SESSION_TEXT_BYTES_MAX / 4 && kept <= SESSION_TEXT_BYTES_MAX, "{kept}");
    }
}

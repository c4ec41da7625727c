//! Joins a stream of server-sent events into the answer it stands for, as if it had not been streamed.
//!
//! Chat and completions become the `choices` they would have had; responses the response object of
//! the terminal event, or one rebuilt from the deltas if the stream broke; runs of assistants an
//! object `thread.run.stream` with `run`, `messages` and `steps` as the API would list them, and the
//! run's `usage`, `model` and ids at its top; transcriptions their text; speech its size; images the
//! completed ones. Other streams are listed event by event.

mod assistants;
mod borrowed;
mod chat;
mod media;
mod merge;
mod responses;

use serde_json::{Value, json};

use crate::output::is_output;
use crate::sse::SseParser;
use crate::{Kind, SseEvent};
use assistants::AssistantsJoin;
pub(crate) use borrowed::type_of;
use chat::ChatJoin;
use media::{ImagesJoin, SpeechJoin, TranscriptionJoin};
use responses::ResponsesJoin;

/// Most bytes of text, arguments and raw JSON kept of one stream; what is over it is left out and
/// [`Assembled::truncated`] says so.
pub const ASSEMBLED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a stream ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Terminated {
    /// By `data: [DONE]`.
    Done,
    /// By the event of this name, after which nothing is due.
    TerminalEvent(String),
    /// By an error event.
    Error,
    /// It broke off.
    #[default]
    Cut,
}

/// A stream, joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assembled {
    /// The equivalent answer without streaming.
    pub body: Value,
    /// A usage object came with the stream; it stands in the body.
    pub has_usage: bool,
    /// How it ended.
    pub terminated: Terminated,
    /// The error that the stream carried, whole.
    pub error: Option<Value>,
    /// Events seen, `[DONE]` included.
    pub events: u64,
    /// Events that were no JSON or not of the expected shape.
    pub malformed_events: u64,
    /// Events dropped because of their size.
    pub oversized_events: u64,
    /// Text over [`ASSEMBLED_BYTES_MAX`] was left out.
    pub truncated: bool,
}

/// Joins one stream.
#[derive(Debug)]
pub struct StreamAssembler {
    parser: SseParser,
    joined: Joined,
}

/// All but the parser, which lends its events to it.
#[derive(Debug)]
struct Joined {
    join: Join,
    budget: Budget,
    terminated: Terminated,
    error: Option<Value>,
    events: u64,
    malformed_events: u64,
    has_output: bool,
}

#[derive(Debug)]
enum Join {
    Chat(Box<ChatJoin>),
    Responses(Box<ResponsesJoin>),
    Assistants(Box<AssistantsJoin>),
    Transcription(TranscriptionJoin),
    Speech(SpeechJoin),
    Images(ImagesJoin),
    Other(Vec<Value>),
}

/// What an event meant beside its content.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing more.
    Taken,
    /// It ends the stream.
    Terminal,
    /// It is an error, whole.
    Error(Value),
    /// It is not what it should be.
    Malformed,
}

/// How much may still be kept.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    truncated: bool,
}

impl Budget {
    pub(crate) const fn new(left: usize) -> Self {
        Self { left, truncated: false }
    }

    /// Whether so many bytes may be kept; they are taken off.
    pub(crate) const fn take(&mut self, bytes: usize) -> bool {
        if self.truncated || bytes > self.left {
            self.truncated = true;
            return false;
        }
        self.left -= bytes;
        true
    }

    pub(crate) fn append(&mut self, target: &mut String, text: &str) {
        if self.take(text.len()) {
            target.push_str(text);
        }
    }
}

impl StreamAssembler {
    /// An assembler for answers of this kind.
    pub fn new(kind: Kind, subkind: &str) -> Self {
        Self::with_limit(kind, subkind, ASSEMBLED_BYTES_MAX)
    }

    /// An assembler that keeps at most so many bytes.
    pub fn with_limit(kind: Kind, subkind: &str, bytes_max: usize) -> Self {
        let join = match kind {
            Kind::Chat if subkind == "responses" => Join::Responses(Box::default()),
            Kind::Chat => Join::Chat(Box::new(ChatJoin::new(false))),
            Kind::Completion => Join::Chat(Box::new(ChatJoin::new(true))),
            Kind::Assistants => Join::Assistants(Box::default()),
            Kind::SpeechToText => Join::Transcription(TranscriptionJoin::default()),
            Kind::TextToSpeech => Join::Speech(SpeechJoin::default()),
            Kind::Image => Join::Images(ImagesJoin::default()),
            _ => Join::Other(Vec::new()),
        };
        let joined = Joined {
            join,
            budget: Budget::new(bytes_max),
            terminated: Terminated::Cut,
            error: None,
            events: 0,
            malformed_events: 0,
            has_output: false,
        };
        Self { parser: SseParser::new(), joined }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { parser, joined } = self;
        parser.push(bytes, |event| joined.take(event));
    }

    /// Output of the model has come, as [`FirstOutput`](crate::FirstOutput) finds it.
    pub fn has_output(&self) -> bool {
        self.joined.has_output
    }

    /// The stream has ended.
    pub fn finish(mut self) -> Assembled {
        let Self { parser, joined } = &mut self;
        parser.finish(|event| joined.take(event));
        let oversized_events = self.parser.oversized();
        let joined = self.joined;
        let body = joined.join.finish(joined.error.as_ref());
        let error = joined.error.or_else(|| failure(&body));
        Assembled {
            has_usage: body.get("usage").is_some_and(Value::is_object),
            body,
            terminated: joined.terminated,
            error,
            events: joined.events,
            malformed_events: joined.malformed_events,
            oversized_events,
            truncated: joined.budget.truncated || oversized_events > 0,
        }
    }
}

impl Joined {
    fn take(&mut self, event: SseEvent<'_>) {
        self.events += 1;
        self.has_output = self.has_output || is_output(event);
        if let Join::Chat(join) = &mut self.join
            && event.name.is_empty()
            && join.like_the_last(event.data, &mut self.budget)
        {
            return;
        }
        if event.data.trim_ascii() == b"[DONE]" {
            if self.terminated == Terminated::Cut {
                self.terminated = Terminated::Done;
            }
            return;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (Some(name), Some(data)) = (text(event.name), text(event.data)) else {
            self.malformed_events += 1;
            return;
        };
        match self.join.event(name, data, &mut self.budget) {
            Step::Taken => {}
            Step::Terminal => self.terminated = Terminated::TerminalEvent(event_type(name, data)),
            Step::Error(error) => {
                self.terminated = Terminated::Error;
                self.error.get_or_insert(error);
            }
            Step::Malformed => self.malformed_events += 1,
        }
    }
}

impl Join {
    fn event(&mut self, name: &str, data: &str, budget: &mut Budget) -> Step {
        match self {
            Self::Chat(join) => join.event(data, budget),
            Self::Responses(join) => join.event(name, data, budget),
            Self::Assistants(join) => join.event(name, data, budget),
            Self::Transcription(join) => join.event(name, data, budget),
            Self::Speech(join) => join.event(name, data),
            Self::Images(join) => join.event(name, data, budget),
            Self::Other(events) => other(events, name, data, budget),
        }
    }

    fn finish(self, error: Option<&Value>) -> Value {
        let mut body = match self {
            Self::Chat(join) => join.finish(),
            Self::Responses(join) => join.finish(),
            Self::Assistants(join) => join.finish(),
            Self::Transcription(join) => join.finish(),
            Self::Speech(join) => join.finish(),
            Self::Images(join) => join.finish(),
            Self::Other(events) => json!({ "events": events }),
        };
        if let (Some(error), Value::Object(members)) = (error, &mut body)
            && members.get("error").is_none_or(Value::is_null)
        {
            let inner = error.get("error").filter(|inner| inner.is_object()).unwrap_or(error);
            members.insert("error".into(), inner.clone());
        }
        body
    }
}

/// The error of an answer that ended by saying that it failed.
fn failure(body: &Value) -> Option<Value> {
    let failed = ["/error", "/run/last_error"];
    failed.iter().find_map(|pointer| body.pointer(pointer)).filter(|e| e.is_object()).cloned()
}

/// An event of a stream of unknown shape is listed as it is.
fn other(events: &mut Vec<Value>, name: &str, data: &str, budget: &mut Budget) -> Step {
    let data_value = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
    let step = error_in(name, &data_value).map_or(Step::Taken, Step::Error);
    if budget.take(data.len() + name.len()) {
        events.push(json!({ "event": name, "data": data_value }));
    }
    step
}

/// The name of an event: that of its `event` line, or else its `type`.
fn event_type(name: &str, data: &str) -> String {
    if name.is_empty() { borrowed::type_of(data).unwrap_or_default() } else { name.to_owned() }
}

/// The whole event, if it is an error.
pub(crate) fn error_in(name: &str, data: &Value) -> Option<Value> {
    let is_error = name == "error"
        || data.get("type").and_then(Value::as_str) == Some("error")
        || data.get("error").is_some_and(|error| error.is_object() || error.is_string())
            && data.get("object").is_none();
    is_error.then(|| data.clone())
}

#[cfg(test)]
mod tests;

//! What an interaction holds: prompts, answers, usage, ids, parameters, verdicts.
//!
//! Everything is read leniently: what is missing or of a wrong type is left out, nothing fails.

mod assistants;
mod chat;
mod content;
mod files;
mod media;
mod messages;
mod parameters;
mod prompt;
mod responses;
mod session;
mod text;
mod usage;
mod verdicts;

use serde_json::Value;

pub use messages::{request_messages, response_messages};
pub use prompt::prompt_tokens;
pub use session::{SESSION_TEXT_BYTES_MAX, Session, SessionEvent, SessionReader};
pub use usage::{Usage, UsageSource};

use crate::{Body, Kind, PathIds, Tokenizer, Tree};

/// Most parts of one interaction; further ones are left out.
pub const PARTS_MAX: usize = 100_000;

/// An interaction, read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Kind of its operation.
    pub kind: Kind,
    /// Sub-kind of its operation.
    pub subkind: &'a str,
    /// Canonical operation id.
    pub operation_id: &'a str,
    /// Ids in its path.
    pub path_ids: &'a PathIds<'a>,
    /// Deployment called; empty if none.
    pub deployment: &'a str,
    /// What was sent.
    pub request: &'a Body,
    /// What was answered; of a stream the assembled body.
    pub response: &'a Body,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// The answer was streamed.
    pub streamed: bool,
    /// For token ids and estimates.
    pub tokenizer: &'a Tokenizer,
}

impl<'a> Input<'a> {
    /// A member of the request's JSON; null if there is none.
    fn asked(&self, key: &str) -> &'a Tree {
        member(self.request.json(), key)
    }

    /// A member of the answer's JSON; null if there is none.
    fn told(&self, key: &str) -> &'a Tree {
        member(self.response.json(), key)
    }

    /// The model by whose vocabulary texts are counted: the answer names it best.
    fn vocabulary_model(&self) -> &'a str {
        let named = [self.told("model"), self.asked("model")];
        named.into_iter().find_map(Tree::as_str).unwrap_or(self.deployment)
    }

    const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

const NULL: &Tree = &Tree::Null;

/// The member at the end of a path of members.
fn at<'a>(value: &'a Tree, path: &[&str]) -> Option<&'a Tree> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn member<'a>(object: Option<&'a Tree>, key: &str) -> &'a Tree {
    object.and_then(|object| object.get(key)).unwrap_or(NULL)
}

/// Which way a part went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// To the model.
    #[default]
    Prompt,
    /// From the model.
    Completion,
}

impl Direction {
    /// The name as it stands in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Completion => "completion",
        }
    }
}

/// One part of a prompt or an answer: a row of `Messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Which way it went.
    pub direction: Direction,
    /// `system`, `user`, `assistant` and so on; empty where there are no roles.
    pub role: String,
    /// One of the content types of the table `Messages`.
    pub content_type: &'static str,
    /// The text; of images, audio and files their URL or a reference.
    pub content: String,
    /// Name of the tool or participant.
    pub name: String,
    /// Choice or input it belongs to, from 0.
    pub choice_index: i32,
}

/// What an interaction holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extraction {
    /// Prompts first, then the answer.
    pub parts: Vec<Part>,
    /// Tokens; none where none are known.
    pub usage: Option<Usage>,
    /// The usage belongs to what an earlier call made, as when a run is looked up: whoever adds up
    /// usage must count it once.
    pub usage_is_repeated: bool,
    /// How urgently it was served, as the answer tells: `priority`, `batch`; empty if it is the usual way.
    pub service_tier: String,
    /// Model named by the answer, or else by the request; empty if by neither.
    pub model: String,
    /// Id given by the model service; empty if none.
    pub provider_id: String,
    /// Why the answer ended; several are joined by commas.
    pub finish_reason: String,
    /// Request parameters without prompt text: an object, or null without a request body.
    pub request_parameters: Value,
    /// Verdicts of the content filter: JSON text of an object with `prompt` and `completion`, or empty.
    pub content_filter: String,
    /// Thread; empty if none.
    pub thread_id: String,
    /// Run; empty if none.
    pub run_id: String,
    /// Assistant; empty if none.
    pub assistant_id: String,
    /// Images in the answer.
    pub images: Option<i32>,
    /// Seconds of audio, where the answer tells.
    pub audio_seconds: Option<f64>,
}

impl Extraction {
    fn push(&mut self, part: Part) {
        if self.parts.len() < PARTS_MAX {
            self.parts.push(part);
        }
    }

    /// Adds a reason why the answer ended, once.
    fn finished(&mut self, reason: &str) {
        let is_under_way = matches!(reason, "" | "queued" | "in_progress" | "cancelling");
        if is_under_way || self.finish_reason.split(',').any(|known| known == reason) {
            return;
        }
        if !self.finish_reason.is_empty() {
            self.finish_reason.push(',');
        }
        self.finish_reason.push_str(reason);
    }
}

/// Reads everything that an interaction holds. What is malformed is left out; it never fails.
pub fn extract(input: &Input<'_>) -> Extraction {
    let mut out = Extraction {
        model: model(input),
        provider_id: input.told("id").as_str().unwrap_or_default().to_owned(),
        request_parameters: parameters::read(input),
        content_filter: verdicts::read(input),
        service_tier: service_tier(input),
        ..Extraction::default()
    };
    match (input.kind, input.subkind) {
        (Kind::Chat, "responses") => responses::read(input, &mut out),
        (Kind::Chat, "conversation") => responses::read_conversation(input, &mut out),
        (Kind::Chat, _) => chat::read(input, &mut out),
        (Kind::Completion, _) => text::read_completion(input, &mut out),
        (Kind::Embedding, _) => text::read_embedding(input, &mut out),
        (Kind::Image, _) => media::read_image(input, &mut out),
        (Kind::SpeechToText, _) => media::read_transcription(input, &mut out),
        (Kind::TextToSpeech, _) => media::read_speech(input, &mut out),
        (Kind::Assistants, "vector-store") => text::read_search(input, &mut out),
        (Kind::Assistants, _) => assistants::read(input, &mut out),
        (Kind::Files | Kind::Batch | Kind::FineTune, _) => files::read(input, &mut out),
        (Kind::Realtime, _) => text::read_session(input, &mut out),
        (Kind::Management | Kind::Other, _) => text::read_other(input, &mut out),
    }
    usage::read(input, &mut out);
    // Lists of messages have them mixed; within a direction their order stays.
    out.parts.sort_by_key(|part| part.direction == Direction::Completion);
    out
}

fn service_tier(input: &Input<'_>) -> String {
    if input.kind == Kind::Batch {
        return "batch".into();
    }
    let told = input.told("service_tier").as_str().unwrap_or_default();
    if matches!(told, "default" | "auto") { String::new() } else { told.to_owned() }
}

/// The model that answered; the deployment's name is not one.
fn model(input: &Input<'_>) -> String {
    let told = [input.told("model"), input.told("run").get("model").unwrap_or(NULL)];
    told.into_iter()
        .find_map(Tree::as_str)
        .or_else(|| input.asked("model").as_str())
        .or_else(|| input.asked("session").get("model")?.as_str())
        .or_else(|| input.request.field("model"))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests;

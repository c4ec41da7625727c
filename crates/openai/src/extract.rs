//! What an interaction holds: prompts, answers, usage, ids, parameters, verdicts.

use serde_json::Value;

use crate::{Body, Kind, PathIds, Tokenizer};

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
    /// Status of the answer.
    pub status: u16,
    /// The answer was streamed.
    pub streamed: bool,
    /// For token ids and estimates.
    pub tokenizer: &'a Tokenizer,
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

/// Where token counts come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageSource {
    /// The answer said so.
    #[default]
    Reported,
    /// The last chunk of the stream said so.
    FinalChunk,
    /// Counted here, since the provider told none.
    Estimated,
}

impl UsageSource {
    /// The name as it stands in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::FinalChunk => "final_chunk",
            Self::Estimated => "estimated",
        }
    }
}

/// Tokens used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Input tokens.
    pub prompt: Option<i64>,
    /// Output tokens.
    pub completion: Option<i64>,
    /// All tokens.
    pub total: Option<i64>,
    /// Input tokens the provider had cached.
    pub cached: Option<i64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<i64>,
    /// Audio input tokens.
    pub audio_prompt: Option<i64>,
    /// Audio output tokens.
    pub audio_completion: Option<i64>,
    /// Seconds of audio or video billed.
    pub seconds: Option<f64>,
    /// Where the counts come from.
    pub source: UsageSource,
}

/// What an interaction holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extraction {
    /// Prompts first, then the answer.
    pub parts: Vec<Part>,
    /// Tokens; none where none are known.
    pub usage: Option<Usage>,
    /// Model named by the answer, or else by the request; empty if by neither.
    pub model: String,
    /// Id given by the model service; empty if none.
    pub provider_id: String,
    /// Why the answer ended; several are joined by commas.
    pub finish_reason: String,
    /// Request parameters without prompt text: an object, or null without a request body.
    pub request_parameters: Value,
    /// Verdicts of the content filter: an object with `prompt` and `completion`, or null.
    pub content_filter: Value,
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

/// Reads everything that an interaction holds. What is malformed is left out; it never fails.
pub fn extract(input: &Input<'_>) -> Extraction {
    let _ = input;
    Extraction::default()
}

/// The request's messages as a JSON list of `{role, content}`; empty text if it has none.
pub fn request_messages(extraction: &Extraction) -> String {
    let _ = extraction;
    String::new()
}

/// The answer's messages as a JSON list of `{role, content}`; empty text if it has none.
pub fn response_messages(extraction: &Extraction) -> String {
    let _ = extraction;
    String::new()
}

//! What a chat completion will say, before its first byte is written.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Deployment;
use crate::filter::Filter;
use crate::text::Answer;

/// Tokens a call of a tool costs beside its arguments.
const TOOL_CALL_TOKENS: u64 = 7;

/// Everything known before the first byte of the answer is written.
pub(crate) struct Plan<'a> {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) model: String,
    pub(crate) fingerprint: &'a str,
    pub(crate) filter: Filter,
    pub(crate) azure: bool,
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Usage,
    pub(crate) include_usage: bool,
    pub(crate) logprobs: bool,
    pub(crate) audio: bool,
    pub(crate) is_priority: bool,
    pub(crate) no_usage: bool,
    pub(crate) duplicate_usage: bool,
}

/// One of the answers.
pub(crate) struct Choice {
    pub(crate) said: Said,
    pub(crate) finish: &'static str,
}

/// What an answer consists of.
pub(crate) enum Said {
    /// Words.
    Text(Answer),
    /// A call of a tool: id, name, arguments.
    Tool(String, String, Answer),
    /// A call of a function, in the old form: name, arguments.
    Function(String, Answer),
}

impl Plan<'_> {
    /// As answers name it.
    pub(crate) fn service_tier(&self) -> &'static str {
        if self.is_priority { "priority" } else { "default" }
    }
}

impl Said {
    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Text(answer) => answer.tokens(),
            Self::Tool(_, _, answer) | Self::Function(_, answer) => {
                answer.tokens() + TOOL_CALL_TOKENS
            }
        }
    }
}

/// The figures of chat answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) completion: u64,
    pub(crate) reasoning: u64,
}

impl Usage {
    pub(crate) fn value(&self) -> Value {
        json!({
            "completion_tokens": self.completion,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": self.reasoning,
                "rejected_prediction_tokens": 0,
            },
            "prompt_tokens": self.prompt,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": self.cached},
            "total_tokens": self.prompt + self.completion,
        })
    }

    /// The same as text, for the fast path.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self { prompt, cached, completion, reasoning } = self;
        let total = prompt + completion;
        let written = write!(
            out,
            "{{\"completion_tokens\":{completion},\"completion_tokens_details\":{{\"accepted_prediction_tokens\":0,\"audio_tokens\":0,\"reasoning_tokens\":{reasoning},\"rejected_prediction_tokens\":0}},\"prompt_tokens\":{prompt},\"prompt_tokens_details\":{{\"audio_tokens\":0,\"cached_tokens\":{cached}}},\"total_tokens\":{total}}}"
        );
        written.expect("writing to memory does not fail");
    }
}

pub(crate) fn logprob(index: u64) -> f64 {
    -0.01 - (index % 7) as f64 / 64.0
}

//! Tokens: as told, or counted.

use crate::Tree;

use super::{Direction, Extraction, Input};

/// Texts longer than this are not counted token by token; a quarter of their bytes is taken.
const COUNTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Operations whose missing usage is estimated.
const ESTIMATED: [&str; 5] = [
    "ChatCompletions_Create",
    "ExtensionsChatCompletions_Create",
    "Completions_Create",
    "Embeddings_Create",
    "Create_Response",
];

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

impl Usage {
    /// Reads a usage object of any of the APIs. None if it holds no counts.
    pub fn read(usage: &Tree, source: UsageSource) -> Option<Self> {
        let number = |keys: &[&str]| keys.iter().find_map(|key| count(usage.get(key)?));
        let detail = |keys: &[&str], name: &str| {
            keys.iter().find_map(|key| count(usage.get(key)?.get(name)?))
        };
        // A run's usage really has the singular, transcriptions have another one.
        let input = [
            "prompt_tokens_details",
            "prompt_token_details",
            "input_tokens_details",
            "input_token_details",
        ];
        let output = [
            "completion_tokens_details",
            "completion_token_details",
            "output_tokens_details",
            "output_token_details",
        ];
        let prompt = number(&["prompt_tokens", "input_tokens"]);
        let completion = number(&["completion_tokens", "output_tokens"]);
        let sum = || match (prompt, completion) {
            (None, None) => None,
            (prompt, completion) => {
                Some(prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0)))
            }
        };
        let usage = Self {
            prompt,
            completion,
            total: number(&["total_tokens"]).or_else(sum),
            cached: detail(&input, "cached_tokens"),
            reasoning: detail(&output, "reasoning_tokens"),
            audio_prompt: detail(&input, "audio_tokens"),
            audio_completion: detail(&output, "audio_tokens"),
            seconds: usage.get("seconds").and_then(Tree::as_f64),
            source,
        };
        (usage.total.is_some() || usage.seconds.is_some()).then_some(usage)
    }

    /// Both together: what several responses of one session used.
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        Self {
            prompt: sum(self.prompt, other.prompt),
            completion: sum(self.completion, other.completion),
            total: sum(self.total, other.total),
            cached: sum(self.cached, other.cached),
            reasoning: sum(self.reasoning, other.reasoning),
            audio_prompt: sum(self.audio_prompt, other.audio_prompt),
            audio_completion: sum(self.audio_completion, other.audio_completion),
            seconds: match (self.seconds, other.seconds) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
            },
            source: self.source,
        }
    }
}

/// A count: never negative, and whole even where a server writes `12.0`.
fn count(value: &Tree) -> Option<i64> {
    let whole = || {
        let number = value.as_f64()?;
        // Numbers up to 2^53 are exact.
        (number.fract() == 0.0 && (0.0..9.0e15).contains(&number)).then_some(number as i64)
    };
    value.as_i64().filter(|count| *count >= 0).or_else(whole)
}

pub(crate) fn read(input: &Input<'_>, out: &mut Extraction) {
    let source = if input.streamed { UsageSource::FinalChunk } else { UsageSource::Reported };
    let told = Usage::read(input.told("usage"), source);
    out.usage_is_repeated = told.is_some() && is_lookup(input.operation_id);
    out.usage = told.or_else(|| counted(input));
    if out.usage.is_none() && input.is_success() {
        out.usage = estimate(input, out);
    }
}

/// Counting input tokens is an operation of its own.
fn counted(input: &Input<'_>) -> Option<Usage> {
    let prompt = count(input.told("input_tokens"))?;
    Some(Usage { prompt: Some(prompt), total: Some(prompt), ..Usage::default() })
}

/// An operation that shows what an earlier one made.
fn is_lookup(operation_id: &str) -> bool {
    let starts = |prefix: &str| {
        operation_id.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    ["Get_", "List_", "StoredCompletion_", "Modify_", "Cancel_", "cancelResponse", "Batch_"]
        .iter()
        .any(|prefix| starts(prefix))
}

pub(super) fn estimate(input: &Input<'_>, out: &Extraction) -> Option<Usage> {
    let id = input.operation_id;
    if !ESTIMATED.iter().any(|known| known.eq_ignore_ascii_case(id)) {
        return None;
    }
    let model = input.vocabulary_model();
    let tokens = |text: &str| match text.len() {
        bytes if bytes > COUNTED_BYTES_MAX => bytes / 4,
        _ => input.tokenizer.count(model, text),
    };
    let has_roles = input.kind == crate::Kind::Chat;
    let (mut prompt, mut completion) = (0, 0);
    for part in &out.parts {
        // Images and files cost by size and detail, which a count of their names would not tell.
        if matches!(part.content_type, "image" | "audio" | "file") {
            continue;
        }
        match part.direction {
            Direction::Prompt if has_roles => {
                prompt += 3 + tokens(&part.role) + tokens(&part.content)
            }
            Direction::Prompt => prompt += tokens(&part.content),
            Direction::Completion => completion += tokens(&part.content),
        }
    }
    if has_roles && prompt > 0 {
        prompt += 3;
    }
    let whole = |tokens: usize| i64::try_from(tokens).unwrap_or(i64::MAX);
    let is_embedding = input.kind == crate::Kind::Embedding;
    Some(Usage {
        prompt: Some(whole(prompt)),
        completion: (!is_embedding).then(|| whole(completion)),
        total: Some(whole(prompt).saturating_add(whole(completion))),
        source: UsageSource::Estimated,
        ..Usage::default()
    })
}

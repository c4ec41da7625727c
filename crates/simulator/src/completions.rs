//! Legacy completions: every form of prompt, echo, several choices, streamed or not.

use serde_json::{Map, Value, json};

use crate::call::{Call, Reply, model_label};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::filter::Filter;
use crate::models::{self, Task};
use crate::plan::logprob;
use crate::script::{Deltas, Lane, PIECE, Script, Segment};
use crate::text::{Answer, Words, mix};
use crate::tokens::Prompt;

/// What is generated when no limit is given.
const DEFAULT_TOKENS: u64 = 16;
/// Most choices in one answer.
const CHOICES_MAX: u64 = 128;

struct Choice {
    answer: Answer,
    finish: &'static str,
}

/// `POST completions`.
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Completion)?;
    let prompts = prompts(call)?;
    let filter = Filter::inspect(call)?;
    let n = call.number("n", 1, CHOICES_MAX)?.unwrap_or(1);
    let best_of = call.number("best_of", 1, CHOICES_MAX)?.unwrap_or(n);
    let max = call.number("max_tokens", 0, u64::from(u32::MAX))?.unwrap_or(DEFAULT_TOKENS);
    let mut choices = Vec::new();
    let mut spoken = 0;
    for (text, prompt) in &prompts {
        for index in 0..n {
            let seed = mix(prompt.hash, index);
            let wanted = call.sim_tokens().unwrap_or(12 + seed % 24);
            let (tokens, finish) = if filter.cuts {
                (wanted / 2, "content_filter")
            } else if wanted > max && call.sim_tokens().is_none() {
                (max, "length")
            } else {
                (wanted, "stop")
            };
            spoken += tokens;
            let words = Words { seed, tokens };
            let answer = if call.flag("echo") {
                echo(text, &Answer::Words(words))
            } else {
                Answer::Words(words)
            };
            choices.push(Choice { answer, finish });
        }
    }
    let asked: u64 = prompts.iter().map(|(_, prompt)| prompt.tokens).sum();
    let mut head = Map::new();
    head.insert("id".into(), json!(call.instance.id("cmpl-")));
    head.insert("object".into(), json!("text_completion"));
    head.insert("created".into(), json!(call.now));
    head.insert("model".into(), json!(model_label(&deployment)));
    let usage = json!({"completion_tokens": spoken, "prompt_tokens": asked, "total_tokens": asked + spoken, "prompt_tokens_details": {"cached_tokens": call.cached_tokens(asked)}});
    let writer = Writer {
        call,
        head,
        usage,
        filter,
        prompts: prompts.len(),
        logprobs: call.field("logprobs").is_some(),
    };
    let reply = if call.flag("stream") {
        writer.stream(&choices)
    } else {
        writer.whole(&choices).after(spoken)
    };
    let chars: u64 = prompts.iter().map(|(_, prompt)| prompt.chars).sum();
    let used = call.tokens_used(&model_label(&deployment), asked, spoken);
    models::charge(call, &deployment, chars / 4 + max * best_of, reply.using(used))
}

/// Each prompt with its text (empty when it came as token ids).
fn prompts(call: &Call<'_>) -> Result<Vec<(String, Prompt)>, Failure> {
    let empty = json!("<|endoftext|>");
    let value = call.field("prompt").unwrap_or(&empty);
    let one = |text: &str| {
        let mut prompt = call.prompt();
        prompt.add(text);
        (text.to_owned(), prompt)
    };
    let ids = |ids: &[Value]| {
        let mut prompt = call.prompt();
        prompt.add_ids(ids);
        (String::new(), prompt)
    };
    let bad = || {
        Failure::invalid(
            "prompt",
            "expected a string, a list of strings, token ids or a list of them",
        )
    };
    match value {
        Value::String(text) => Ok(vec![one(text)]),
        Value::Array(items) if items.is_empty() => Err(bad()),
        Value::Array(items) if items.iter().all(Value::is_u64) => Ok(vec![ids(items)]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(one(text)),
                Value::Array(list) if list.iter().all(Value::is_u64) => Ok(ids(list)),
                _ => Err(bad()),
            })
            .collect(),
        _ => Err(bad()),
    }
}

/// The prompt, then the answer. Echoed answers are written out, so their length is limited.
fn echo(prompt: &str, answer: &Answer) -> Answer {
    let Answer::Words(words) = answer else { return answer.clone() };
    let words = Words { tokens: words.tokens.min(100_000), ..*words };
    Answer::Literal(std::iter::once(prompt.to_owned()).chain(pieces(&words)).collect())
}

fn pieces(words: &Words) -> impl Iterator<Item = String> {
    let words = *words;
    (0..words.tokens).map(move |index| {
        let mut piece = Vec::new();
        words.push(index, &mut piece);
        String::from_utf8(piece).expect("the words are ASCII")
    })
}

struct Writer<'a> {
    call: &'a Call<'a>,
    head: Map<String, Value>,
    usage: Value,
    filter: Filter,
    prompts: usize,
    logprobs: bool,
}

impl Writer<'_> {
    fn whole(&self, choices: &[Choice]) -> Reply {
        let list: Vec<Value> = choices
            .iter()
            .enumerate()
            .map(|(index, choice)| self.choice(index, choice.answer.for_json(), Some(choice)))
            .collect();
        let mut value = self.head.clone();
        value.insert("choices".into(), Value::Array(list));
        if self.filter.annotates {
            value.insert("prompt_filter_results".into(), self.filter.prompt_results(self.prompts));
        }
        if !self.call.faults.has(&Fault::NoUsage) {
            value.insert("usage".into(), self.usage.clone());
        }
        Reply::json_line(self.call.dialect(), &Value::Object(value))
    }

    fn stream(&self, choices: &[Choice]) -> Reply {
        let mut script = Script::default();
        if self.filter.annotates {
            let results = self.filter.prompt_results(self.prompts);
            let head = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results});
            script.event(None, &head);
        }
        let lanes = choices
            .iter()
            .enumerate()
            .map(|(index, choice)| {
                let event = self.event(json!([self.choice(index, PIECE.to_owned(), None)]));
                Lane::new("data: ", &event, "\n\n", choice.answer.clone(), 1)
            })
            .collect();
        script.push(Segment::Deltas(Deltas::new(lanes, 0)));
        for (index, choice) in choices.iter().enumerate() {
            script
                .event(None, &self.event(json!([self.choice(index, String::new(), Some(choice))])));
        }
        let options =
            self.call.field("stream_options").and_then(|options| options.get("include_usage"));
        if options == Some(&Value::Bool(true)) && !self.call.faults.has(&Fault::NoUsage) {
            let mut event = self.event(json!([]));
            event["usage"] = self.usage.clone();
            script.event(None, &event);
        }
        script.push_bytes(&b"data: [DONE]\n\n"[..]);
        Reply::stream(script)
    }

    fn event(&self, choices: Value) -> Value {
        let mut value = self.head.clone();
        value.insert("choices".into(), choices);
        Value::Object(value)
    }

    fn choice(&self, index: usize, text: String, end: Option<&Choice>) -> Value {
        let logprobs = match end {
            Some(choice) if self.logprobs && !text.is_empty() => logprobs(&choice.answer),
            _ => Value::Null,
        };
        let mut value = json!({"text": text, "index": index, "finish_reason": end.map(|choice| choice.finish), "logprobs": logprobs});
        if self.filter.annotates {
            value["content_filter_results"] = self.filter.choice_results();
        }
        value
    }
}

/// The old form of probabilities, for at most 2,048 tokens.
fn logprobs(answer: &Answer) -> Value {
    let tokens: Vec<String> = match answer {
        Answer::Words(words) => {
            pieces(&Words { tokens: words.tokens.min(2048), ..*words }).collect()
        }
        Answer::Literal(pieces) => pieces.iter().take(2048).cloned().collect(),
    };
    let mut offsets = Vec::with_capacity(tokens.len());
    let mut at = 0;
    for token in &tokens {
        offsets.push(at);
        at += token.chars().count();
    }
    let probabilities: Vec<f64> = (0..tokens.len() as u64).map(logprob).collect();
    json!({"tokens": tokens, "token_logprobs": probabilities, "top_logprobs": null, "text_offset": offsets})
}

//! Where a streamed answer begins to say something: what comes before is who answers, verdicts on the
//! prompt, and that work has begun.

use crate::sse::SseParser;
use crate::{SseEvent, Tree};

/// Longer events are passed over: the first of a stream are short.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Looks for the first event of a stream that holds output of the model.
#[derive(Debug)]
pub struct FirstOutput {
    parser: SseParser,
    is_found: bool,
}

impl Default for FirstOutput {
    fn default() -> Self {
        Self { parser: SseParser::with_limit(EVENT_BYTES_MAX), is_found: false }
    }
}

impl FirstOutput {
    /// Takes the next bytes of the stream; true once output has come.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Self { parser, is_found } = self;
        if !*is_found {
            parser.push(bytes, |event| *is_found |= is_output(event));
        }
        *is_found
    }
}

/// Deltas and partial images are named after what they are; chunks of chat and of completions have no name.
pub(crate) fn is_output(event: SseEvent<'_>) -> bool {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (Some(name), Some(data)) = (text(event.name), text(event.data)) else { return false };
    let is_piece = |name: &str| name.ends_with(".delta") || name.ends_with(".partial_image");
    if !name.is_empty() {
        return is_piece(name);
    }
    let Ok(data) = serde_json::from_str::<Tree>(data) else { return false };
    match data["type"].as_str() {
        None | Some("") => data["choices"].as_array().into_iter().flatten().any(says_something),
        Some(name) => is_piece(name),
    }
}

fn says_something(choice: &Tree) -> bool {
    let is_text = |value: &Tree| value.as_str().is_some_and(|text| !text.is_empty());
    let says = |delta: &[(String, Tree)]| {
        delta.iter().any(|(member, value)| match member.as_str() {
            // Who speaks, and what Azure looked up before anybody spoke.
            "role" | "context" => false,
            _ => {
                is_text(value)
                    || value.is_object()
                    || value.as_array().is_some_and(|list| !list.is_empty())
            }
        })
    };
    choice.get("text").is_some_and(is_text)
        || choice.get("delta").and_then(Tree::as_object).is_some_and(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the events is the first with output, cut into pieces anywhere.
    fn first(events: &[&str]) -> Option<usize> {
        let mut output = FirstOutput::default();
        events.iter().position(|event| {
            let (start, end) = event.split_at(event.len() / 2);
            output.push(start.as_bytes());
            output.push(end.as_bytes())
        })
    }

    #[test]
    fn a_chat_begins_with_its_first_word_or_tool_call() {
        let verdicts =
            "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n";
        let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\
                    \"content_filter_results\":{}}]}\n\n";
        let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
        let tool = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n";
        let end =
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        assert_eq!(first(&[verdicts, role, word, end]), Some(2));
        assert_eq!(first(&[role, tool, end]), Some(1));
        assert_eq!(first(&[verdicts, role, end]), None);
    }

    #[test]
    fn other_streams_begin_with_their_first_delta() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
        let delta = "event: response.output_text.delta\ndata: {\"delta\":\"a\"}\n\n";
        assert_eq!(first(&[created, delta]), Some(1));
        assert_eq!(first(&[created]), None);
        let unnamed = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n";
        assert_eq!(first(&[unnamed]), Some(0));
        let run = "event: thread.run.created\ndata: {}\n\n";
        let message = "event: thread.message.delta\ndata: {}\n\n";
        assert_eq!(first(&[run, message]), Some(1));
        let legacy = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
        assert_eq!(first(&["data: {\"choices\":[{\"text\":\"\"}]}\n\n", legacy]), Some(1));
        assert_eq!(first(&["data: no JSON\n\n"]), None);
    }
}

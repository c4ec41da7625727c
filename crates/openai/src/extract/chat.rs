//! Chat completions, those stored too.

use crate::Tree;

use super::content::{Speaker, tool_calls, tool_definitions};
use super::{Direction, Extraction, Input, at};

pub(crate) fn read(input: &Input<'_>, out: &mut Extraction) {
    if let Some(request) = input.request.json() {
        request_parts(out, request);
    }
    let Some(response) = input.response.json() else { return };
    answer_parts(out, response);
    // A list of stored completions, or of the messages of one.
    for (number, entry) in response["data"].as_array().into_iter().flatten().enumerate() {
        if entry.get("choices").is_some() {
            answer_parts(out, entry);
        } else {
            // They are the messages of the stored request.
            message(out, Direction::Prompt, index(number), entry);
        }
    }
}

/// The prompt of a chat request.
pub(crate) fn request_parts(out: &mut Extraction, request: &Tree) {
    messages(out, &request["messages"], 0);
    tool_definitions(out, &request["tools"]);
    tool_definitions(out, &request["functions"]);
    for source in request["data_sources"].as_array().into_iter().flatten() {
        // Its parameters hold keys: only what it is and what it searches is a part of the prompt.
        let kind = source["type"].as_str().unwrap_or_default();
        let place = at(source, &["parameters", "index_name"]).and_then(Tree::as_str);
        let text = format!("{kind} {}", place.unwrap_or_default());
        Speaker::prompt("").named(kind).say(out, "tool_definition", text.trim().to_owned());
    }
}

/// A list of messages that were sent.
pub(crate) fn messages(out: &mut Extraction, messages: &Tree, choice_index: i32) {
    for entry in messages.as_array().into_iter().flatten() {
        message(out, Direction::Prompt, choice_index, entry);
    }
}

/// The choices of an answer.
pub(crate) fn answer_parts(out: &mut Extraction, answer: &Tree) {
    for (number, choice) in answer["choices"].as_array().into_iter().flatten().enumerate() {
        let told = choice["index"].as_i64().and_then(|index| i32::try_from(index).ok());
        let choice_index = told.unwrap_or_else(|| index(number));
        message(out, Direction::Completion, choice_index, &choice["message"]);
        // Azure's first form of chat on own data.
        for entry in choice["messages"].as_array().into_iter().flatten() {
            message(out, Direction::Completion, choice_index, entry);
        }
        out.finished(choice["finish_reason"].as_str().unwrap_or_default());
    }
}

fn message(out: &mut Extraction, direction: Direction, choice_index: i32, message: &Tree) {
    let text = |key: &str| message.get(key).and_then(Tree::as_str).unwrap_or_default();
    let told = text("role");
    let role =
        if told.is_empty() && direction == Direction::Completion { "assistant" } else { told };
    let is_result = matches!(role, "tool" | "function");
    let name = if text("name").is_empty() { text("tool_call_id") } else { text("name") };
    let speaker = Speaker {
        direction,
        role,
        name,
        text_type: if is_result { "tool_result" } else { "text" },
        choice_index,
    };
    for key in ["reasoning_content", "reasoning"] {
        speaker.say(out, "reasoning", text(key).to_owned());
    }
    speaker.content(out, &message["content"]);
    speaker.say(out, "refusal", text("refusal").to_owned());
    let transcript = at(message, &["audio", "transcript"]).and_then(Tree::as_str);
    speaker.say(out, "transcript", transcript.unwrap_or_default().to_owned());
    tool_calls(out, speaker, message);
    if message["context"].is_object() {
        speaker.named("context").say(out, "text", message["context"].to_string());
    }
}

fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

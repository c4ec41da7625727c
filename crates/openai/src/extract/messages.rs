//! Prompts and answers as lists of `{role, content}`, as Azure's LLM log shows them.

use serde_json::{Map, Value};

use super::{Direction, Extraction, Part};

/// The request's messages as a JSON list of `{role, content}`; empty text if it has none.
pub fn request_messages(extraction: &Extraction) -> String {
    list(extraction, Direction::Prompt)
}

/// The answer's messages as a JSON list of `{role, content}`; empty text if it has none.
pub fn response_messages(extraction: &Extraction) -> String {
    list(extraction, Direction::Completion)
}

fn list(extraction: &Extraction, direction: Direction) -> String {
    let messages: Vec<Value> = extraction
        .parts
        .iter()
        .filter(|part| part.direction == direction && part.content_type != "tool_definition")
        .map(message)
        .collect();
    if messages.is_empty() { String::new() } else { Value::from(messages).to_string() }
}

/// What is not plain text tells its type, so that a tool call is not taken for an answer.
fn message(part: &Part) -> Value {
    let mut message = Map::new();
    let role = match (part.role.as_str(), part.direction) {
        ("", Direction::Prompt) => "user",
        ("", Direction::Completion) => "assistant",
        (role, _) => role,
    };
    message.insert("role".into(), role.into());
    message.insert("content".into(), part.content.as_str().into());
    if part.content_type != "text" {
        message.insert("type".into(), part.content_type.into());
    }
    if !part.name.is_empty() {
        message.insert("name".into(), part.name.as_str().into());
    }
    Value::Object(message)
}

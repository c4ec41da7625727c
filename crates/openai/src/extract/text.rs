//! Completions, embeddings, searches, moderation and other operations on plain text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::content::{Speaker, tool_definitions};
use super::{Extraction, Input, NULL, at};
use crate::Tree;

pub(crate) fn read_completion(input: &Input<'_>, out: &mut Extraction) {
    inputs(input, out, input.asked("prompt"), "text");
    Speaker::prompt("").named("suffix").content(out, input.asked("suffix"));
    let choices = input.told("choices").as_array();
    for (at, choice) in choices.into_iter().flatten().enumerate() {
        let told = choice["index"].as_i64().and_then(|index| i32::try_from(index).ok());
        let index = told.unwrap_or_else(|| i32::try_from(at).unwrap_or(i32::MAX));
        Speaker::completion("", index).content(out, &choice["text"]);
        out.finished(choice["finish_reason"].as_str().unwrap_or_default());
    }
}

pub(crate) fn read_embedding(input: &Input<'_>, out: &mut Extraction) {
    let asked = input.asked("input");
    let has_images = |list: &[Tree]| list.iter().any(Tree::is_object);
    match asked.as_array().filter(|list| has_images(list)) {
        // Image embeddings have pairs of image and text.
        Some(list) => {
            for (at, entry) in list.iter().enumerate() {
                let speaker = Speaker {
                    choice_index: i32::try_from(at).unwrap_or(i32::MAX),
                    ..Speaker::prompt("").of_type("embedding_input")
                };
                speaker.content(out, &entry["text"]);
                if let Some(image) = entry["image"].as_str() {
                    speaker.say(out, "image", super::content::reference(image));
                }
            }
        }
        None => inputs(input, out, asked, "embedding_input"),
    }
    let vectors = input.told("data").as_array();
    let (Some(vectors), Value::Object(parameters)) = (vectors, &mut out.request_parameters) else {
        return;
    };
    parameters.insert("embedding_count".into(), json!(vectors.len()));
    let dimensions = match vectors.first().map(|first| &first["embedding"]) {
        Some(Tree::Array(vector)) => Some(vector.len()),
        // Little-endian 32 bit numbers.
        Some(Tree::String(text)) => BASE64_STANDARD.decode(text).ok().map(|bytes| bytes.len() / 4),
        _ => None,
    };
    if let Some(dimensions) = dimensions {
        parameters.insert("embedding_dimensions".into(), json!(dimensions));
    }
}

/// The forms a prompt can have: text, texts, token ids, lists of token ids.
fn inputs(input: &Input<'_>, out: &mut Extraction, asked: &Tree, text_type: &'static str) {
    let model = input.vocabulary_model();
    let mut say = |at: usize, text: String| {
        let choice_index = i32::try_from(at).unwrap_or(i32::MAX);
        Speaker { choice_index, ..Speaker::prompt("") }.say(out, text_type, text);
    };
    let decoded = |ids: &Tree| {
        token_ids(ids)
            .and_then(|ids| input.tokenizer.decode(model, &ids))
            .unwrap_or_else(|| ids.to_string())
    };
    match asked {
        Tree::String(text) => say(0, text.clone()),
        Tree::Array(list) if list.first().is_some_and(Tree::is_number) => say(0, decoded(asked)),
        Tree::Array(list) => {
            for (at, entry) in list.iter().enumerate() {
                match entry {
                    Tree::String(text) => say(at, text.clone()),
                    Tree::Array(_) => say(at, decoded(entry)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn token_ids(ids: &Tree) -> Option<Vec<u32>> {
    ids.as_array()?.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
}

/// Searches in vector stores and the contents of their files.
pub(crate) fn read_search(input: &Input<'_>, out: &mut Extraction) {
    Speaker::prompt("user").content(out, input.asked("query"));
    let found = input.told("data").as_array();
    for (at, entry) in found.into_iter().flatten().enumerate() {
        let index = i32::try_from(at).unwrap_or(i32::MAX);
        let name = entry["filename"].as_str().unwrap_or_default();
        let speaker = Speaker::completion("", index).named(name);
        match &entry["content"] {
            Tree::Null if entry["text"].is_string() => speaker.content(out, entry),
            content => speaker.content(out, content),
        }
    }
}

/// Realtime sessions being set up; what passes in them is read by a `SessionReader`.
pub(crate) fn read_session(input: &Input<'_>, out: &mut Extraction) {
    let session = input.asked("session");
    let session = if session.is_object() { Some(session) } else { input.request.json() };
    let Some(session) = session else { return };
    Speaker::prompt("system").of_type("instructions").content(out, &session["instructions"]);
    tool_definitions(out, &session["tools"]);
}

/// Moderation, videos, evals, graders, models.
pub(crate) fn read_other(input: &Input<'_>, out: &mut Extraction) {
    let asked = input.asked("input");
    if input.subkind == "moderation" {
        match asked {
            Tree::Array(list) if list.iter().any(Tree::is_object) => {
                Speaker::prompt("user").content(out, asked);
            }
            _ => inputs(input, out, asked, "text"),
        }
    }
    let speaker = Speaker::prompt("user");
    speaker.content(out, input.asked("prompt"));
    if let Some(prompt) = input.request.field("prompt") {
        speaker.text(out, prompt);
    }
    let source = input.asked("data_source");
    let template = at(source, &["input_messages", "template"]);
    super::chat::messages(out, template.unwrap_or(NULL), 0);
    let outputs = input.told("data").as_array();
    for entry in outputs.into_iter().flatten() {
        let output = at(entry, &["sample", "output"]).and_then(Tree::as_array);
        for message in output.into_iter().flatten() {
            let role = message["role"].as_str().unwrap_or("assistant");
            Speaker::completion(role, 0).content(out, &message["content"]);
        }
    }
}

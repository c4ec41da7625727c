//! Content as messages of every API have it: a text, or a list of typed parts.

use crate::Tree;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::{Direction, Extraction, Part, at};

/// Whose content is being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker<'a> {
    pub(crate) direction: Direction,
    pub(crate) role: &'a str,
    pub(crate) name: &'a str,
    /// What plain text of this speaker is.
    pub(crate) text_type: &'static str,
    pub(crate) choice_index: i32,
}

impl<'a> Speaker<'a> {
    pub(crate) const fn prompt(role: &'a str) -> Self {
        Self { direction: Direction::Prompt, role, name: "", text_type: "text", choice_index: 0 }
    }

    pub(crate) const fn completion(role: &'a str, choice_index: i32) -> Self {
        let direction = Direction::Completion;
        Self { direction, role, name: "", text_type: "text", choice_index }
    }

    pub(crate) const fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    pub(crate) const fn of_type(self, text_type: &'static str) -> Self {
        Self { text_type, ..self }
    }

    /// Adds a part of this type.
    pub(crate) fn say(&self, out: &mut Extraction, content_type: &'static str, content: String) {
        if !content.is_empty() {
            out.push(Part {
                direction: self.direction,
                role: self.role.to_owned(),
                content_type,
                content,
                name: self.name.to_owned(),
                choice_index: self.choice_index,
            });
        }
    }

    /// Adds plain text.
    pub(crate) fn text(&self, out: &mut Extraction, text: &str) {
        self.say(out, self.text_type, text.to_owned());
    }

    /// Adds whatever a `content` member holds.
    pub(crate) fn content(&self, out: &mut Extraction, content: &Tree) {
        match content {
            Tree::String(text) => self.text(out, text),
            Tree::Array(parts) => parts.iter().for_each(|part| self.part(out, part)),
            Tree::Object(_) => self.part(out, content),
            _ => {}
        }
    }

    fn part(&self, out: &mut Extraction, part: &Tree) {
        if let Some(text) = part.as_str() {
            return self.text(out, text);
        }
        let text = |key: &str| part.get(key).and_then(Tree::as_str).unwrap_or_default();
        match text("type") {
            "text" | "input_text" | "output_text" => self.text(out, value_text(&part["text"])),
            "summary_text" | "reasoning_text" => {
                self.say(out, "reasoning", value_text(&part["text"]).to_owned());
            }
            "refusal" => self.say(out, "refusal", text("refusal").to_owned()),
            "image_url" | "input_image" | "image_file" | "output_image" => {
                self.say(out, "image", image(part));
            }
            "input_audio" | "output_audio" | "audio" => {
                self.say(out, "audio", audio(part));
                self.say(out, "transcript", text("transcript").to_owned());
            }
            "file" | "input_file" => self.say(out, "file", file(part)),
            _ if part.get("text").is_some() => self.text(out, value_text(&part["text"])),
            _ if part.is_object() => self.text(out, &part.to_string()),
            _ => {}
        }
    }
}

/// Text as a string, or as an object with `value`, as assistants have it.
fn value_text(text: &Tree) -> &str {
    text.as_str().or_else(|| text.get("value").and_then(Tree::as_str)).unwrap_or_default()
}

fn image(part: &Tree) -> String {
    for key in ["image_url", "image_file", "image"] {
        match part.get(key) {
            Some(Tree::String(url)) => return reference(url),
            Some(inner @ Tree::Object(_)) => {
                let known = ["url", "file_id"].iter().find_map(|key| inner.get(key)?.as_str());
                return known.map(reference).unwrap_or_default();
            }
            _ => {}
        }
    }
    let id = part.get("file_id").and_then(Tree::as_str);
    id.unwrap_or_default().to_owned()
}

fn audio(part: &Tree) -> String {
    let audio = ["input_audio", "audio"].iter().find_map(|key| part.get(key)).unwrap_or(part);
    let text = |key: &str| audio.get(key).and_then(Tree::as_str);
    match text("data") {
        Some(data) => encoded(&format!("audio/{}", text("format").unwrap_or("unknown")), data),
        None => text("id").or_else(|| text("file_id")).unwrap_or_default().to_owned(),
    }
}

fn file(part: &Tree) -> String {
    let file = part.get("file").unwrap_or(part);
    let text = |key: &str| file.get(key).and_then(Tree::as_str);
    let known = text("file_id").or_else(|| text("file_url")).or_else(|| text("filename"));
    match (text("file_data"), known) {
        (Some(data), Some(name)) => format!("{name};{}", reference(data)),
        (Some(data), None) => reference(data),
        (None, known) => known.unwrap_or_default().to_owned(),
    }
}

/// A URL as it is; of a data URL what it holds, in short.
pub(crate) fn reference(url: &str) -> String {
    let Some((media_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(','))
    else {
        return url.to_owned();
    };
    encoded(media_type.split(';').next().unwrap_or_default(), data)
}

/// What Base64 text holds, in short: type, size and SHA-256.
pub(crate) fn encoded(media_type: &str, data: &str) -> String {
    match BASE64_STANDARD.decode(data) {
        Ok(bytes) => {
            let digest = crate::multipart::hexadecimal(&Sha256::digest(&bytes));
            format!("{media_type};bytes={};sha256={digest}", bytes.len())
        }
        Err(_) => format!("{media_type};base64_bytes={}", data.len()),
    }
}

/// Reads a chat message's tool calls, a `tool_calls` list or a single `function_call`.
pub(crate) fn tool_calls(out: &mut Extraction, speaker: Speaker<'_>, message: &Tree) {
    let calls = message.get("tool_calls").and_then(Tree::as_array);
    for call in calls.into_iter().flatten() {
        tool_call(out, speaker, call);
    }
    if let Some(function) = message.get("function_call").filter(|call| call.is_object()) {
        function_call(out, speaker, function);
    }
}

fn tool_call(out: &mut Extraction, speaker: Speaker<'_>, call: &Tree) {
    if let Some(function) = call.get("function") {
        function_call(out, speaker, function);
        let output = at(call, &["function", "output"]).and_then(Tree::as_str);
        let name = at(call, &["function", "name"]).and_then(Tree::as_str).unwrap_or_default();
        let tool = Speaker { role: "tool", name, ..speaker };
        tool.say(out, "tool_result", output.unwrap_or_default().to_owned());
        return;
    }
    let kind = call.get("type").and_then(Tree::as_str).unwrap_or_default();
    let inner = call.get(kind).unwrap_or(call);
    let input = inner.get("input").and_then(Tree::as_str);
    let name = inner.get("name").and_then(Tree::as_str).unwrap_or(kind);
    let content = input.map_or_else(|| inner.to_string(), str::to_owned);
    speaker.named(name).say(out, "tool_call", content);
    let outputs = inner.get("outputs").and_then(Tree::as_array);
    for output in outputs.into_iter().flatten() {
        let logs = output.get("logs").and_then(Tree::as_str);
        let content = logs.map_or_else(|| output.to_string(), str::to_owned);
        Speaker { role: "tool", name, ..speaker }.say(out, "tool_result", content);
    }
}

fn function_call(out: &mut Extraction, speaker: Speaker<'_>, function: &Tree) {
    let name = function.get("name").and_then(Tree::as_str).unwrap_or_default();
    let arguments = match function.get("arguments") {
        Some(Tree::String(arguments)) if !arguments.is_empty() => arguments.clone(),
        Some(arguments @ Tree::Object(_)) => arguments.to_string(),
        // A call without arguments is still a call.
        _ => "{}".to_owned(),
    };
    speaker.named(name).say(out, "tool_call", arguments);
}

/// Reads definitions of tools or functions.
pub(crate) fn tool_definitions(out: &mut Extraction, tools: &Tree) {
    for tool in tools.as_array().into_iter().flatten() {
        let name = tool_name(tool);
        Speaker::prompt("").named(name).say(out, "tool_definition", tool.to_string());
    }
}

/// The name of a tool, or else its type.
pub(crate) fn tool_name(tool: &Tree) -> &str {
    at(tool, &["function", "name"])
        .or_else(|| tool.get("name"))
        .or_else(|| tool.get("type"))
        .and_then(Tree::as_str)
        .unwrap_or_default()
}

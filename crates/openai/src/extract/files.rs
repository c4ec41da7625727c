//! Files, uploads, batches and fine-tuning: names and purposes, and the prompts and answers inside
//! files of JSON lines.

use super::content::Speaker;
use super::media::file_reference;
use super::{Direction, Extraction, Input, at, chat, responses};
use crate::{Body, Tree};

/// Most lines of a file that are read.
const LINES_MAX: usize = 50_000;

pub(crate) fn read(input: &Input<'_>, out: &mut Extraction) {
    for part in input.request.form().iter().filter(|part| part.file_name.is_some()) {
        Speaker::prompt("user").named(&part.name).say(out, "file", file_reference(part));
        if let Some(text) = &part.text {
            lines(out, text, Direction::Prompt);
        }
    }
    Speaker::prompt("user").say(
        out,
        "file",
        input.asked("content_url").as_str().unwrap_or_default().to_owned(),
    );
    if !input.is_success() || !input.operation_id.eq_ignore_ascii_case("Files_GetContent") {
        return;
    }
    match input.response {
        Body::Text(text) => lines(out, text, Direction::Completion),
        // A file of a single line is JSON by itself.
        Body::Json(value) => line(out, value, Direction::Completion, 0),
        _ => {}
    }
}

/// Lines of a batch's input or output or of training data; the index tells the line.
fn lines(out: &mut Extraction, text: &str, direction: Direction) {
    for (at, text) in text.lines().take(LINES_MAX).enumerate() {
        if let Ok(value) = serde_json::from_str::<Tree>(text) {
            line(out, &value, direction, i32::try_from(at).unwrap_or(i32::MAX));
        }
    }
}

fn line(out: &mut Extraction, line: &Tree, direction: Direction, index: i32) {
    let before = out.parts.len();
    // Answers stand in `/response/body`, requests in `/body`, training data at the top.
    if let Some(answer) = at(line, &["response", "body"]) {
        chat::answer_parts(out, answer);
        responses::answer_parts(out, answer);
    } else {
        let request = line.get("body").unwrap_or(line);
        chat::messages(out, &request["messages"], index);
        Speaker::prompt("user").content(out, &request["input"]);
        Speaker::prompt("user").content(out, &request["prompt"]);
    }
    for part in out.parts.iter_mut().skip(before) {
        part.choice_index = index;
        part.direction = direction;
    }
}

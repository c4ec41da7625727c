//! Images and audio.

use serde_json::{Value, json};

use super::content::{Speaker, encoded, reference};
use super::{Extraction, Input};
use crate::{Body, FormPart, Tree};

pub(crate) fn read_image(input: &Input<'_>, out: &mut Extraction) {
    let speaker = Speaker::prompt("user").of_type("image_prompt");
    speaker.content(out, input.asked("prompt"));
    speaker.text(out, input.request.field("prompt").unwrap_or_default());
    for part in input.request.form().iter().filter(|part| part.file_name.is_some()) {
        speaker.named(&part.name).say(out, "image", file_reference(part));
    }
    // Edits may be sent as JSON too, with URLs, data URLs or file ids.
    for key in ["image", "images", "mask"] {
        let images = input.asked(key);
        let list = images.as_array().unwrap_or(std::slice::from_ref(images));
        for image in list {
            let named = ["image_url", "file_id"].iter().find_map(|key| image.get(key)?.as_str());
            if let Some(url) = image.as_str().or(named) {
                speaker.named(key).say(out, "image", reference(url));
            }
        }
    }
    let result = input.told("result");
    let images = if result.is_object() { &result["data"] } else { input.told("data") };
    let Some(images) = images.as_array() else { return };
    out.images = i32::try_from(images.len()).ok();
    let format = input.told("output_format").as_str().unwrap_or("png");
    for (at, image) in images.iter().enumerate() {
        let speaker = Speaker::completion("assistant", i32::try_from(at).unwrap_or(i32::MAX));
        speaker.of_type("revised_prompt").content(out, &image["revised_prompt"]);
        let content = match (image["url"].as_str(), image["b64_json"].as_str()) {
            (Some(url), _) => reference(url),
            (None, Some(data)) => encoded(&format!("image/{format}"), data),
            (None, None) => continue,
        };
        speaker.say(out, "image", content);
    }
}

pub(crate) fn read_transcription(input: &Input<'_>, out: &mut Extraction) {
    let speaker = Speaker::prompt("user");
    speaker.text(out, input.request.field("prompt").unwrap_or_default());
    for part in input.request.form().iter().filter(|part| part.file_name.is_some()) {
        speaker.say(out, "audio", file_reference(part));
    }
    let transcript = Speaker::completion("", 0).of_type("transcript");
    match input.response {
        // Plain text, or subtitles as they are.
        Body::Text(text) if input.is_success() => transcript.text(out, text),
        Body::Json(answer) => {
            if answer["text"].is_string() {
                transcript.content(out, &answer["text"]);
            } else {
                for segment in answer["segments"].as_array().into_iter().flatten() {
                    transcript.content(out, &segment["text"]);
                }
            }
        }
        _ => {}
    }
    let seconds = [input.told("duration"), &input.told("usage")["seconds"]];
    out.audio_seconds = seconds.into_iter().find_map(seconds_of);
}

/// Some servers tell the duration as text.
fn seconds_of(value: &Tree) -> Option<f64> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

pub(crate) fn read_speech(input: &Input<'_>, out: &mut Extraction) {
    let speaker = Speaker::prompt("user");
    speaker.of_type("speech_input").content(out, input.asked("input"));
    speaker.of_type("speech_input").text(out, input.request.field("input").unwrap_or_default());
    let instructions = Speaker::prompt("system").of_type("instructions");
    instructions.content(out, input.asked("instructions"));
    let audio = match input.response {
        Body::Binary { bytes, content_type } => Some((*bytes, content_type.as_str())),
        Body::Json(answer) => answer["audio_bytes"].as_u64().map(|bytes| (bytes, "audio")),
        _ => None,
    };
    let Some((bytes, content_type)) = audio.filter(|_| input.is_success()) else { return };
    Speaker::completion("assistant", 0).say(out, "audio", format!("{content_type};bytes={bytes}"));
    // Speech is billed by the character.
    if let (Some(text), Value::Object(parameters)) =
        (input.asked("input").as_str(), &mut out.request_parameters)
    {
        parameters.insert("input_characters".into(), json!(text.chars().count()));
    }
}

/// A file of a form, in short: name, size and SHA-256.
pub(crate) fn file_reference(part: &FormPart) -> String {
    let name = part.file_name.as_deref().unwrap_or_default();
    let digest = part.sha256.as_deref().unwrap_or_default();
    format!("{name};bytes={};sha256={digest}", part.bytes)
}

//! Streams of transcriptions, of speech and of images.

use serde_json::{Map, Value, json};

use super::borrowed::{AudioDelta, TextDelta};
use super::merge::accumulate;
use super::{Budget, Step, error_in, event_type};

/// Most segments of a transcript, and most images.
const ENTRIES_MAX: usize = 65_536;

/// Joins a streamed transcription.
#[derive(Debug, Default)]
pub(crate) struct TranscriptionJoin {
    text: String,
    logprobs: Value,
    segments: Vec<Value>,
    done: Option<Map<String, Value>>,
}

impl TranscriptionJoin {
    pub(crate) fn event(&mut self, name: &str, data: &str, budget: &mut Budget) -> Step {
        match event_type(name, data).as_str() {
            "transcript.text.delta" => {
                let Ok(delta) = serde_json::from_str::<TextDelta<'_>>(data) else {
                    return Step::Malformed;
                };
                budget.append(&mut self.text, &delta.delta.unwrap_or_default().0);
                for (key, raw) in delta.others {
                    if key.0 == "logprobs" && budget.take(raw.get().len()) {
                        let more = serde_json::from_str(raw.get()).unwrap_or_default();
                        accumulate(&mut self.logprobs, more);
                    }
                }
                Step::Taken
            }
            "transcript.text.segment" => {
                let Ok(Value::Object(mut segment)) = serde_json::from_str(data) else {
                    return Step::Malformed;
                };
                segment.shift_remove("type");
                if self.segments.len() < ENTRIES_MAX && budget.take(data.len()) {
                    self.segments.push(segment.into());
                }
                Step::Taken
            }
            "transcript.text.done" => {
                let Ok(Value::Object(mut done)) = serde_json::from_str(data) else {
                    return Step::Malformed;
                };
                done.shift_remove("type");
                self.done = Some(done);
                Step::Terminal
            }
            name => unexpected(name, data),
        }
    }

    pub(crate) fn finish(self) -> Value {
        let mut body = Map::new();
        let segments_text = || {
            let texts = self.segments.iter().filter_map(|segment| segment.get("text")?.as_str());
            texts.collect::<Vec<_>>().join(" ")
        };
        let text = if self.text.is_empty() { segments_text() } else { self.text };
        body.insert("text".into(), text.into());
        if !self.segments.is_empty() {
            body.insert("segments".into(), self.segments.into());
        }
        if !self.logprobs.is_null() {
            body.insert("logprobs".into(), self.logprobs);
        }
        body.extend(self.done.unwrap_or_default());
        Value::Object(body)
    }
}

/// Joins streamed speech: only its size is kept.
#[derive(Debug, Default)]
pub(crate) struct SpeechJoin {
    audio_bytes: u64,
    usage: Option<Value>,
}

impl SpeechJoin {
    pub(crate) fn event(&mut self, name: &str, data: &str) -> Step {
        match event_type(name, data).as_str() {
            "speech.audio.delta" => {
                let Ok(delta) = serde_json::from_str::<AudioDelta<'_>>(data) else {
                    return Step::Malformed;
                };
                self.audio_bytes += decoded_length(&delta.audio.unwrap_or_default().0);
                Step::Taken
            }
            "speech.audio.done" => {
                let Ok(Value::Object(mut done)) = serde_json::from_str(data) else {
                    return Step::Malformed;
                };
                self.usage = done.remove("usage");
                Step::Terminal
            }
            name => unexpected(name, data),
        }
    }

    pub(crate) fn finish(self) -> Value {
        let mut body = json!({ "object": "speech.audio", "audio_bytes": self.audio_bytes });
        if let (Some(usage), Some(members)) = (self.usage, body.as_object_mut()) {
            members.insert("usage".into(), usage);
        }
        body
    }
}

/// Bytes that a Base64 text stands for.
fn decoded_length(text: &str) -> u64 {
    (text.trim_end_matches('=').len() as u64) * 3 / 4
}

/// Joins streamed images: partial ones are passed over.
#[derive(Debug, Default)]
pub(crate) struct ImagesJoin {
    images: Vec<Value>,
    members: Map<String, Value>,
}

impl ImagesJoin {
    pub(crate) fn event(&mut self, name: &str, data: &str, budget: &mut Budget) -> Step {
        let name = event_type(name, data);
        if name.ends_with(".partial_image") {
            return Step::Taken;
        }
        if !name.ends_with(".completed") {
            return unexpected(&name, data);
        }
        let Ok(Value::Object(mut event)) = serde_json::from_str(data) else {
            return Step::Malformed;
        };
        event.shift_remove("type");
        let mut image = Map::new();
        let of_image = [
            "b64_json",
            "url",
            "revised_prompt",
            "prompt_filter_results",
            "content_filter_results",
        ];
        for key in of_image {
            if let Some(value) = event.shift_remove(key) {
                image.insert(key.into(), value);
            }
        }
        if self.images.len() < ENTRIES_MAX && budget.take(data.len()) {
            self.images.push(image.into());
        }
        if let Some(created) = event.shift_remove("created_at") {
            self.members.insert("created".into(), created);
        }
        self.members.extend(event);
        Step::Terminal
    }

    pub(crate) fn finish(mut self) -> Value {
        let usage = self.members.shift_remove("usage");
        let mut body = self.members;
        body.insert("data".into(), self.images.into());
        if let Some(usage) = usage {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }
}

fn unexpected(name: &str, data: &str) -> Step {
    match serde_json::from_str::<Value>(data) {
        Ok(value) => error_in(name, &value).map_or(Step::Taken, Step::Error),
        Err(_) => Step::Malformed,
    }
}

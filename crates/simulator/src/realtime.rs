//! A realtime session: its settings, its items, and the events that answer the client's.
//!
//! The older dialect (`OpenAI-Beta: realtime=v1`, or a dated version) and today's differ in the names
//! of some events. Speech is answered when the client commits it: there is no voice detection.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::call::{Call, model_label};
use crate::chat::{last_user_text, pick};
use crate::config::Deployment;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::instance::Instance;
use crate::media;
use crate::text::{Answer, Words, hash, hex, mix};
use crate::tokens::Prompt;

/// Items kept; the oldest is forgotten first.
const ITEMS_MAX: usize = 1_000;
/// Most bytes of sound that are not yet committed.
const SOUND_BYTES_MAX: u64 = 64 << 20;
/// Bytes of sound in a second: 24,000 samples of 16 bits.
const BYTES_PER_SECOND: u64 = 48_000;
/// Tokens of sound in a second.
const SOUND_TOKENS_PER_SECOND: u64 = 10;
/// Most words of one answer.
const WORDS_MAX: u64 = 20_000;
/// What the service says it knows.
const KNOWN: &str = "'session.update', 'transcription_session.update', 'input_audio_buffer.append', 'input_audio_buffer.commit', 'input_audio_buffer.clear', 'output_audio_buffer.clear', 'conversation.item.create', 'conversation.item.retrieve', 'conversation.item.truncate', 'conversation.item.delete', 'response.create', and 'response.cancel'";

/// One session.
pub(crate) struct Realtime {
    instance: Arc<Instance>,
    deployment: Arc<Deployment>,
    /// The older names of events.
    is_preview: bool,
    hides_usage: bool,
    words: Option<u64>,
    id: String,
    /// The settings, an object.
    session: Value,
    items: VecDeque<Value>,
    sound_bytes: u64,
    sound_hash: u64,
    /// Tokens of the sound in the conversation.
    sound_tokens: u64,
    events: u64,
    /// The response whose events are being sent.
    active: Option<Value>,
}

impl Realtime {
    pub(crate) fn new(
        call: &Call<'_>,
        instance: &Arc<Instance>,
        deployment: Arc<Deployment>,
    ) -> Self {
        let beta = call.headers.get("openai-beta").and_then(|value| value.to_str().ok());
        let is_preview = call.dialect() == Dialect::AzureDated
            || beta.is_some_and(|beta| beta.contains("realtime=v1"));
        Self {
            is_preview,
            hides_usage: call.faults.has(&Fault::NoUsage),
            words: call.sim_tokens(),
            id: instance.id("sess_"),
            session: defaults(is_preview),
            items: VecDeque::new(),
            sound_bytes: 0,
            sound_hash: 0,
            sound_tokens: 0,
            events: 0,
            active: None,
            deployment,
            instance: instance.clone(),
        }
    }

    pub(crate) fn greeting(&mut self) -> Vec<Value> {
        vec![self.session_event("session.created")]
    }

    /// The events that answer a message; `outbox` is what is still to be sent.
    pub(crate) fn hear(&mut self, text: &str, outbox: &mut VecDeque<Value>) -> Vec<Value> {
        if !outbox.iter().any(|event| event["type"] == "response.done") {
            self.active = None;
        }
        let Ok(event @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            let message = "The message is not a JSON object: could not parse it.";
            return vec![self.error("invalid_json", message, &Value::Null)];
        };
        let kind = event["type"].as_str().unwrap_or_default();
        match kind {
            "session.update" => self.update(&event, "session.updated"),
            "transcription_session.update" => self.update(&event, "transcription_session.updated"),
            "input_audio_buffer.append" => self.append(&event),
            "input_audio_buffer.commit" => self.commit(&event),
            "input_audio_buffer.clear" => {
                self.sound_bytes = 0;
                vec![self.event("input_audio_buffer.cleared", json!({}))]
            }
            "output_audio_buffer.clear" => {
                vec![self.event("output_audio_buffer.cleared", json!({}))]
            }
            "conversation.item.create" => self.create_item(&event),
            "conversation.item.retrieve"
            | "conversation.item.truncate"
            | "conversation.item.delete" => self.item(&event, kind),
            "response.create" => self.respond(&event),
            "response.cancel" => self.cancel(&event, outbox),
            _ => {
                let message = format!("Invalid value: '{kind}'. Supported values are: {KNOWN}.");
                vec![self.error("invalid_value", &message, &event)]
            }
        }
    }

    fn update(&mut self, event: &Value, answer: &str) -> Vec<Value> {
        let Some(settings) = event["session"].as_object() else {
            let message = "Missing required parameter: 'session'.";
            return vec![self.error("missing_required_parameter", message, event)];
        };
        if let Some(known) = self.session.as_object_mut() {
            known.extend(settings.clone());
        }
        vec![self.session_event(answer)]
    }

    fn append(&mut self, event: &Value) -> Vec<Value> {
        let sound = event["audio"].as_str().and_then(|text| STANDARD.decode(text).ok());
        let Some(sound) = sound else {
            let message = "Invalid 'audio'. Expected base64-encoded audio bytes.";
            return vec![self.error("invalid_value", message, event)];
        };
        if self.sound_bytes + sound.len() as u64 > SOUND_BYTES_MAX {
            let message = "The input audio buffer is full: commit or clear it.";
            return vec![self.error("input_audio_buffer_full", message, event)];
        }
        self.sound_bytes += sound.len() as u64;
        self.sound_hash = hash(self.sound_hash, &sound);
        Vec::new()
    }

    fn commit(&mut self, event: &Value) -> Vec<Value> {
        if self.sound_bytes == 0 {
            let message = "Error committing input audio buffer: the buffer is empty.";
            return vec![self.error("input_audio_buffer_commit_empty", message, event)];
        }
        let tokens = (self.sound_bytes * SOUND_TOKENS_PER_SECOND).div_ceil(BYTES_PER_SECOND);
        let seconds = self.sound_bytes as f64 / BYTES_PER_SECOND as f64;
        self.sound_bytes = 0;
        self.sound_tokens += tokens;
        let id = self.instance.id("item_");
        let before = self.items.back().map_or(Value::Null, |item| item["id"].clone());
        let heard = Words { seed: self.sound_hash, tokens: tokens.clamp(3, 200) }.text();
        let item = json!({"id": id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user", "content": [{"type": "input_audio", "transcript": null}]});
        let mut events = vec![self.event(
            "input_audio_buffer.committed",
            json!({"previous_item_id": before, "item_id": id}),
        )];
        events.extend(self.added(item, &before));
        let transcribes =
            self.session.get("input_audio_transcription").is_some_and(Value::is_object)
                || self.setting("/audio/input/transcription").is_object();
        if transcribes {
            let name = "conversation.item.input_audio_transcription";
            let delta = json!({"item_id": id, "content_index": 0, "delta": heard});
            events.push(self.event(&format!("{name}.delta"), delta));
            let done = json!({"item_id": id, "content_index": 0, "transcript": heard, "usage": {"type": "duration", "seconds": seconds}});
            events.push(self.event(&format!("{name}.completed"), done));
        }
        events
    }

    fn create_item(&mut self, event: &Value) -> Vec<Value> {
        let Value::Object(mut item) = event["item"].clone() else {
            let message = "Missing required parameter: 'item'.";
            return vec![self.error("missing_required_parameter", message, event)];
        };
        item.entry("id").or_insert_with(|| json!(self.instance.id("item_")));
        item.insert("object".into(), json!("realtime.item"));
        item.insert("status".into(), json!("completed"));
        let before = self.items.back().map_or(Value::Null, |item| item["id"].clone());
        self.added(Value::Object(item), &before)
    }

    /// Keeps an item and says so.
    fn added(&mut self, item: Value, before: &Value) -> Vec<Value> {
        if self.items.len() >= ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back(item.clone());
        let told = json!({"previous_item_id": before, "item": item});
        if self.is_preview {
            return vec![self.event("conversation.item.created", told)];
        }
        let names = ["conversation.item.added", "conversation.item.done"];
        names.map(|name| self.event(name, told.clone())).into()
    }

    fn item(&mut self, event: &Value, kind: &str) -> Vec<Value> {
        let id = event["item_id"].as_str().unwrap_or_default();
        let Some(place) = self.items.iter().position(|item| item["id"] == id) else {
            let message = format!("Error: the item with id '{id}' does not exist.");
            return vec![self.error("item_not_found", &message, event)];
        };
        match kind {
            "conversation.item.retrieve" => {
                let item = self.items[place].clone();
                vec![self.event("conversation.item.retrieved", json!({ "item": item }))]
            }
            "conversation.item.delete" => {
                self.items.remove(place);
                vec![self.event("conversation.item.deleted", json!({ "item_id": id }))]
            }
            _ => {
                let told = json!({"item_id": id, "content_index": event["content_index"], "audio_end_ms": event["audio_end_ms"]});
                vec![self.event("conversation.item.truncated", told)]
            }
        }
    }

    fn cancel(&mut self, event: &Value, outbox: &mut VecDeque<Value>) -> Vec<Value> {
        let Some(mut response) = self.active.take() else {
            let message = "Cancellation failed: no active response found.";
            return vec![self.error("response_cancel_not_active", message, event)];
        };
        outbox.retain(|event| {
            !event["type"].as_str().is_some_and(|name| name.starts_with("response."))
        });
        response["status"] = json!("cancelled");
        response["status_details"] = json!({"type": "cancelled", "reason": "client_cancelled"});
        response["output"] = json!([]);
        vec![self.event("response.done", json!({ "response": response }))]
    }

    fn respond(&mut self, event: &Value) -> Vec<Value> {
        if self.active.is_some() {
            let message = "Conversation already has an active response in progress.";
            return vec![self.error("conversation_already_has_active_response", message, event)];
        }
        let asked = &event["response"];
        let mut prompt = Prompt::new(self.instance.config.tokenizer, self.instance.config.seed);
        let instructions = asked["instructions"].as_str();
        prompt.add(instructions.or(self.session["instructions"].as_str()).unwrap_or_default());
        let own = asked["input"].as_array().map(Vec::as_slice);
        let items: Vec<Value> = self.items.iter().cloned().collect();
        let items = own.unwrap_or(&items);
        prompt.add_messages(items);
        prompt.hash = mix(prompt.hash, self.sound_hash);
        let tools =
            if asked["tools"].is_array() { &asked["tools"] } else { &self.session["tools"] };
        let functions = tools.as_array().cloned().unwrap_or_default();
        let choice = asked.get("tool_choice").or(self.session.get("tool_choice"));
        let said = last_user_text(items);
        let picked = pick(&functions, choice, said.as_deref(), prompt.hash);
        let mut making = Making {
            id: self.instance.id("resp_"),
            item_id: self.instance.id("item_"),
            events: Vec::new(),
        };
        let response = json!({"object": "realtime.response", "id": making.id, "status": "in_progress", "status_details": null, "output": [], "conversation_id": format!("conv_{}", &self.id[5..]), "metadata": asked["metadata"], "usage": null});
        self.push(&mut making, "response.created", json!({ "response": response }));
        let made = match picked {
            Some((name, arguments)) => self.call_function(&mut making, &name, &arguments),
            None => self.speak(&mut making, asked, prompt.hash),
        };
        self.finish(making, response, made, prompt.tokens)
    }

    fn finish(
        &mut self,
        mut making: Making,
        mut response: Value,
        made: Made,
        prompt: u64,
    ) -> Vec<Value> {
        response["status"] = json!(if made.is_cut { "incomplete" } else { "completed" });
        if made.is_cut {
            response["status_details"] =
                json!({"type": "incomplete", "reason": "max_output_tokens"});
        }
        response["output"] = json!([made.item]);
        if !self.hides_usage {
            response["usage"] = usage(prompt, self.sound_tokens, &made);
        }
        self.items.push_back(made.item);
        self.push(&mut making, "response.done", json!({ "response": response }));
        let limits = json!([{"name": "tokens", "limit": self.deployment.tpm, "remaining": self.deployment.tpm, "reset_seconds": 0.0}]);
        self.push(&mut making, "rate_limits.updated", json!({ "rate_limits": limits }));
        self.active = Some(response);
        making.events
    }

    /// An answer in words, as text or as speech with its transcript.
    fn speak(&mut self, making: &mut Making, asked: &Value, seed: u64) -> Made {
        let is_speech = self.speaks(asked);
        let wanted = self.words.unwrap_or(8 + seed % 24).min(WORDS_MAX);
        let limit = [&asked["max_output_tokens"], &asked["max_response_output_tokens"]];
        let room = limit.into_iter().find_map(Value::as_u64).unwrap_or(u64::MAX);
        let words = Words { seed, tokens: wanted.min(room) };
        let text = words.text();
        let (part_type, text_key) = match (is_speech, self.is_preview) {
            (true, true) => ("audio", "transcript"),
            (true, false) => ("output_audio", "transcript"),
            (false, true) => ("text", "text"),
            (false, false) => ("output_text", "text"),
        };
        let item = |status: &str, content: Value| json!({"id": making.item_id, "object": "realtime.item", "type": "message", "status": status, "role": "assistant", "content": content});
        let (begun, done) = (
            item("in_progress", json!([])),
            item("completed", json!([{"type": part_type, text_key: text}])),
        );
        self.push_item(making, &begun);
        let empty = json!({"type": part_type, text_key: ""});
        self.push_in_part(making, "response.content_part.added", json!({ "part": empty }));
        let text_name = if is_speech {
            format!("response.{part_type}_transcript")
        } else {
            format!("response.{part_type}")
        };
        let sound_name = format!("response.{part_type}");
        for piece in pieces(words) {
            self.push_in_part(making, &format!("{text_name}.delta"), json!({ "delta": piece }));
            if is_speech {
                let sound = STANDARD.encode(media::pcm(1));
                self.push_in_part(
                    making,
                    &format!("{sound_name}.delta"),
                    json!({ "delta": sound }),
                );
            }
        }
        if is_speech {
            self.push_in_part(making, &format!("{sound_name}.done"), json!({}));
        }
        self.push_in_part(making, &format!("{text_name}.done"), json!({ text_key: text }));
        let part = json!({"type": part_type, text_key: text});
        self.push_in_part(making, "response.content_part.done", json!({ "part": part }));
        self.push_item_done(making, &done);
        let sound_tokens = if is_speech { words.tokens * 2 } else { 0 };
        Made { item: done, text_tokens: words.tokens, sound_tokens, is_cut: room < wanted }
    }

    fn call_function(&mut self, making: &mut Making, name: &str, arguments: &Answer) -> Made {
        let call_id = format!("call_{}", hex(self.instance.draw(), 24));
        let text = arguments.for_json();
        let item = |status: &str, text: &str| json!({"id": making.item_id, "object": "realtime.item", "type": "function_call", "status": status, "name": name, "call_id": call_id, "arguments": text});
        let (begun, done) = (item("in_progress", ""), item("completed", &text));
        self.push_item(making, &begun);
        let kind = "response.function_call_arguments";
        self.push_in_item(
            making,
            &format!("{kind}.delta"),
            json!({"call_id": call_id, "delta": text}),
        );
        self.push_in_item(
            making,
            &format!("{kind}.done"),
            json!({"call_id": call_id, "name": name, "arguments": text}),
        );
        self.push_item_done(making, &done);
        Made { item: done, text_tokens: arguments.tokens(), sound_tokens: 0, is_cut: false }
    }

    fn push_item(&mut self, making: &mut Making, item: &Value) {
        let told = json!({"response_id": making.id, "output_index": 0, "item": item});
        self.push(making, "response.output_item.added", told);
        let name =
            if self.is_preview { "conversation.item.created" } else { "conversation.item.added" };
        let before = self.items.back().map_or(Value::Null, |item| item["id"].clone());
        self.push(making, name, json!({"previous_item_id": before, "item": item}));
    }

    fn push_item_done(&mut self, making: &mut Making, item: &Value) {
        let told = json!({"response_id": making.id, "output_index": 0, "item": item});
        self.push(making, "response.output_item.done", told);
        if !self.is_preview {
            self.push(making, "conversation.item.done", json!({ "item": item }));
        }
    }

    fn push_in_part(&mut self, making: &mut Making, name: &str, mut told: Value) {
        told["content_index"] = json!(0);
        self.push_in_item(making, name, told);
    }

    fn push_in_item(&mut self, making: &mut Making, name: &str, mut told: Value) {
        told["response_id"] = json!(making.id);
        told["item_id"] = json!(making.item_id);
        told["output_index"] = json!(0);
        self.push(making, name, told);
    }

    fn push(&mut self, making: &mut Making, name: &str, told: Value) {
        let event = self.event(name, told);
        making.events.push(event);
    }

    /// Whether an answer is spoken, as it or the session asks.
    fn speaks(&self, asked: &Value) -> bool {
        let asked_for = [&asked["output_modalities"], &asked["modalities"]];
        let set = [self.setting("/output_modalities"), self.setting("/modalities")];
        let wanted = asked_for.into_iter().chain(set).find_map(Value::as_array);
        wanted.is_none_or(|list| list.iter().any(|name| name == "audio"))
    }

    fn setting(&self, pointer: &str) -> &Value {
        self.session.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn session_event(&mut self, name: &str) -> Value {
        let mut session = self.session.clone();
        session["id"] = json!(self.id);
        session["object"] = json!("realtime.session");
        session["model"] = json!(model_label(&self.deployment));
        self.event(name, json!({ "session": session }))
    }

    fn error(&mut self, code: &str, message: &str, cause: &Value) -> Value {
        let error = json!({"type": "invalid_request_error", "code": code, "message": message, "param": null, "event_id": cause["event_id"]});
        self.event("error", json!({ "error": error }))
    }

    fn event(&mut self, name: &str, told: Value) -> Value {
        self.events += 1;
        let mut event = Map::new();
        event.insert("type".into(), json!(name));
        event.insert(
            "event_id".into(),
            json!(format!("event_{}", hex(mix(hash(0, self.id.as_bytes()), self.events), 21))),
        );
        if let Value::Object(told) = told {
            event.extend(told);
        }
        Value::Object(event)
    }
}

/// A response on its way.
struct Making {
    id: String,
    item_id: String,
    events: Vec<Value>,
}

/// What a response consists of.
struct Made {
    item: Value,
    text_tokens: u64,
    sound_tokens: u64,
    is_cut: bool,
}

fn defaults(is_preview: bool) -> Value {
    let instructions = "You are a helpful assistant.";
    if is_preview {
        json!({"modalities": ["audio", "text"], "instructions": instructions, "voice": "alloy", "input_audio_format": "pcm16", "output_audio_format": "pcm16", "input_audio_transcription": null, "turn_detection": null, "tools": [], "tool_choice": "auto", "temperature": 0.8})
    } else {
        json!({"type": "realtime", "output_modalities": ["audio"], "instructions": instructions, "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": null, "turn_detection": null}, "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}}, "tools": [], "tool_choice": "auto"})
    }
}

fn usage(text_in: u64, sound_in: u64, made: &Made) -> Value {
    let (input, output) = (text_in + sound_in, made.text_tokens + made.sound_tokens);
    json!({
        "total_tokens": input + output,
        "input_tokens": input,
        "output_tokens": output,
        "input_token_details": {"text_tokens": text_in, "audio_tokens": sound_in, "image_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": made.text_tokens, "audio_tokens": made.sound_tokens},
    })
}

/// One piece for each token.
fn pieces(words: Words) -> impl Iterator<Item = String> {
    (0..words.tokens).map(move |index| {
        let mut piece = Vec::new();
        words.push(index, &mut piece);
        String::from_utf8(piece).expect("the words are ASCII")
    })
}

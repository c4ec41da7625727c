//! A response as events. Everything follows from the finished response, so a broken stream can be resumed at any number.

use serde_json::{Map, Value, json};

use crate::call::Reply;
use crate::script::{Deltas, Lane, NUMBER, PIECE, Script, Segment};
use crate::text::Answer;

/// The stream of a finished response, from behind event `after` on.
pub(crate) fn reply(response: &Value, background: bool, after: Option<u64>) -> Reply {
    let mut events = Events { script: Script::default(), number: 0, after };
    let start = if background { "queued" } else { "in_progress" };
    events.emit("response.created", json!({"response": unfinished(response, start)}));
    if background {
        events.emit("response.queued", json!({"response": unfinished(response, "queued")}));
    }
    events.emit("response.in_progress", json!({"response": unfinished(response, "in_progress")}));
    for (index, item) in response["output"].as_array().into_iter().flatten().enumerate() {
        events.item(index, item);
    }
    let end = match response["status"].as_str().unwrap_or_default() {
        "incomplete" => "response.incomplete",
        "failed" | "cancelled" => "response.failed",
        _ => "response.completed",
    };
    events.emit(end, json!({"response": response}));
    Reply::stream(events.script)
}

/// The same response before it was done.
pub(crate) fn unfinished(value: &Value, status: &str) -> Value {
    let mut value = value.clone();
    value["status"] = json!(status);
    value["output"] = json!([]);
    value["usage"] = Value::Null;
    value["incomplete_details"] = Value::Null;
    value
}

struct Events {
    script: Script,
    number: u64,
    after: Option<u64>,
}

impl Events {
    fn emit(&mut self, kind: &str, fields: Value) {
        let number = self.number;
        self.number += 1;
        if self.after.is_some_and(|after| number <= after) {
            return;
        }
        self.script.event(Some(kind), &numbered(kind, json!(number), fields));
    }

    /// One event for each piece of a text.
    fn pieces(&mut self, kind: &str, fields: Value, text: &str) {
        let template = numbered(kind, json!(NUMBER), fields);
        let mut lane = Lane::new(
            &format!("event: {kind}\ndata: "),
            &template,
            "\n\n",
            Answer::from_text(text),
            1,
        );
        let first = self.number;
        self.number += lane.events();
        let skipped =
            self.after.map_or(0, |after| (after + 1).saturating_sub(first)).min(lane.events());
        lane.skip(skipped);
        self.script.push(Segment::Deltas(Deltas::new(vec![lane], first + skipped)));
    }

    fn item(&mut self, index: usize, item: &Value) {
        let mut started = item.clone();
        if started.get("status").is_some() {
            started["status"] = json!("in_progress");
        }
        let kind = item["type"].as_str().unwrap_or_default();
        for (name, empty) in [
            ("content", json!([])),
            ("summary", json!([])),
            ("arguments", json!("")),
            ("code", json!("")),
        ] {
            if started.get(name).is_some() {
                started[name] = empty;
            }
        }
        self.emit("response.output_item.added", json!({"output_index": index, "item": started}));
        let place = json!({"item_id": item["id"], "output_index": index});
        match kind {
            "message" => self.message(&place, item),
            "reasoning" => self.reasoning(&place, item),
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                self.pieces(
                    "response.function_call_arguments.delta",
                    with(&place, "delta", json!(PIECE)),
                    arguments,
                );
                let done = with(
                    &with(&place, "name", item["name"].clone()),
                    "arguments",
                    json!(arguments),
                );
                self.emit("response.function_call_arguments.done", done);
            }
            "file_search_call" | "web_search_call" => {
                for step in ["in_progress", "searching", "completed"] {
                    self.emit(&format!("response.{kind}.{step}"), place.clone());
                }
            }
            "code_interpreter_call" => {
                let code = item["code"].as_str().unwrap_or_default();
                self.emit("response.code_interpreter_call.in_progress", place.clone());
                self.pieces(
                    "response.code_interpreter_call_code.delta",
                    with(&place, "delta", json!(PIECE)),
                    code,
                );
                self.emit(
                    "response.code_interpreter_call_code.done",
                    with(&place, "code", json!(code)),
                );
                self.emit("response.code_interpreter_call.interpreting", place.clone());
                self.emit("response.code_interpreter_call.completed", place.clone());
            }
            _ => {}
        }
        self.emit("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn message(&mut self, place: &Value, item: &Value) {
        for (index, part) in item["content"].as_array().into_iter().flatten().enumerate() {
            let place = with(place, "content_index", json!(index));
            let text = part["text"].as_str().unwrap_or_default();
            let empty =
                json!({"type": "output_text", "annotations": [], "logprobs": [], "text": ""});
            self.emit("response.content_part.added", with(&place, "part", empty));
            self.pieces(
                "response.output_text.delta",
                with(&with(&place, "delta", json!(PIECE)), "logprobs", json!([])),
                text,
            );
            for (number, annotation) in
                part["annotations"].as_array().into_iter().flatten().enumerate()
            {
                let fields = with(
                    &with(&place, "annotation_index", json!(number)),
                    "annotation",
                    annotation.clone(),
                );
                self.emit("response.output_text.annotation.added", fields);
            }
            self.emit(
                "response.output_text.done",
                with(&with(&place, "text", json!(text)), "logprobs", json!([])),
            );
            self.emit("response.content_part.done", with(&place, "part", part.clone()));
        }
    }

    fn reasoning(&mut self, place: &Value, item: &Value) {
        for (index, part) in item["summary"].as_array().into_iter().flatten().enumerate() {
            let place = with(place, "summary_index", json!(index));
            let text = part["text"].as_str().unwrap_or_default();
            let empty = json!({"type": "summary_text", "text": ""});
            self.emit("response.reasoning_summary_part.added", with(&place, "part", empty));
            self.pieces(
                "response.reasoning_summary_text.delta",
                with(&place, "delta", json!(PIECE)),
                text,
            );
            self.emit("response.reasoning_summary_text.done", with(&place, "text", json!(text)));
            self.emit("response.reasoning_summary_part.done", with(&place, "part", part.clone()));
        }
    }
}

fn with(place: &Value, name: &str, value: Value) -> Value {
    let mut fields = place.clone();
    fields[name] = value;
    fields
}

/// `type` and `sequence_number` come first.
fn numbered(kind: &str, number: Value, fields: Value) -> Value {
    let mut event = Map::new();
    event.insert("type".into(), json!(kind));
    event.insert("sequence_number".into(), number);
    if let Value::Object(fields) = fields {
        event.extend(fields);
    }
    Value::Object(event)
}

//! The Responses API over a WebSocket: each `response.create` is a streamed call, its events are
//! messages.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::call::Call;
use crate::fault::Faults;
use crate::instance::Instance;
use crate::payload::Payload;
use crate::route::Route;
use crate::{entry, responses};

/// Longest answer, as the text of its events.
const EVENTS_BYTES_MAX: usize = 64 << 20;

/// One connection on which responses are made.
pub(crate) struct ResponsesSocket {
    instance: Arc<Instance>,
    route: Route,
    headers: HeaderMap,
    host: String,
    faults: Faults,
}

impl ResponsesSocket {
    pub(crate) fn new(
        instance: &Arc<Instance>,
        head: &Parts,
        route: Route,
        faults: &Faults,
    ) -> Self {
        Self {
            instance: instance.clone(),
            route,
            headers: head.headers.clone(),
            host: entry::host(head).to_owned(),
            faults: faults.clone(),
        }
    }

    pub(crate) fn hear(&self, text: &str) -> Vec<Value> {
        let mut body = match serde_json::from_str(text) {
            Ok(Value::Object(body)) => body,
            _ => return vec![error("invalid_json", "the message is not a JSON object", 400)],
        };
        let kind = body.remove("type").unwrap_or_default();
        if kind != "response.create" {
            let message =
                format!("Invalid value: {kind}. Supported values are: 'response.create'.");
            return vec![error("invalid_value", &message, 400)];
        }
        body.insert("stream".into(), json!(true));
        let call = Call {
            instance: &self.instance,
            method: Method::POST,
            route: self.route.clone(),
            query: Vec::new(),
            headers: &self.headers,
            host: self.host.clone(),
            payload: Payload::Json(Value::Object(body)),
            faults: &self.faults,
            triggers: text.contains("SIM-"),
            now: self.instance.now(),
        };
        let failure = match responses::perform(&call, &[]) {
            Ok(reply) => match reply.script.into_bytes(EVENTS_BYTES_MAX) {
                Some(bytes) => return events(&bytes),
                None => return vec![error("server_error", "the answer is too long", 500)],
            },
            Err(failure) => failure,
        };
        let mut event = failure.body(self.route.dialect);
        event["type"] = json!("error");
        event["status"] = json!(failure.status.as_u16());
        vec![event]
    }
}

fn error(code: &str, message: &str, status: u16) -> Value {
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    json!({"type": "error", "status": status, "error": {"type": kind, "code": code, "message": message, "param": null}})
}

/// The data of server-sent events.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(stream);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

//! Captured requests of clients, and how one is written out again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// Stands between the parts of a form.
const BOUNDARY: &str = "----replayed-form";

/// What one client sent.
#[derive(Deserialize)]
pub(super) struct Capture {
    pub(super) client: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) requests: Vec<Captured>,
}

#[derive(Deserialize)]
pub(super) struct Captured {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) body_length: usize,
    body: Option<Body>,
    websocket_frames_sent: Option<Value>,
}

#[derive(Deserialize)]
struct Body {
    json: Option<Value>,
    multipart: Option<Vec<Part>>,
    /// Left out because of its size.
    note: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    headers: Vec<(String, String)>,
    length: usize,
    /// None where it is no text.
    text: Option<String>,
}

/// All captures of a folder, in the order of their names.
pub(super) fn read_all(folder: &Path) -> Vec<Capture> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read the folder {}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "json"));
    files.sort();
    let mut captures = Vec::new();
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let capture: Value = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{} is no JSON: {error}", file.display()));
        // Other files may lie beside them.
        if capture["requests"].is_array() {
            captures.push(serde_json::from_value(capture).unwrap_or_else(|error| {
                panic!("{} is no capture of requests: {error}", file.display())
            }));
        }
    }
    captures
}

impl Captured {
    pub(super) fn is_web_socket(&self) -> bool {
        self.websocket_frames_sent.is_some()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Path and query, encoded as the client did; ids are exchanged.
    pub(super) fn target(&self, ids: &BTreeMap<&str, String>, key: &str) -> String {
        let mut target = exchanged(&self.path, ids);
        for (place, (name, value)) in self.query.iter().enumerate() {
            target.push(if place == 0 { '?' } else { '&' });
            let value = value.replace("<secret>", key);
            target.push_str(&format!("{}={}", encoded(name), encoded(&value)));
        }
        target
    }

    /// The body, byte for byte as far as the capture tells.
    pub(super) fn body(&self, ids: &BTreeMap<&str, String>) -> Vec<u8> {
        match &self.body {
            None => Vec::new(),
            Some(Body { json: Some(json), .. }) => {
                let mut styles = [json.to_string(), spaced(json)].into_iter();
                let as_sent = styles.find(|text| text.len() == self.body_length);
                exchanged(&as_sent.unwrap_or_else(|| json.to_string()), ids).into_bytes()
            }
            Some(Body { multipart: Some(parts), .. }) => form(parts, ids),
            Some(body) => {
                assert!(body.note.is_some(), "a body of an unknown kind");
                let (start, end) =
                    (r#"{"model":"gpt-4o","messages":[{"role":"user","content":""#, r#""}]}"#);
                let filler = self.body_length.saturating_sub(start.len() + end.len());
                format!("{start}{}{end}", "x".repeat(filler)).into_bytes()
            }
        }
    }

    /// A member of the body, of whatever kind it is.
    pub(super) fn member(&self, name: &str) -> Option<String> {
        let body = self.body.as_ref()?;
        if let Some(json) = &body.json {
            return match &json[name] {
                Value::String(text) => Some(text.clone()),
                Value::Bool(value) => Some(value.to_string()),
                _ => None,
            };
        }
        if body.note.is_some() {
            return (name == "model").then(|| "gpt-4o".to_owned());
        }
        let wanted = format!("name=\"{name}\"");
        let parts = body.multipart.as_ref()?;
        let part = parts
            .iter()
            .find(|part| part.headers.iter().any(|(_, value)| value.ends_with(&wanted)));
        part?.text.clone()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// `plain`, `sse` or `websocket`.
    pub(super) fn mode(&self) -> &'static str {
        let is_true = |value: Option<&str>| value == Some("true");
        if self.is_web_socket() {
            "websocket"
        } else if is_true(self.member("stream").as_deref())
            || is_true(self.query("stream"))
            || self.member("stream_format").as_deref() == Some("sse")
        {
            "sse"
        } else {
            "plain"
        }
    }

    /// The whole request as it goes over the wire. The connection is to end with the answer.
    pub(super) fn wire(&self, target: &str, body: &[u8], key: &str) -> Vec<u8> {
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        let mut is_chunked = false;
        for (name, value) in &self.headers {
            let value = match name.to_ascii_lowercase().as_str() {
                "content-length" => body.len().to_string(),
                "connection" if !self.is_web_socket() => continue,
                "sec-websocket-key" => "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
                _ => value
                    .replace("<secret>", key)
                    .replace("<gateway-host>", "gateway.test")
                    .replace("<boundary>", BOUNDARY),
            };
            is_chunked |= name.eq_ignore_ascii_case("transfer-encoding");
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.is_web_socket() {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut wire = head.into_bytes();
        if is_chunked {
            for piece in body.chunks(body.len().div_ceil(2).max(1)) {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
        } else {
            wire.extend_from_slice(body);
        }
        wire
    }
}

fn form(parts: &[Part], ids: &BTreeMap<&str, String>) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        for (name, value) in &part.headers {
            body.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        match &part.text {
            Some(text) => body.extend_from_slice(exchanged(text, ids).as_bytes()),
            None => body.resize(body.len() + part.length, 0xff),
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Ids that the capture invented become those of real objects.
fn exchanged(text: &str, ids: &BTreeMap<&str, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let invented = ids.iter().find(|(invented, _)| {
            let behind = rest.strip_prefix(**invented).map(|behind| behind.chars().next());
            behind.is_some_and(|next| !next.is_some_and(char::is_alphanumeric))
        });
        let length = match invented {
            Some((invented, real)) => {
                out.push_str(real);
                invented.len()
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// JSON with a space behind commas and colons, as Python writes it.
fn spaced(json: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match json {
        Value::Array(items) => format!("[{}]", list(items.iter().map(spaced).collect())),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", Value::from(key.as_str()), spaced(value))
            };
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

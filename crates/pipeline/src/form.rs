//! A multipart body as the tables show it: a list of its parts.

use openai::FormPart;
use serde_json::{Map, Value};

/// The parts as JSON: fields in full, files by size and hash, and JSON lines in full as well.
pub(crate) fn describe(parts: &[FormPart]) -> String {
    Value::Array(parts.iter().map(describe_part).collect()).to_string()
}

fn describe_part(part: &FormPart) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), part.name.clone().into());
    if let Some(file_name) = &part.file_name {
        object.insert("filename".into(), file_name.clone().into());
    }
    if let Some(content_type) = &part.content_type {
        object.insert("content_type".into(), content_type.clone().into());
    }
    if let Some(text) = &part.text {
        object.insert("text".into(), text.clone().into());
    }
    if part.text.is_none() || part.sha256.is_some() {
        object.insert("bytes".into(), part.bytes.into());
    }
    if let Some(sha256) = &part.sha256 {
        object.insert("sha256".into(), sha256.clone().into());
    }
    Value::Object(object)
}

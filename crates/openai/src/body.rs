//! Bodies as extraction sees them: JSON, a form's parts, text, or only a size.

use crate::multipart::FormReader;
use crate::{FormPart, Tree};

/// A request or response body, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// There was none.
    #[default]
    Empty,
    /// JSON.
    Json(Tree),
    /// The parts of a `multipart/form-data` body.
    Form(Vec<FormPart>),
    /// Other text, such as subtitles or JSONL; and what calls itself JSON but is none.
    Text(String),
    /// Anything else, such as audio.
    Binary {
        /// Its size.
        bytes: u64,
        /// Its content type; empty if it had none.
        content_type: String,
    },
}

impl Body {
    /// Reads a body that is held whole. For forms too big for that there is [`FormReader`].
    pub fn read(content_type: Option<&str>, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let content_type = content_type.unwrap_or_default();
        if let Some(mut reader) = FormReader::new(content_type) {
            reader.push(bytes);
            return Self::Form(reader.finish());
        }
        if is_media(content_type) {
            return Self::binary(content_type, bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::from_text(content_type, text),
            Err(_) => Self::binary(content_type, bytes),
        }
    }

    fn from_text(content_type: &str, text: &str) -> Self {
        let plain = content_type.starts_with("text/") && !content_type.contains("json");
        let opens = text.trim_start().starts_with(['{', '[']);
        if plain || !(opens || content_type.contains("json")) {
            return Self::Text(text.to_owned());
        }
        parse_json(text).map_or_else(|| Self::Text(text.to_owned()), Self::Json)
    }

    fn binary(content_type: &str, bytes: &[u8]) -> Self {
        Self::Binary { bytes: bytes.len() as u64, content_type: content_type.to_owned() }
    }

    /// The JSON, if it is JSON.
    pub const fn json(&self) -> Option<&Tree> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// The parts, if it is a form.
    pub fn form(&self) -> &[FormPart] {
        match self {
            Self::Form(parts) => parts,
            _ => &[],
        }
    }

    /// The text of a form's field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form().iter().find(|part| part.name == name)?.text.as_deref()
    }
}

fn is_media(content_type: &str) -> bool {
    // Files come as `application/octet-stream` whatever is in them: their bytes tell.
    ["audio/", "video/", "image/"].iter().any(|prefix| content_type.starts_with(prefix))
}

/// Parses JSON. Lone surrogates, which Python's encoder lets through, become U+FFFD.
pub(crate) fn parse_json(text: &str) -> Option<Tree> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(_) if text.contains("\\u") => serde_json::from_str(&mend_surrogates(text)).ok(),
        Err(_) => None,
    }
}

/// Replaces escapes of lone surrogates by that of the replacement character.
fn mend_surrogates(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let unit = surrogate(&rest[at..]);
        let pair = unit.is_some_and(|unit| unit < 0xDC00)
            && rest.get(at + 6..).and_then(surrogate).is_some_and(|low| low >= 0xDC00);
        let taken = match (unit, pair) {
            (Some(_), true) => 12,
            (Some(_), false) => 6,
            (None, _) => 1 + rest[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        mended.push_str(&rest[..at]);
        match (unit, pair) {
            (Some(_), false) => mended.push_str("\\ufffd"),
            _ => mended.push_str(&rest[at..at + taken]),
        }
        rest = &rest[at + taken..];
    }
    mended.push_str(rest);
    mended
}

/// The value of a `\uD800`…`\uDFFF` escape at the start of the text.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..0xE000).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_told_apart() {
        assert_eq!(Body::read(None, b""), Body::Empty);
        let json = Body::read(Some("application/json; charset=utf-8"), b"{\"a\":1}\n");
        assert_eq!(json.json().map(|value| value["a"].clone()), Some(Tree::Number(1.into())));
        assert_eq!(Body::read(Some("text/plain"), b"[1]"), Body::Text("[1]".into()));
        assert_eq!(Body::read(Some("application/json"), b"{"), Body::Text("{".into()));
        assert!(matches!(Body::read(Some("audio/mpeg"), b"{}"), Body::Binary { bytes: 2, .. }));
        assert!(matches!(Body::read(None, b"\xff\xfe"), Body::Binary { bytes: 2, .. }));
    }

    #[test]
    fn lone_surrogates_do_not_lose_the_body() {
        let text = r#"{"a":"x\ud83dy \ud83d\ude00 \\ud83d"}"#;
        let value = parse_json(text).expect("it is mended");
        assert_eq!(value["a"].as_str(), Some("x\u{fffd}y 😀 \\ud83d"));
    }
}

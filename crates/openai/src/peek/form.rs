//! The form fields that routing needs; files are passed over.

use super::{Malformed, PEEK_VALUE_BYTES_MAX, Peek, PeekFormat};
use crate::multipart::{Multipart, PartHead, PartSink};

/// Looks into one form.
#[derive(Debug)]
pub(crate) struct FormPeek {
    multipart: Multipart,
    fields: Fields,
}

#[derive(Debug, Default)]
struct Fields {
    peek: Peek,
    name: String,
    value: Vec<u8>,
    /// Where the value begins.
    at: u64,
    wanted: bool,
}

const WANTED: [&str; 5] = ["model", "stream", "stream_format", "n", "purpose"];
/// Fields that name objects: the consent to a voice, a file, the video that is edited.
const REFERENCES: [&str; 4] = ["consent", "file_id", "video", "video[id]"];

impl FormPeek {
    pub(crate) fn new(content_type: &str) -> Option<Self> {
        let multipart = Multipart::new(content_type)?;
        let peek = Peek { format: PeekFormat::Form, ..Peek::default() };
        Some(Self { multipart, fields: Fields { peek, ..Fields::default() } })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.multipart.push(bytes, &mut self.fields);
    }

    pub(crate) const fn peek(&self) -> &Peek {
        &self.fields.peek
    }

    pub(crate) fn finish(self, bytes: u64) -> Peek {
        let mut peek = self.fields.peek;
        if let Some(reason) = self.multipart.fault() {
            peek.malformed = Some(Malformed { offset: bytes, reason });
        }
        peek
    }
}

impl PartSink for Fields {
    fn open(&mut self, head: PartHead, at: u64) {
        self.value.clear();
        self.at = at;
        let name = head.name.as_str();
        self.wanted =
            head.file_name.is_none() && (WANTED.contains(&name) || REFERENCES.contains(&name));
        self.name = head.name;
    }

    fn data(&mut self, bytes: &[u8]) {
        if self.wanted && self.value.len() <= PEEK_VALUE_BYTES_MAX {
            let room = PEEK_VALUE_BYTES_MAX + 1 - self.value.len();
            self.value.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn close(&mut self) {
        if !std::mem::take(&mut self.wanted) {
            return;
        }
        if self.value.len() > PEEK_VALUE_BYTES_MAX {
            self.peek.overlong = true;
            return;
        }
        let Ok(value) = std::str::from_utf8(&self.value) else { return };
        match self.name.as_str() {
            "model" => {
                self.peek.model = Some(value.to_owned());
                self.peek.model_span = Some(self.at..self.at + self.value.len() as u64);
            }
            "stream" => self.peek.stream = truth(value.trim()),
            "stream_format" => self.peek.stream_format = Some(value.to_owned()),
            "n" => self.peek.n = value.trim().parse().ok(),
            "purpose" => self.peek.purpose = Some(value.to_owned()),
            _ => self.peek.refer(value),
        }
    }
}

/// SDKs write `true`, some clients `True` or `1`.
fn truth(value: &str) -> Option<bool> {
    match value {
        _ if value.eq_ignore_ascii_case("true") || value == "1" => Some(true),
        _ if value.eq_ignore_ascii_case("false") || value == "0" => Some(false),
        _ => None,
    }
}

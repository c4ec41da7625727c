//! The few members of a request body that routing needs, found as the body passes.
//!
//! Nothing is parsed or held but the wanted values. SDKs often send `messages` before `model`, so the
//! whole body is scanned, at the speed at which `memchr` finds the ends of its strings; as a
//! by-product it is known whether the body is well-formed JSON.

mod answer;
mod form;
mod ids;
mod json;
mod splice;
mod token;
mod utf8;

use std::ops::Range;

pub use answer::{AnswerPeek, AnswerPeeker};
use form::FormPeek;
pub use ids::{IdFinder, IdPlace};
use json::JsonScanner;
use splice::StreamOptions;
pub use splice::{ModelPlace, Splice};

use crate::object::is_fine_tuned;

/// Longest value kept; of longer ones only [`Peek::overlong`] tells.
pub const PEEK_VALUE_BYTES_MAX: usize = 1024;
/// Deepest nesting accepted.
pub const PEEK_DEPTH_MAX: usize = 1024;

/// Most ids of objects kept of one body.
const REFERENCES_MAX: usize = 1024;

/// What a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeekFormat {
    /// There was none.
    #[default]
    Empty,
    /// JSON.
    Json,
    /// `multipart/form-data`.
    Form,
    /// Something else, not looked into.
    Other,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Byte of the body at which it shows.
    pub offset: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

/// What a request body says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// What it is.
    pub format: PeekFormat,
    /// Its size.
    pub bytes: u64,
    /// `model`.
    pub model: Option<String>,
    /// `stream`.
    pub stream: Option<bool>,
    /// `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// `previous_response_id`.
    pub previous_response_id: Option<String>,
    /// `conversation`, or its `id` where it is an object.
    pub conversation: Option<String>,
    /// `assistant_id`.
    pub assistant_id: Option<String>,
    /// `input_file_id` of a batch.
    pub input_file_id: Option<String>,
    /// `training_file` of a fine-tuning job.
    pub training_file: Option<String>,
    /// Ids of other objects named anywhere in the body: `file_id`, `file_ids`, `vector_store_ids`,
    /// `container`, `validation_file`, the `id` of what an `item_reference` names, and in forms `consent`,
    /// `file_id` and `video`. At most 1,024.
    pub references: Vec<String>,
    /// There were more.
    pub too_many_references: bool,
    /// `store`.
    pub store: Option<bool>,
    /// `background`.
    pub background: Option<bool>,
    /// `max_tokens`.
    pub max_tokens: Option<u64>,
    /// `max_completion_tokens`.
    pub max_completion_tokens: Option<u64>,
    /// `max_output_tokens`.
    pub max_output_tokens: Option<u64>,
    /// `n`.
    pub n: Option<u64>,
    /// `stream_format` of speech.
    pub stream_format: Option<String>,
    /// `purpose` of an uploaded file.
    pub purpose: Option<String>,
    /// Where the value of `model` stands in the body, quotes included; a null too.
    pub model_span: Option<Range<u64>>,
    /// Where the first member of the top-level object could be inserted: behind its brace.
    pub object_start: Option<u64>,
    /// The top-level object has no members.
    pub(crate) is_empty_object: bool,
    /// One of the values was longer than [`PEEK_VALUE_BYTES_MAX`].
    pub overlong: bool,
    pub(crate) malformed: Option<Malformed>,
    pub(crate) stream_options: StreamOptions,
}

impl Peek {
    /// What is wrong with the body, if anything.
    pub const fn malformed(&self) -> Option<&Malformed> {
        self.malformed.as_ref()
    }

    /// The most tokens that one answer may have, whichever member says so.
    pub fn output_tokens_max(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_output_tokens).or(self.max_tokens)
    }

    /// An event stream is asked for.
    pub fn wants_stream(&self) -> bool {
        self.stream == Some(true) || self.stream_format.as_deref() == Some("sse")
    }

    /// Takes note of an id that the body names, if it is one.
    fn refer(&mut self, id: &str) {
        let is_known = self.references.iter().any(|known| known == id);
        if is_known || !(is_object_id(id) || is_fine_tuned(id)) {
            return;
        }
        if self.references.len() == REFERENCES_MAX {
            self.too_many_references = true;
        } else {
            self.references.push(id.to_owned());
        }
    }
}

/// An id that a backend mints, such as `file-abc`, `vs_abc` or `msg_abc`. Ids of tool calls are the
/// model's own and mean nothing to a backend.
fn is_object_id(id: &str) -> bool {
    let prefix = id.split(['_', '-']).next().unwrap_or_default();
    prefix.len() < id.len()
        && !matches!(prefix, "" | "call" | "toolu")
        && prefix.len() <= 12
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Looks into one body as it passes.
#[derive(Debug)]
pub struct Peeker {
    scan: Scan,
    bytes: u64,
}

#[derive(Debug)]
enum Scan {
    Json(Box<JsonScanner>),
    Form(Box<FormPeek>),
    /// No telling content type: JSON if it begins so.
    Unknown,
    Other,
    /// It says it is a form but names no boundary.
    NoBoundary,
}

impl Peeker {
    /// For a body of this content type.
    pub fn new(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let scan = if essence.eq_ignore_ascii_case("multipart/form-data") {
            FormPeek::new(content_type).map_or(Scan::NoBoundary, |form| Scan::Form(Box::new(form)))
        } else if essence.to_ascii_lowercase().ends_with("json") {
            Scan::Json(Box::default())
        } else {
            Scan::Unknown
        };
        Self { scan, bytes: 0 }
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Scan::Unknown = self.scan {
            // JSON's white space only (RFC 8259, section 2): a form feed before `{` is no JSON.
            match bytes.iter().find(|byte| !b" \t\r\n".contains(byte)) {
                Some(b'{') => {
                    let mut scanner = Box::<JsonScanner>::default();
                    scanner.skip(self.bytes);
                    self.scan = Scan::Json(scanner);
                }
                Some(_) => self.scan = Scan::Other,
                None => {}
            }
        }
        self.bytes += bytes.len() as u64;
        match &mut self.scan {
            Scan::Json(scanner) => scanner.push(bytes),
            Scan::Form(form) => form.push(bytes),
            Scan::Unknown | Scan::Other | Scan::NoBoundary => {}
        }
    }

    /// What was found up to here.
    pub fn so_far(&self) -> Option<&Peek> {
        match &self.scan {
            Scan::Json(scanner) => Some(&scanner.peek),
            Scan::Form(form) => Some(form.peek()),
            Scan::Unknown | Scan::Other | Scan::NoBoundary => None,
        }
    }

    /// The top-level JSON value is complete or broken: nothing more will be found.
    pub fn is_settled(&self) -> bool {
        match &self.scan {
            Scan::Json(scanner) => scanner.is_settled(),
            Scan::Form(_) | Scan::Unknown => false,
            Scan::Other | Scan::NoBoundary => true,
        }
    }

    /// The body has ended.
    pub fn finish(self) -> Peek {
        if self.bytes == 0 {
            return Peek::default();
        }
        let mut peek = match self.scan {
            Scan::Json(scanner) => scanner.finish(),
            Scan::Form(form) => form.finish(self.bytes),
            Scan::Unknown | Scan::Other => Peek { format: PeekFormat::Other, ..Peek::default() },
            Scan::NoBoundary => {
                let reason = "multipart/form-data without a boundary in its content type";
                let malformed = Some(Malformed { offset: 0, reason });
                Peek { format: PeekFormat::Form, malformed, ..Peek::default() }
            }
        };
        peek.bytes = self.bytes;
        peek
    }
}

#[cfg(test)]
mod tests;

//! Changes to a request body, which is never written anew: some of its bytes are exchanged.

use std::borrow::Cow;
use std::ops::Range;

use super::{Peek, PeekFormat};

/// The member that asks for the usage of a stream.
const INCLUDE_USAGE: &str = "stream_options.include_usage";

/// A change to a body: `text` stands in the place of these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The bytes that go; none where only something is added.
    pub span: Range<u64>,
    /// What stands there instead.
    pub text: Cow<'static, str>,
    /// The member that is changed, for the record.
    pub member: &'static str,
}

/// What a body says under `stream_options`, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamOptions {
    /// Nothing.
    #[default]
    Absent,
    /// `null`.
    Null(Range<u64>),
    /// An object without `include_usage`, and where its first member would stand.
    Object { start: u64, is_empty: bool },
    /// `include_usage` is false or null, here.
    Declined(Range<u64>),
    /// It asks for the usage already, or is nothing that a backend takes.
    Other,
}

/// Where a body names its model, or could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPlace {
    span: Range<u64>,
    shape: Shape,
}

/// What stands at the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A JSON value.
    Value,
    /// Nothing: a first member of the JSON object, before others.
    FirstMember,
    /// Nothing: the only member.
    OnlyMember,
    /// The text of a field of a form.
    Field,
}

impl ModelPlace {
    /// The change that puts this name there.
    pub fn put(&self, name: &str) -> Splice {
        let quoted = || serde_json::Value::from(name).to_string();
        let text = match self.shape {
            Shape::Value => quoted(),
            Shape::FirstMember => format!(r#""model":{},"#, quoted()),
            Shape::OnlyMember => format!(r#""model":{}"#, quoted()),
            Shape::Field => name.to_owned(),
        };
        Splice { span: self.span.clone(), text: text.into(), member: "model" }
    }
}

impl Peek {
    /// Where the body names its model, or could; none if it is neither JSON object nor form, or a form
    /// that names none.
    pub fn model_place(&self) -> Option<ModelPlace> {
        let named = self.model_span.clone();
        Some(match (self.format, named, self.object_start) {
            (PeekFormat::Form, Some(span), _) => ModelPlace { span, shape: Shape::Field },
            (PeekFormat::Json, Some(span), _) => ModelPlace { span, shape: Shape::Value },
            (PeekFormat::Json, None, Some(at)) => {
                let shape =
                    if self.is_empty_object { Shape::OnlyMember } else { Shape::FirstMember };
                ModelPlace { span: at..at, shape }
            }
            _ => return None,
        })
    }

    /// How to make the body ask for the usage of its stream (`stream_options.include_usage`); none if
    /// it does already, streams nothing, or is not understood.
    pub fn ask_for_usage(&self) -> Option<Splice> {
        if self.stream != Some(true) {
            return None;
        }
        let (span, text) = match &self.stream_options {
            // There is at least one member more: `stream`.
            StreamOptions::Absent => {
                let start = self.object_start?;
                (start..start, r#""stream_options":{"include_usage":true},"#)
            }
            StreamOptions::Null(span) => (span.clone(), r#"{"include_usage":true}"#),
            StreamOptions::Object { start, is_empty: true } => {
                (*start..*start, r#""include_usage":true"#)
            }
            StreamOptions::Object { start, is_empty: false } => {
                (*start..*start, r#""include_usage":true,"#)
            }
            StreamOptions::Declined(span) => (span.clone(), "true"),
            StreamOptions::Other => return None,
        };
        Some(Splice { span, text: text.into(), member: INCLUDE_USAGE })
    }
}

impl Splice {
    /// It makes the body ask for the usage of its stream.
    pub fn asks_for_usage(&self) -> bool {
        self.member == INCLUDE_USAGE
    }

    /// Length of a body of `bytes` once this is done.
    pub fn length_of(&self, bytes: u64) -> u64 {
        bytes - (self.span.end - self.span.start) + self.text.len() as u64
    }
}

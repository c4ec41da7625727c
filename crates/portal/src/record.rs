//! Where notes of what is done here are kept.

use async_trait::async_trait;
use event::Note;

/// The ledger, as this listener needs it; the wiring implements it.
#[async_trait]
pub trait Record: Send + Sync {
    /// Returns when the note is durable; the error says why it is not.
    async fn keep(&self, note: Note) -> Result<(), String>;
}

//! What jobs work with: who answers, who keeps the record, what is known of the tables.

use std::path::PathBuf;
use std::sync::Arc;

use event::Timestamp;
use ledger::Ledger;
use vault::Vault;

use crate::config::StreamJobConfig;

/// What jobs work with.
pub struct StreamJobsParts {
    /// Answers KQL.
    pub engine: Arc<dyn kql::Engine>,
    /// Takes the record of what is read, and tells where it ends.
    pub ledger: Ledger,
    /// Up to which sequence of the ledger all rows are in the tables.
    pub applied: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Up to when the tables hold all that is recorded, at this moment; none while that is not known.
    pub complete_until: Box<dyn Fn(Timestamp) -> Option<Timestamp> + Send + Sync>,
    /// Up to where rows of a table may be gone, being too old or too much.
    pub given_up: Box<dyn Fn(&str) -> GivenUp + Send + Sync>,
    /// Whether this identity may read content.
    pub may_read_content: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Where secrets of sinks are found.
    pub vault: Vault,
    /// Name of this node; part of each row's key, as nodes have the same sequences.
    pub node: String,
    /// Where it is kept how far jobs have come.
    pub folder: PathBuf,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// Up to where rows of a table may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Greatest `LedgerSequence` among them; 0 if none is gone.
    pub sequence: u64,
    /// Greatest `TimeGenerated` among them; 1970 if none is gone.
    pub time: Timestamp,
}

impl StreamJobsParts {
    /// The job was given the right to read content, and says what for.
    pub(crate) fn reads_content(&self, job: &StreamJobConfig) -> bool {
        !job.purpose.trim().is_empty() && (self.may_read_content)(&job.identity())
    }
}

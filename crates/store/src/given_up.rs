//! Up to where rows are gone for good, for whoever has to tell what was missed.

use event::Timestamp;

/// Up to where rows of a table may be gone, being too old or too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Greatest `LedgerSequence` among them; 0 if none is gone.
    pub sequence: u64,
    /// Greatest `TimeGenerated` among them; 1970 if none is gone.
    pub time: Timestamp,
}

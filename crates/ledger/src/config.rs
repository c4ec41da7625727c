//! Settings of the ledger.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// When an appended record counts as kept, and so when the gateway may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// No byte of a request reaches a backend before its start is on disk; the default.
    #[default]
    Strict,
    /// The call starts while the flush runs; no byte of the answer leaves before it is done.
    Overlap,
    /// Records are written at once and flushed on a timer: a power cut loses up to one interval.
    Relaxed,
}

/// How the ledger stores what happened, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// When a record counts as kept: `strict`, `overlap` or `relaxed`.
    pub durability: Durability,
    /// In `relaxed`, the time between two flushes, in milliseconds.
    pub relaxed_interval_ms: u64,
    /// Size of a segment file; it is written in full before use, so this much disk is taken at once.
    pub segment_bytes: u64,
    /// A segment that has records is closed after this time even if it is not full, in seconds.
    pub segment_age_seconds: u64,
    /// Segments kept written in advance, so that a change of segment never waits; 0 to 16.
    pub spare_segments: u32,
    /// Bytes of records that may wait for the disk; beyond it, requests wait in turn.
    pub queue_bytes_max: u64,
    /// Compress what is written, where that pays; under full load some of it is left as it is.
    pub compress: bool,
    /// A commit smaller than this many bytes is not compressed.
    pub compress_bytes_min: u64,
    /// Released segments are kept at least this long after their last record, in seconds.
    pub retain_age_seconds: u64,
    /// Released segments beyond this many bytes are given up before their age; 0 sets no such limit.
    pub retain_bytes: u64,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Strict,
            relaxed_interval_ms: 50,
            segment_bytes: 32 << 20,
            segment_age_seconds: 24 * 60 * 60,
            spare_segments: 1,
            queue_bytes_max: 8 << 20,
            compress: true,
            compress_bytes_min: 4 << 10,
            retain_age_seconds: 30 * 24 * 60 * 60,
            retain_bytes: 16 << 30,
        }
    }
}

/// Smallest segment: room for a header and a few commits.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// Largest segment: what recovery reads at start stays within a few seconds.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// Bounds of the queue.
pub(crate) const QUEUE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(2 << 30);

impl LedgerConfig {
    /// Refuses settings that cannot work, naming the field and what it may be.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return wrong(format!(
                "segment_bytes is {}; it may be {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
                self.segment_bytes
            ));
        }
        if !QUEUE_BYTES.contains(&self.queue_bytes_max) {
            return wrong(format!(
                "queue_bytes_max is {}; it may be {} to {}",
                self.queue_bytes_max,
                QUEUE_BYTES.start(),
                QUEUE_BYTES.end()
            ));
        }
        if !(1..=60_000).contains(&self.relaxed_interval_ms) {
            return wrong(format!(
                "relaxed_interval_ms is {}; it may be 1 to 60000",
                self.relaxed_interval_ms
            ));
        }
        if self.spare_segments > 16 {
            return wrong(format!("spare_segments is {}; it may be 0 to 16", self.spare_segments));
        }
        if self.segment_age_seconds == 0 {
            return wrong("segment_age_seconds is 0; it must be at least 1".into());
        }
        Ok(())
    }

    /// Time between two flushes in `relaxed`.
    pub(crate) fn relaxed_interval(&self) -> Duration {
        Duration::from_millis(self.relaxed_interval_ms)
    }
}

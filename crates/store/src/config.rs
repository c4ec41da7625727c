//! Settings of the store.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// How the tables are written, merged and kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Rows of one table in memory at which they are written to disk.
    pub seal_rows: u64,
    /// Bytes in memory, all tables together, at which they are written to disk.
    pub seal_bytes: u64,
    /// Rows wait in memory at most this long before they are written to disk, in seconds.
    pub seal_age_seconds: u64,
    /// Bytes in memory, all tables together, beyond which a write waits for the disk.
    pub tail_bytes_max: u64,
    /// Days that rows are kept, counted from the end of their UTC day; 0 keeps them for ever.
    pub retention_days: u32,
    /// Bytes of extents and blobs on disk beyond which the oldest days are given up; 0 sets no such limit.
    pub retention_bytes: u64,
    /// Files of about one size within a day at which they are merged into one; at least 2.
    pub compact_extents: u32,
    /// A file of at least this many bytes is not merged any more.
    pub compact_bytes_max: u64,
    /// A blob without a row that names it is kept at least this long after it was last written, in seconds.
    pub blob_grace_seconds: u64,
    /// Bytes of file footers held in memory, so that queries need not read them again.
    pub metadata_cache_bytes: u64,
    /// Time between two rounds of merging and of giving up what is too old, in seconds.
    pub maintain_interval_seconds: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            seal_rows: 100_000,
            seal_bytes: 128 << 20,
            seal_age_seconds: 60,
            tail_bytes_max: 384 << 20,
            retention_days: 90,
            retention_bytes: 0,
            compact_extents: 8,
            compact_bytes_max: 256 << 20,
            blob_grace_seconds: 24 * 60 * 60,
            metadata_cache_bytes: 64 << 20,
            maintain_interval_seconds: 60,
        }
    }
}

/// Bounds of the rows in memory: less holds too few, more may not fit one arrow buffer.
const TAIL_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 30);

impl StoreConfig {
    /// Refuses settings that cannot work, naming the field and what it may be.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if !TAIL_BYTES.contains(&self.tail_bytes_max) {
            return wrong(format!(
                "tail_bytes_max is {}; it may be {} to {}",
                self.tail_bytes_max,
                TAIL_BYTES.start(),
                TAIL_BYTES.end()
            ));
        }
        if self.seal_bytes == 0 || self.seal_bytes > self.tail_bytes_max {
            return wrong(format!(
                "seal_bytes is {}; it may be 1 to tail_bytes_max, which is {}",
                self.seal_bytes, self.tail_bytes_max
            ));
        }
        for (name, value) in [
            ("seal_rows", self.seal_rows),
            ("seal_age_seconds", self.seal_age_seconds),
            ("maintain_interval_seconds", self.maintain_interval_seconds),
        ] {
            if value == 0 {
                return wrong(format!("{name} is 0; it must be at least 1"));
            }
        }
        if self.compact_extents < 2 {
            return wrong(format!(
                "compact_extents is {}; it must be at least 2",
                self.compact_extents
            ));
        }
        Ok(())
    }

    pub(crate) fn seal_age(&self) -> Duration {
        Duration::from_secs(self.seal_age_seconds)
    }

    pub(crate) fn maintain_interval(&self) -> Duration {
        Duration::from_secs(self.maintain_interval_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_a_wrong_setting_is_named() {
        StoreConfig::default().validate().unwrap();
        let config = StoreConfig { compact_extents: 1, ..StoreConfig::default() };
        let error = config.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("compact_extents is 1"));
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let error = serde_json::from_str::<StoreConfig>(r#"{"seal_row": 1}"#).unwrap_err();
        assert!(error.to_string().contains("seal_row"));
    }
}

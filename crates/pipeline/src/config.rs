//! Settings of the pipeline.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// How interactions are joined into rows, and how much memory that may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Texts up to this many bytes stand in the tables themselves, longer ones beside them as blobs.
    pub inline_bytes_max: u64,
    /// A body longer than this leaves memory for the disk while it is being joined.
    pub body_memory_bytes_max: u64,
    /// Bytes of all bodies together that may be in memory; beyond it, bodies go to the disk earlier.
    pub memory_bytes_max: u64,
    /// Bodies longer than this are kept whole but not searched for messages, usage and parameters.
    pub extract_bytes_max: u64,
    /// A compressed body, or what is joined from a stream, is given up beyond this many bytes and kept as it came.
    pub decoded_bytes_max: u64,
    /// Rows written at once at most.
    pub batch_rows_max: u32,
    /// Bytes of rows written at once at most (one more row may exceed it).
    pub batch_bytes_max: u64,
    /// A row waits at most this long for others to be written with it, in milliseconds.
    pub flush_interval_ms: u64,
    /// Longest pause between two attempts to write when the tables refuse, in milliseconds.
    pub retry_pause_ms_max: u64,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            inline_bytes_max: 64 << 10,
            body_memory_bytes_max: 1 << 20,
            memory_bytes_max: 64 << 20,
            extract_bytes_max: 16 << 20,
            decoded_bytes_max: 256 << 20,
            batch_rows_max: 1_000,
            batch_bytes_max: 8 << 20,
            flush_interval_ms: 200,
            retry_pause_ms_max: 5_000,
        }
    }
}

impl PipelineConfig {
    /// Refuses settings that cannot work, naming the field and what it may be.
    pub fn validate(&self) -> Result<(), Error> {
        let within = [
            ("inline_bytes_max", self.inline_bytes_max, 256, 16 << 20),
            ("body_memory_bytes_max", self.body_memory_bytes_max, 1 << 10, 1 << 30),
            ("memory_bytes_max", self.memory_bytes_max, 1 << 10, 1 << 40),
            ("extract_bytes_max", self.extract_bytes_max, 1 << 10, 1 << 30),
            ("decoded_bytes_max", self.decoded_bytes_max, 1 << 10, 1 << 40),
            ("batch_rows_max", u64::from(self.batch_rows_max), 1, 100_000),
            ("batch_bytes_max", self.batch_bytes_max, 1 << 10, 1 << 30),
            ("flush_interval_ms", self.flush_interval_ms, 0, 60_000),
            ("retry_pause_ms_max", self.retry_pause_ms_max, 1, 600_000),
        ];
        for (field, value, least, most) in within {
            if !(least..=most).contains(&value) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("pipeline {field} is {value}; it may be {least} to {most}"),
                ));
            }
        }
        if self.inline_bytes_max > self.body_memory_bytes_max {
            return Err(Error::new(
                ErrorKind::Invalid,
                "pipeline inline_bytes_max is above body_memory_bytes_max; what stands in a row is in memory once",
            ));
        }
        Ok(())
    }

    pub(crate) fn flush_interval(&self) -> Duration {
        Duration::from_millis(self.flush_interval_ms)
    }

    pub(crate) fn retry_pause_max(&self) -> Duration {
        Duration::from_millis(self.retry_pause_ms_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_is_named() {
        PipelineConfig::default().validate().expect("the default works");
        let none = PipelineConfig { batch_rows_max: 0, ..PipelineConfig::default() };
        let error = none.validate().expect_err("a batch of no rows never ends").to_string();
        assert_eq!(error, "pipeline batch_rows_max is 0; it may be 1 to 100000");
        let upside_down = PipelineConfig { inline_bytes_max: 2 << 20, ..PipelineConfig::default() };
        assert!(upside_down.validate().is_err());
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = serde_json::from_str::<PipelineConfig>(r#"{"batch_row_max":1}"#)
            .expect_err("it is batch_rows_max");
        assert!(error.to_string().contains("batch_row_max"), "{error}");
    }
}

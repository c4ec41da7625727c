//! What is recorded, delivered outside: a stream job follows a table and brings its new rows to a sink.
//!
//! Rows come from the tables, through an `Arc<dyn kql::Engine>`, so a job is a query; how far it has come is a
//! sequence of the ledger. At least once, in order, each row with a key of its own. Nothing here is on the
//! request path, and nothing waits for a sink but its jobs.

mod azure_blob;
mod azure_data_explorer;
mod batch;
mod clickhouse;
mod config;
mod event_hubs;
mod follow;
mod http;
mod job;
mod json;
mod kinds;
mod note;
mod parts;
mod postgres;
mod progress;
mod sink;
mod source;
mod standing;
mod validate;

pub use config::{Beginning, SinkConfig, SinkKind, StreamJobConfig, WindowConfig};
pub use follow::StreamJobs;
pub use parts::{GivenUp, StreamJobsParts};
pub use standing::{JobState, JobStatus};
pub use validate::validate_sinks;

#[cfg(test)]
mod tests;

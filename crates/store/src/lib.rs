//! The columnar tables on disk: what the pipeline writes and queries read.
//!
//! A [`Store`] is a folder with a manifest, Parquet extents by table and day, and blobs by their hash.
//! Rows are visible as soon as they are written, in a tail in memory; sealing puts them into extents
//! and records these together with the ledger cursor in one transaction, so that after a crash the
//! pipeline writes again exactly what was lost. Queries take a [`Snapshot`], a view that no seal,
//! compaction or retention changes.
//!
//! This crate does not know KQL, and only the pipeline writes here.

mod blobs;
mod compact;
mod config;
mod copy;
mod disk;
mod encode;
mod erase;
mod error;
mod extent;
mod files;
mod given_up;
mod join;
mod literal;
mod manifest;
mod messages;
mod parts;
mod provider;
mod prune;
mod retain;
mod scan;
mod schema;
mod seal;
mod shared;
mod snapshot;
mod status;
mod store;
mod tail;
mod terms;
mod verify;
mod words;

pub use blobs::{BlobReader, Text};
pub use config::StoreConfig;
pub use erase::Erasure;
pub use error::{Error, ErrorKind};
pub use given_up::GivenUp;
pub use manifest::FORMAT as FORMAT_VERSION;
pub use retain::Maintenance;
pub use schema::arrow_schema;
pub use snapshot::Snapshot;
pub use status::{BlobStatus, StoreStatus, TableStatus};
pub use store::Store;
pub use terms::has_terms;

#[cfg(test)]
mod tests;

//! Append-only durable log of everything that happens: group commit, segments, recovery, cursors,
//! verification.
//!
//! What is acknowledged is on disk, in order, without gaps, checksummed and chained. `FORMAT.md`
//! beside this crate says how it lies there.

mod config;
mod error;
mod ledger;

pub use config::{Durability, LedgerConfig};
pub use error::{Error, ErrorKind};
pub use ledger::{Commit, Entry, Ledger, Reader, Recovery, State};

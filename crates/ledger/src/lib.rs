//! Append-only durable log of everything that happens: group commit, segments, recovery, cursors,
//! verification.
//!
//! What is acknowledged is on disk, in order, without gaps, checksummed and chained. `FORMAT.md`
//! beside this crate says how it lies there.
//!
//! Outcomes: every `Opened` gets exactly one `Closed`. Whoever appended the `Opened` appends the
//! `Closed`, and tries again while the ledger is poisoned: an append that failed has left nothing
//! that will ever be read. Only [`Ledger::open`] closes by itself, with outcome `interrupted`, what
//! no process is alive to close.

mod appender;
mod checkpoint;
mod config;
mod direct;
mod disk;
mod erase;
mod error;
pub mod fault;
mod folder;
mod format;
pub mod fuzzing;
mod head;
mod keeper;
mod ledger;
mod locks;
mod picked;
mod prepare;
mod queue;
mod random;
mod reader;
mod real_disk;
mod recent;
mod recovery;
mod shared;
mod signing;
mod spares;
mod verify;
mod walk;
mod writer;

pub use checkpoint::Checkpoint;
pub use config::{Durability, LedgerConfig};
pub use disk::{Disk, DiskFile, Source};
pub use erase::Erased;
pub use error::{Error, ErrorKind};
pub use format::VERSION as FORMAT_VERSION;
pub use ledger::{Ledger, State, Stats};
pub use queue::Commit;
pub use reader::{Entry, Reader};
pub use real_disk::RealDisk;
pub use recovery::Recovery;
pub use signing::{PublicKey, SigningKey};
pub use verify::{Finding, FindingKind, Place, Progress, Report, Span, Trust, verify, verify_span};

#[cfg(test)]
mod tests;

//! From the ledger to the tables: assemble, extract, enrich, write.
//!
//! One thread follows the ledger, joins the frames of each interaction into one row and its
//! messages, and writes them to an [`event::Sink`] in batches that carry their own cursor, so that
//! every interaction is in the tables exactly once whatever crashes. It serves no request: the
//! gateway runs with the pipeline dead, and the pipeline catches up later.

mod assemble;
mod billed;
mod body;
mod budget;
mod config;
mod decode;
mod depot;
mod ended;
mod enrich;
mod error;
mod form;
mod header;
mod intake;
mod pipeline;
mod row;
mod session;
mod shared;
mod status;
mod stream;
mod target;
mod utf8;
mod worker;

pub use config::PipelineConfig;
pub use error::{Error, ErrorKind};
pub use pipeline::Pipeline;
pub use status::{State, Status};

#[cfg(test)]
mod tests;

//! Runs KQL over the store: typed plans become DataFusion plans with our own kernels wherever
//! Kusto's semantics differ from SQL's.
//!
//! A query is translated faithfully or rejected by name, never approximated. Parsing and binding
//! are in `kql`; files and snapshots in `store`.

mod body;
mod call;
mod cell;
mod columns;
mod config;
mod convert;
mod decimal;
mod engine;
mod error;
mod export;
mod fold;
mod guard;
mod json;
mod kernels;
mod lower;
mod paths;
mod reference;
mod scan;
mod schema;
mod search;
mod tables;
mod task;
mod text;
mod time;

pub use body::BODY_BYTES_MAX;
pub use config::{Identity, QueryConfig};
pub use engine::Engine;
pub use reference::{is_exact_here, runs};
pub use tables::{ColumnInfo, TableInfo, catalogue, tables};

//! The admin listener: what people and their tools ask of a running gateway.
//!
//! It holds Kusto's query API, version 1. The web UI, the admin API and the other query APIs will
//! stand beside it. It asks an [`kql::Engine`] and names no table of its own.

mod config;
mod kusto;
mod server;

pub use config::PortalConfig;
pub use kusto::{json_value, results, rows_as_objects};
pub use server::{Portal, Token};

//! The admin listener: what people and their tools ask of a running gateway.
//!
//! It holds Kusto's query API, version 1, and the administration of the running gateway. The web UI
//! and the other query APIs will stand beside them. It asks a [`kql::Engine`] and names no table of
//! its own.

mod admin;
mod config;
mod kusto;
mod server;

pub use admin::{Operations, Problem};
pub use config::PortalConfig;
pub use kusto::{json_value, results, rows_as_objects};
pub use server::{Portal, Token};

//! The request path: edge, identify, authenticate, admit, record, choose, send, tee.
//!
//! An exchange runs in a task of its own and ends with its `Closed` record, whatever becomes of the
//! client's connection. Not here: what the record means (pipeline), how it is kept (ledger).

mod config;
mod gateway;

pub use config::{
    BackendConfig, BackendKeys, BackendKind, CaptureConfig, EdgeConfig, ErrorShape, GatewayConfig,
    ListenerConfig, PoolConfig, ProbeConfig, Secret, SecretRef, TlsConfig, UnknownPaths,
};
pub use gateway::{BackendStatus, Error, Gateway, Health, Status, Wiring};

//! The request path: edge, identify, authenticate, admit, record, choose, send, tee.
//!
//! An exchange runs in a task of its own and ends with its `Closed` record, whatever becomes of the
//! client's connection. Not here: what the record means (pipeline), how it is kept (ledger).

mod account;
mod address;
mod answer;
mod asked;
mod backend;
mod caller;
mod certificate;
mod config;
mod connection;
mod credential;
mod doctor;
mod edge_io;
mod exchange;
mod forward;
mod gate;
mod gateway;
mod gather;
mod head;
mod headers;
mod health;
mod hedge;
mod http2;
mod listener;
mod listing;
mod live;
mod objects;
mod pool;
mod prefixed;
mod probe;
mod proof;
mod proxy_protocol;
mod record;
mod refusal;
mod reply;
mod server_tls;
mod spool;
mod sse;
mod unread;
mod upload;
mod watch;
mod websocket;

pub use address::caller_ip;
pub use asked::examine;
pub use config::{
    BackendConfig, BackendKeys, BackendKind, Balance, BreakerConfig, CaptureConfig,
    ClientCertificates, EdgeConfig, ErrorShape, GatewayConfig, ListenerConfig, ObjectsConfig,
    PoolConfig, ProbeConfig, Tier, TlsConfig, UnknownObjects, UnknownPaths, WebSocketConfig,
};
pub use gateway::{BackendStatus, CircuitStatus, Error, Gateway, Status, Wiring};
pub use health::{Health, MetricsPage, Telling};
pub use live::Settings;
pub use pool::Drain;
pub use server_tls::ServerTls;

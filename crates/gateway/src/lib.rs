//! The request path: edge, identify, authenticate, admit, record, choose, send, tee.
//!
//! An exchange runs in a task of its own and ends with its `Closed` record, whatever becomes of the
//! client's connection. Not here: what the record means (pipeline), how it is kept (ledger).

mod account;
mod acme;
mod address;
mod admission;
mod admitted;
mod answer;
mod asked;
mod attempt;
mod backend;
mod caller;
mod certificate;
mod config;
mod connection;
mod course;
mod credential;
mod doctor;
mod edge_io;
mod error;
mod exchange;
mod facts;
mod firewall;
mod forward;
mod gate;
mod gateway;
mod gather;
mod head;
mod headers;
mod health;
mod hedge;
mod home;
mod http2;
mod inner;
mod intake;
mod learner;
mod listener;
mod listing;
mod live;
mod named;
mod objects;
mod passing;
mod peers;
mod pool;
mod prefixed;
mod proxy_protocol;
mod record;
mod refusal;
mod relay;
mod reply;
mod serve;
mod server_tls;
mod spool;
mod sse;
mod status;
mod unread;
mod upload;
mod watch;
mod websocket;

pub use acme::{Acme, AcmeWiring, CertificateStatus, OrderedCertificates};
pub use address::caller_ip;
pub use asked::examine;
pub use backend::standing::Drain;
pub use config::{
    AcmeConfig, BackendConfig, BackendKeys, BackendKind, Balance, BreakerConfig, CaptureConfig,
    ClientCertificates, EdgeConfig, ErrorShape, ExternalAccountConfig, GatewayConfig,
    ListenerConfig, ObjectsConfig, PoolConfig, ProbeConfig, RuleIds, Tier, TlsConfig,
    UnknownObjects, UnknownPaths, WafConfig, WafExclusionConfig, WafMode, WebSocketConfig,
};
pub use error::Error;
pub use firewall::Waf;
pub use gateway::{Gateway, Wiring};
pub use health::{Health, MetricsPage, Telling};
pub use live::{Settings, check};
pub use server_tls::ServerTls;
pub use status::{BackendStatus, CircuitStatus, Status};

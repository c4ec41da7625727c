//! Every outbound socket: which addresses may be dialled, TLS, connections kept per origin, and
//! sending one request.
//!
//! A request is sent at most once, except that a connection which was closed while it lay idle is
//! replaced when nothing had been sent on it. Other retries are the caller's decision.

mod body;
mod client;
mod config;
mod connector;
mod egress;
mod error;
mod http1;
mod pool;
mod proxy;
mod tls;
mod upgrade;

pub use body::{AnswerBody, Body, BodyError};
pub use client::Client;
pub use config::{ClientConfig, EgressConfig, Http2Mode};
pub use connector::{Connector, Dialled};
pub use egress::{Denied, EgressRules};
pub use error::{Error, ErrorKind};
pub use proxy::Proxy;
pub use tls::{certificates, private_key};
pub use upgrade::Upgraded;

//! What is known of a connection before its first request.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::ListenerConfig;

/// What is known of a connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionFacts {
    /// The peer, or the client that a trusted proxy names by the PROXY protocol.
    pub(crate) peer: SocketAddr,
    /// `1.2`, `1.3`, or empty on plain text.
    pub(crate) tls_version: &'static str,
    /// Subject of the client's certificate; empty if it showed none.
    pub(crate) certificate_subject: Arc<str>,
    /// Where it connected to.
    pub(crate) listener: Arc<ListenerConfig>,
}

impl ConnectionFacts {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls_version.is_empty() { "http" } else { "https" }
    }
}

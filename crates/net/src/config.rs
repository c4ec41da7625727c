//! Settings of outbound connections.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which addresses may be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// Networks that what is called may lie in, as `10.1.2.0/24`; a name that resolves to any address
    /// outside is refused. The private networks by default; add `0.0.0.0/0` and `::/0` to allow public
    /// addresses. Loopback, link-local and metadata addresses must be declared by a network within
    /// theirs, such as `127.0.0.0/8`.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<IpNet>,
}

impl EgressConfig {
    /// Loopback and the private networks: for demos and tests.
    pub fn loopback() -> Self {
        let Self { mut allow } = Self::default();
        allow.extend(networks(["127.0.0.0/8", "::1/128"]));
        Self { allow }
    }
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { allow: networks(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]) }
    }
}

fn networks<const N: usize>(texts: [&str; N]) -> Vec<IpNet> {
    texts.map(|text| text.parse().expect("the network is well formed")).to_vec()
}

/// Whether HTTP/2 is spoken to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Http2Mode {
    /// Over TLS, if the origin agrees to it.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always, even on plain text and without asking.
    PriorKnowledge,
}

/// How one origin is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Whether HTTP/2 is spoken.
    pub http2: Http2Mode,
    /// Longest wait for name resolution, connection and TLS together, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the head of an answer once the request is on its way, in milliseconds.
    pub answer_timeout_ms: u64,
    /// Connections that may exist at once.
    pub connections_max: u32,
    /// HTTP/1.1 connections kept open without a request.
    pub idle_connections_max: u32,
    /// Time after which an idle HTTP/1.1 connection is closed, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Requests at once on one HTTP/2 connection; more open another one.
    pub streams_per_connection_max: u32,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub ca_file: PathBuf,
}

impl ClientConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if !self.ca_file.as_os_str().is_empty() {
            self.ca_file = folder.join(&self.ca_file);
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            http2: Http2Mode::Auto,
            connect_timeout_ms: 5_000,
            answer_timeout_ms: 600_000,
            // As many as clients may have.
            connections_max: 16_384,
            idle_connections_max: 256,
            idle_timeout_ms: 60_000,
            streams_per_connection_max: 100,
            ca_file: PathBuf::new(),
        }
    }
}

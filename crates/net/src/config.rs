//! Settings of outbound connections.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Proxy;

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
    /// What connections go out through; it is configured once for all.
    #[serde(skip)]
    pub proxy: Option<Proxy>,
}

impl EgressConfig {
    /// These networks, without a proxy.
    pub fn only(allow: Vec<IpNet>) -> Self {
        Self { allow, proxy: None }
    }

    /// Loopback and the private networks: for demos and tests.
    pub fn loopback() -> Self {
        let mut loopback = Self::default();
        loopback.allow.extend(networks(["127.0.0.0/8", "::1/128"]));
        loopback
    }
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self::only(networks(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]))
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
    /// File with the PEM certificate to show to who asks for one, leaf first; empty for none.
    pub certificate_file: PathBuf,
    /// File with its private key, in PEM.
    pub key_file: PathBuf,
}

impl ClientConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for file in [&mut self.ca_file, &mut self.certificate_file, &mut self.key_file] {
            if !file.as_os_str().is_empty() {
                *file = folder.join(&file);
            }
        }
    }

    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let files = [&self.ca_file, &self.certificate_file, &self.key_file].map(PathBuf::clone);
        files.into_iter().filter(|file| !file.as_os_str().is_empty())
    }

    /// Differs when the content of a file does that it names.
    pub fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in self.files() {
            std::fs::read(file).ok().hash(&mut hasher);
        }
        hasher.finish()
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
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
        }
    }
}

//! Settings of the gateway: listeners, limits of a client, what is recorded; backends in a file of
//! their own.

mod acme;
mod backends;
mod waf;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use net::EgressConfig;
use policy::NetworkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::Credential;

use crate::error::Error;

pub use acme::{AcmeConfig, ExternalAccountConfig};
pub use backends::{
    BackendConfig, BackendKind, Balance, BreakerConfig, PoolConfig, ProbeConfig, Tier,
};
pub use waf::{RuleIds, WafConfig, WafExclusionConfig, WafMode};

/// Everything the gateway is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where clients connect, and what one of them may use.
    pub edge: EdgeConfig,
    /// The services that answer.
    pub backends: Vec<BackendConfig>,
    /// How a backend is chosen, watched and left.
    pub pool: PoolConfig,
    /// What becomes of calls that name objects: files, threads, responses and their like.
    pub objects: ObjectsConfig,
    /// What is recorded and how long an abandoned answer is read on.
    pub capture: CaptureConfig,
    /// Which addresses backends may have.
    pub egress: EgressConfig,
    /// Region this gateway is in, for the `Region` column.
    pub region: String,
}

/// Where clients connect, and what one of them may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Addresses listened on.
    pub listeners: Vec<ListenerConfig>,
    /// Networks of proxies whose `X-Forwarded-For`, `Forwarded` and PROXY protocol are believed.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections open at once on all listeners; more wait to be accepted.
    pub connections_max: u32,
    /// Connections open at once from one client address (of IPv6: from one /64 network); more are
    /// closed at once. Addresses in `trusted_proxies` have no such limit.
    pub connections_per_address_max: u32,
    /// Longest request head; longer ones get 431. 8,192 to 1,048,576.
    pub head_bytes_max: u32,
    /// Most header lines in a request; more get 431.
    pub header_count_max: u32,
    /// Requests at once on one HTTP/2 connection. Those that the client reset go on; if with them
    /// twice as many are under way, more get 429.
    pub streams_max: u32,
    /// Streams that a client may reset within ten seconds on one HTTP/2 connection; with more the
    /// connection ends.
    pub stream_resets_max: u32,
    /// Frames without use (PING, SETTINGS, PRIORITY, CONTINUATION, empty ones, unknown ones) that a
    /// client may send within ten seconds on one HTTP/2 connection; with more the connection ends.
    pub control_frames_max: u32,
    /// Longest request body; longer ones get 413.
    pub body_bytes_max: u64,
    /// Time for each step before the first request (PROXY header, TLS, first byte), and for a request
    /// head from its first byte to its last, in milliseconds; then 408.
    pub head_timeout_ms: u64,
    /// How long a connection may rest between two requests, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Longest gap between two pieces of a request body, in milliseconds; then 408.
    pub body_gap_timeout_ms: u64,
    /// Slowest pace of a request body, in bytes per second; a body that lags behind it by more than
    /// the gap gets 408. Only time spent waiting for the client counts; 0 sets no pace.
    pub body_rate_min: u32,
    /// How long a client may take nothing of an answer that waits for it, in milliseconds; then the
    /// connection ends.
    pub answer_stall_timeout_ms: u64,
    /// Time that requests in flight get to finish when the gateway stops, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Shape of the gateway's own errors.
    pub error_shape: ErrorShape,
    /// What happens to an unknown path below a known prefix.
    pub unknown_paths: UnknownPaths,
    /// Limits of WebSocket sessions.
    pub websocket: WebSocketConfig,
}

/// Limits of WebSocket sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketConfig {
    /// Longest message of either side, decompressed; a longer one ends the session with 1009.
    pub message_bytes_max: u64,
    /// Time without a byte in either direction after which a session ends with 1001, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self { message_bytes_max: 32 << 20, idle_timeout_ms: 600_000 }
    }
}

impl EdgeConfig {
    /// The error names the setting and the fix.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.listeners.is_empty() {
            return Err(Error("edge.listeners is empty: give at least one address".into()));
        }
        let twice = |address: &SocketAddr| {
            let same = self.listeners.iter().filter(|listener| listener.address == *address);
            address.port() != 0 && same.count() > 1
        };
        if let Some(twice) = self.listeners.iter().find(|listener| twice(&listener.address)) {
            let address = twice.address;
            return Err(Error(format!("edge.listeners: {address} stands twice: change one")));
        }
        if !(8_192..=1 << 20).contains(&self.head_bytes_max) {
            return Err(Error(format!(
                "edge.head_bytes_max is {}; it may be 8192 to 1048576",
                self.head_bytes_max
            )));
        }
        for (name, value) in [
            ("header_count_max", u64::from(self.header_count_max)),
            ("streams_max", u64::from(self.streams_max)),
            ("connections_per_address_max", u64::from(self.connections_per_address_max)),
            ("head_timeout_ms", self.head_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("body_gap_timeout_ms", self.body_gap_timeout_ms),
            ("answer_stall_timeout_ms", self.answer_stall_timeout_ms),
        ] {
            if value == 0 {
                return Err(Error(format!(
                    "edge.{name} is 0: nothing could be served; give it more"
                )));
            }
        }
        Ok(())
    }
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerConfig::default()],
            trusted_proxies: Vec::new(),
            connections_max: 16_384,
            connections_per_address_max: 2_048,
            head_bytes_max: 32_768,
            header_count_max: 100,
            streams_max: 256,
            stream_resets_max: 500,
            control_frames_max: 5_000,
            body_bytes_max: 10 << 30,
            head_timeout_ms: 15_000,
            idle_timeout_ms: 75_000,
            body_gap_timeout_ms: 60_000,
            body_rate_min: 240,
            answer_stall_timeout_ms: 60_000,
            drain_timeout_ms: 30_000,
            error_shape: ErrorShape::default(),
            unknown_paths: UnknownPaths::default(),
            websocket: WebSocketConfig::default(),
        }
    }
}

/// One address listened on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Address and port; port 0 picks a free one.
    pub address: SocketAddr,
    /// Certificate to serve; without it the listener speaks plain text.
    pub tls: Option<TlsConfig>,
    /// Connections from `trusted_proxies` begin with a PROXY protocol header (version 1 or 2).
    pub proxy_protocol: bool,
    /// Which callers may use it, by the address that the record shows.
    pub networks: NetworkConfig,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            proxy_protocol: false,
            networks: NetworkConfig::default(),
        }
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file of the certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// PEM file of the private key.
    pub key_file: PathBuf,
    /// Names of hosts, for which the authority under `acme` issues the certificate instead: no files are
    /// given then. Its connections to port 443 of each host must reach this listener.
    pub acme_hosts: Vec<String>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
    /// PEM file of the authorities that issue client certificates.
    pub client_ca_file: PathBuf,
}

impl TlsConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.certificate_file, &mut self.key_file, &mut self.client_ca_file] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        }
    }

    /// Checks what fields ask of each other; the text names the fix.
    pub fn validate(&self) -> Result<(), Error> {
        let is_given = |file: &Path| !file.as_os_str().is_empty();
        let has_files = is_given(&self.certificate_file) || is_given(&self.key_file);
        let is_ordered = !self.acme_hosts.is_empty();
        let why = if is_ordered && has_files {
            "acme_hosts stands beside certificate_file or key_file: remove one or the other"
        } else if is_ordered && self.client_certificates == ClientCertificates::Required {
            "acme_hosts does not go with client_certificates: required, since the authority shows \
             none: use optional, or certificate_file"
        } else if self.client_certificates != ClientCertificates::Ignored
            && !is_given(&self.client_ca_file)
        {
            "client_certificates needs client_ca_file: the authorities that issue them"
        } else {
            return Ok(());
        };
        Err(Error(format!("tls: {why}")))
    }

    /// Files that it is read from.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if self.acme_hosts.is_empty() {
            files.extend([self.certificate_file.clone(), self.key_file.clone()]);
        }
        if self.client_certificates != ClientCertificates::Ignored {
            files.push(self.client_ca_file.clone());
        }
        files
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Ignored,
    /// They are asked; who has none may call, who has a wrong one may not.
    Optional,
    /// Nobody without one may connect.
    Required,
}

/// Shape of the gateway's own errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `{"error": {"code", "message", …}}`, which every SDK reads.
    #[default]
    Openai,
    /// `{"statusCode", "message"}`, as API Management has it.
    ApiManagement,
}

/// What happens to an unknown path below a known prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPaths {
    /// It is recorded and sent on: new operations work before the gateway knows them.
    #[default]
    Proxy,
    /// It is recorded and refused with 404.
    Refuse,
}

/// What becomes of calls that name objects: files, threads, responses and their like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectsConfig {
    /// Calls that name an object which was not made through this gateway.
    pub unknown: UnknownObjects,
    /// Objects held in memory; the others are read from the disk when they are asked for. It is read at
    /// the start.
    pub cached_max: u32,
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        Self { unknown: UnknownObjects::default(), cached_max: 100_000 }
    }
}

/// What becomes of a call that names an object which is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownObjects {
    /// It gets 404, as if the backend did not have it: nobody reaches what is not known to be theirs.
    #[default]
    Refuse,
    /// It goes where new objects of the subscription are made. For objects that were there before
    /// Gatehouse; whoever knows the id of one can use it.
    Home,
}

/// What is recorded, and how long an abandoned answer is read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Request bytes kept in memory while the body is looked into; the rest goes to a file.
    pub spool_memory_bytes: u32,
    /// Answers of known length up to this size are passed on whole, once they are recorded.
    pub whole_answer_bytes_max: u32,
    /// After the client hung up, the answer is read for at most this many bytes more.
    pub drain_bytes_max: u64,
    /// After the client hung up, the answer is read for at most this long, in milliseconds.
    pub drain_ms_max: u64,
    /// Longest gap between two pieces of an answer, in milliseconds.
    pub answer_gap_timeout_ms: u64,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            spool_memory_bytes: 32 << 10,
            whole_answer_bytes_max: 32 << 10,
            drain_bytes_max: 16 << 20,
            drain_ms_max: 120_000,
            answer_gap_timeout_ms: 300_000,
        }
    }
}

/// What backends are shown, by the backend's id; made by whoever starts the gateway.
pub type BackendKeys = BTreeMap<String, Arc<Credential>>;

//! What a simulated resource looks like: its name, deployments, keys, speed and limits.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One simulated Azure OpenAI resource that answers OpenAI's own paths too.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatorConfig {
    /// Resource name; it goes into ids and opaque headers, so that two instances never mint the same id.
    pub name: String,
    /// Azure region reported in `x-ms-region`.
    pub region: String,
    /// Decides every generated text, vector and picture: same seed and request, same answer.
    pub seed: u64,
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate to serve; absent means plain HTTP/1.1 and HTTP/2 with prior knowledge.
    #[serde(skip)]
    #[schemars(skip)]
    pub tls: Option<Arc<TlsIdentity>>,
    /// Deployments of the resource; on OpenAI's paths the model name selects one too.
    pub deployments: Vec<Deployment>,
    /// Accepted keys (made-up ones, never real secrets); empty means that every caller is let in.
    pub api_keys: Vec<String>,
    /// Whether a `Bearer` token that looks like a JWT passes as an Entra token, unverified.
    pub accept_entra_tokens: bool,
    /// How fast the models answer.
    pub latency: LatencyModel,
    /// Whether tokens and requests per minute are enforced with 429.
    pub rate_limits: bool,
    /// How prompt tokens are counted.
    pub tokenizer: Tokenizer,
    /// Whether an operation must exist in the `api-version` asked for.
    pub strictness: Strictness,
    /// Seconds since 1970 reported as the time of creation; absent means the wall clock.
    pub created_at_unix_s: Option<i64>,
    /// How many received requests are remembered; the oldest is forgotten first. 0 also skips hashing bodies.
    pub requests_kept_max: usize,
    /// How many calls are kept in the record of usage; the oldest is forgotten first.
    pub usage_kept_max: usize,
    /// How many objects of each kind are kept; the oldest is forgotten first.
    pub objects_per_kind_max: usize,
    /// Largest JSON request body accepted; longer ones get 413.
    pub json_body_bytes_max: u64,
    /// Largest uploaded file whose content is kept; of longer ones only size and hash.
    pub file_bytes_kept_max: u64,
    /// Kept file content in all; beyond it new files are kept as size and hash only.
    pub files_bytes_kept_max: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            name: "simulator".into(),
            region: "East US".into(),
            seed: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            deployments: Deployment::usual(),
            api_keys: Vec::new(),
            accept_entra_tokens: true,
            latency: LatencyModel::default(),
            rate_limits: false,
            tokenizer: Tokenizer::Words,
            strictness: Strictness::Faithful,
            created_at_unix_s: None,
            requests_kept_max: 1024,
            usage_kept_max: 0,
            objects_per_kind_max: 10_000,
            json_body_bytes_max: 256 << 20,
            file_bytes_kept_max: 16 << 20,
            files_bytes_kept_max: 256 << 20,
        }
    }
}

/// Certificate chain and key of a simulator that speaks TLS (ALPN `h2` and `http/1.1`).
pub struct TlsIdentity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// A model made callable under a name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deployment {
    /// Name in the URL (or in `model` on the v1 paths); case-sensitive.
    pub name: String,
    /// Model behind it; its name decides which operations work.
    pub model: String,
    /// Model version, shown in answers as `model-version`; empty leaves it away.
    pub version: String,
    /// Tokens per minute; requests per minute are 6 for every 1,000.
    pub tpm: u64,
    /// How capacity was bought.
    pub kind: DeploymentKind,
    /// Asynchronous filter: streamed text carries no annotations, they follow by offset.
    pub async_filter: bool,
    /// Longest prompt in tokens.
    pub context_tokens_max: u64,
    /// Tokens in each streamed piece of text (the filter's window).
    pub tokens_per_event: u32,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            name: "gpt-4o".into(),
            model: "gpt-4o".into(),
            version: String::new(),
            tpm: 1_000_000,
            kind: DeploymentKind::Standard,
            async_filter: false,
            context_tokens_max: 128_000,
            tokens_per_event: 1,
        }
    }
}

impl Deployment {
    /// A deployment of `model` under `name` with everything else at its default.
    pub fn new(name: &str, model: &str) -> Self {
        Self { name: name.into(), model: model.into(), ..Self::default() }
    }

    /// One deployment of each kind of model, named as the model.
    pub fn usual() -> Vec<Self> {
        let models = [
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4.1",
            "o4-mini",
            "gpt-35-turbo-instruct",
            "gpt-4o-audio-preview",
            "text-embedding-ada-002",
            "text-embedding-3-small",
            "text-embedding-3-large",
            "dall-e-3",
            "gpt-image-1",
            "whisper",
            "whisper-1",
            "gpt-4o-transcribe",
            "tts-1",
            "gpt-4o-mini-tts",
            "gpt-realtime",
            "gpt-4o-realtime-preview",
        ];
        models.iter().map(|model| Self::new(model, model)).collect()
    }
}

/// How a deployment's capacity was bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentKind {
    /// Pay as you go in one region.
    Standard,
    /// Pay as you go, any region.
    GlobalStandard,
    /// Provisioned throughput: 429 once full.
    Provisioned,
}

/// How long a model takes. All zero by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyModel {
    /// Before the first byte of an answer, in milliseconds.
    pub first_byte_ms: f64,
    /// Between two tokens, in milliseconds.
    pub per_token_ms: f64,
    /// Share by which each wait varies around its mean, 0 to 1; drawn from the seed.
    pub jitter: f64,
}

impl LatencyModel {
    /// The wait before the first byte, varied by `draw`.
    pub(crate) fn first_byte(&self, draw: u64) -> Duration {
        self.vary(self.first_byte_ms, draw)
    }

    /// The wait before a token, varied by `draw`.
    pub(crate) fn per_token(&self, draw: u64) -> Duration {
        self.vary(self.per_token_ms, draw)
    }

    fn vary(&self, mean_ms: f64, draw: u64) -> Duration {
        let mean_ms = mean_ms.clamp(0.0, 3_600_000.0);
        let share = (draw >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0;
        let factor = 1.0 + self.jitter.clamp(0.0, 1.0) * share;
        Duration::from_secs_f64(mean_ms * factor.max(0.0) / 1000.0)
    }
}

/// How prompt tokens are counted. Generated text is made of pieces that are one token each in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    /// Fast rule: each started eight ASCII letters or digits of a word, and every other character but white space, is a token.
    Words,
    /// The `o200k_base` vocabulary (loaded at the first use).
    O200k,
}

/// How closely paths and versions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// As Azure: an operation exists only in its versions and on its path, else 404.
    Faithful,
    /// Any known version serves every operation, any model does any work, and the paths that
    /// misconfigured clients use work too.
    Lenient,
}

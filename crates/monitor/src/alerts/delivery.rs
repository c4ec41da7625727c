//! Sinks: webhooks, chats, mail. One attempt at a time; when to try again is the outbox's business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Timestamp;
use http::request::Builder;
use http::{Method, Request, Uri, header};
use net::{Body, Client, ClientConfig, EgressRules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vault::{SecretRef, Vault};

use super::engine::Change;
use super::mail::Mailer;
use super::payload;
use super::rule::AlertRule;
use crate::secret_headers::{are_headers, with_secrets};

/// Longest message, as Azure has it.
const MESSAGE_BYTES_MAX: usize = 262_144;
/// Most sinks' connections at once.
const CONNECTIONS_MAX: u32 = 4;

/// What kind of sink it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// POST with Azure Monitor's common alert schema.
    #[default]
    Webhook,
    /// Slack's incoming webhook, or one that is compatible.
    Slack,
    /// A Teams workflow that takes webhook requests.
    Teams,
    /// E-mail, through `mail`.
    Mail,
}

/// A place that alerts go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SinkConfig {
    /// Its id.
    pub id: String,
    /// What kind of sink it is.
    pub kind: SinkKind,
    /// Where to POST. Its address must be among those of `egress`.
    pub url: String,
    /// Where the URL is found instead, for URLs that are secrets themselves.
    pub secret_url: Option<SecretRef>,
    /// Further headers of the request.
    pub headers: BTreeMap<String, String>,
    /// Further headers whose values are secrets, and where those are found.
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// Addresses that mail goes to.
    pub to: Vec<String>,
    /// The least severe alerts that it gets: 0 only the critical ones, 4 all.
    pub severity_max: u8,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub ca_file: PathBuf,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: SinkKind::Webhook,
            url: String::new(),
            secret_url: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            to: Vec::new(),
            severity_max: 4,
            ca_file: PathBuf::new(),
            timeout_ms: 10_000,
        }
    }
}

impl SinkConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("give it an id".into());
        }
        if self.kind == SinkKind::Mail {
            return match self.to.is_empty() {
                true => Err("it is a mail sink without `to`: give it an address".into()),
                false => Ok(()),
            };
        }
        if self.url.is_empty() == self.secret_url.is_none() {
            return Err("give it a `url` or a `secret_url`".into());
        }
        if !are_headers(&self.headers) || !are_headers(&self.secret_headers) {
            return Err("one of its `headers` or `secret_headers` is no name of a header".into());
        }
        Ok(())
    }

    /// Where its secrets are found.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.secret_url.iter().chain(self.secret_headers.values())
    }

    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if !self.ca_file.as_os_str().is_empty() {
            self.ca_file = folder.join(&self.ca_file);
        }
        for reference in self.secret_url.iter_mut().chain(self.secret_headers.values_mut()) {
            reference.resolve_path(folder);
        }
    }

    async fn uri(&self, vault: &Vault) -> Result<Uri, Failure> {
        // The URL may be a secret: it is not shown.
        let malformed = |_| Failure::retry("its URL is malformed: correct it".into());
        let Some(reference) = &self.secret_url else {
            return self.url.parse().map_err(malformed);
        };
        let secret = vault.current(reference).await;
        let secret = secret.map_err(|error| Failure::retry(error.story()))?;
        secret.expose().parse().map_err(malformed)
    }
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Trying again is of no use: the sink understood it and refused.
    pub is_final: bool,
    /// What happened, without the sink's address.
    pub why: String,
}

impl Failure {
    pub(super) fn retry(why: String) -> Self {
        Self { is_final: false, why }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Delivers to sinks.
pub struct Courier {
    egress: EgressRules,
    mailer: Option<Arc<Mailer>>,
    vault: Vault,
    portal_url: String,
}

impl Courier {
    /// Dials within `egress`; mail goes through `mailer`; secrets of sinks come from `vault`.
    pub fn new(
        egress: EgressRules,
        mailer: Option<Arc<Mailer>>,
        vault: Vault,
        portal_url: String,
    ) -> Self {
        Self { egress, mailer, vault, portal_url }
    }

    /// Fetches what these sinks need; what fails is tried again when it is needed.
    pub(super) async fn fetch_secrets(&self, sinks: &[SinkConfig]) {
        let password = self.mailer.as_ref().and_then(|mailer| mailer.password());
        for reference in sinks.iter().flat_map(SinkConfig::secrets).chain(password) {
            if let Err(error) = self.vault.current(reference).await {
                tracing::warn!(error = error.story(), "a secret of alert sinks is not at hand");
            }
        }
    }

    /// One attempt.
    pub async fn deliver(
        &self,
        sink: &SinkConfig,
        rule: &AlertRule,
        change: &Change,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let body = match sink.kind {
            SinkKind::Webhook => payload::common_schema(rule, change, &self.portal_url, now),
            SinkKind::Slack => payload::slack(rule, change, &self.portal_url),
            SinkKind::Teams => payload::teams(rule, change, &self.portal_url),
            SinkKind::Mail => {
                let Some(mailer) = &self.mailer else {
                    let why = "there is no mail server: give one under `mail`";
                    return Err(Failure::retry(why.into()));
                };
                let subject = payload::headline(rule, change);
                let text = payload::text(rule, change, &self.portal_url);
                return mailer.send(&sink.to, &subject, text, None).await;
            }
        };
        self.post(sink, &change.alert_id, &body).await
    }

    async fn post(&self, sink: &SinkConfig, alert_id: &str, body: &Value) -> Result<(), Failure> {
        let body = body.to_string();
        if body.len() > MESSAGE_BYTES_MAX {
            let why = format!("the message is longer than {MESSAGE_BYTES_MAX} bytes");
            return Err(Failure { is_final: true, why });
        }
        let uri = sink.uri(&self.vault).await?;
        let config = ClientConfig {
            ca_file: sink.ca_file.clone(),
            answer_timeout_ms: sink.timeout_ms,
            connections_max: CONNECTIONS_MAX,
            ..ClientConfig::default()
        };
        let client = Client::new(&uri, &config, self.egress.clone())
            .map_err(|error| Failure::retry(error.to_string()))?;
        let request = request(sink, &uri, alert_id, body.len());
        let request = with_secrets(request, &sink.secret_headers, &self.vault).await;
        let body = Body::whole(Bytes::from(body));
        let request = request
            .map_err(Failure::retry)?
            .body(body)
            .map_err(|error| Failure::retry(format!("its headers are malformed: {error}")))?;
        let sent = tokio::time::timeout(
            Duration::from_millis(sink.timeout_ms.saturating_mul(2)),
            client.send(request),
        );
        let answer = match sent.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Failure::retry(error.to_string())),
            Err(_) => return Err(Failure::retry("no answer in time".into())),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // What the sink will refuse again: all of 4xx but for timeouts and limits.
        let is_final = status.is_client_error()
            && !matches!(status.as_u16(), 401 | 403 | 404 | 408 | 425 | 429);
        Err(Failure { is_final, why: format!("the sink answered {}", status.as_u16()) })
    }
}

fn request(sink: &SinkConfig, uri: &Uri, alert_id: &str, length: usize) -> Builder {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, length)
        .header("idempotency-key", alert_id);
    for (name, value) in &sink.headers {
        request = request.header(name, value);
    }
    request
}

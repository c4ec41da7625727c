//! Sinks: webhooks, chats, mail. One attempt at a time; when to try again is the outbox's business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Timestamp;
use http::{Method, Request, Uri, header};
use net::{Body, Client, ClientConfig, EgressRules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::Change;
use super::mail::Mailer;
use super::payload;
use super::rule::AlertRule;

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
    /// File that holds the URL instead, for URLs that are secrets themselves.
    pub url_file: PathBuf,
    /// Further headers of the request.
    pub headers: BTreeMap<String, String>,
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
            url_file: PathBuf::new(),
            headers: BTreeMap::new(),
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
        if self.url.is_empty() == self.url_file.as_os_str().is_empty() {
            return Err("give it a `url` or a `url_file`".into());
        }
        let names = self.headers.keys().all(|name| name.parse::<header::HeaderName>().is_ok());
        if !names {
            return Err("one of its `headers` is no name of a header".into());
        }
        Ok(())
    }

    fn uri(&self) -> Result<Uri, Failure> {
        let text = match self.url_file.as_os_str().is_empty() {
            true => self.url.clone(),
            false => std::fs::read_to_string(&self.url_file).map_err(|error| {
                Failure::retry(format!("cannot read {}: {error}", self.url_file.display()))
            })?,
        };
        // The URL may be a secret: it is not shown.
        text.trim().parse().map_err(|_| Failure::retry("its URL is malformed: correct it".into()))
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
    portal_url: String,
}

impl Courier {
    /// Dials within `egress`; mail goes through `mailer`.
    pub fn new(egress: EgressRules, mailer: Option<Arc<Mailer>>, portal_url: String) -> Self {
        Self { egress, mailer, portal_url }
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
        let uri = sink.uri()?;
        let config = ClientConfig {
            ca_file: sink.ca_file.clone(),
            answer_timeout_ms: sink.timeout_ms,
            connections_max: CONNECTIONS_MAX,
            ..ClientConfig::default()
        };
        let client = Client::new(&uri, &config, self.egress.clone())
            .map_err(|error| Failure::retry(error.to_string()))?;
        let request = request(sink, &uri, alert_id, body)?;
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

fn request(
    sink: &SinkConfig,
    uri: &Uri,
    alert_id: &str,
    body: String,
) -> Result<Request<Body>, Failure> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header("idempotency-key", alert_id);
    for (name, value) in &sink.headers {
        request = request.header(name, value);
    }
    let body = Body::whole(Bytes::from(body));
    request
        .body(body)
        .map_err(|error| Failure::retry(format!("its headers are malformed: {error}")))
}

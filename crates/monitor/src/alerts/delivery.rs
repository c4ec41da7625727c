//! Delivery to webhooks, chats and mail. One attempt at a time; when to try again is the outbox's business.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::Timestamp;
use http::request::Builder;
use http::{Method, Request, Uri, header};
use net::{Body, Client, ClientConfig, EgressRules};
use policy::AlertRule;
use serde_json::Value;
use vault::Vault;

use super::engine::Change;
use super::mail::Mailer;
use super::payload;
use super::sink::{Failure, SinkConfig, SinkKind};
use crate::secret_headers::with_secrets;

/// Longest message, as Azure has it.
const MESSAGE_BYTES_MAX: usize = 262_144;
/// Most sinks' connections at once.
const CONNECTIONS_MAX: u32 = 4;

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

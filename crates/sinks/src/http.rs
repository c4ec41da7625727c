//! One request to a sink that is reached over HTTP, with its bounds. Redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use http::request::Builder;
use http::{StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use net::{Body, Client, ClientConfig};
use tokio_util::bytes::Bytes;
use vault::{Carrier, Credential, CredentialSource};

use crate::batch::Failure;
use crate::config::SinkConfig;
use crate::sink::Surroundings;

/// Longest time for a request and its answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Connections of one job.
const CONNECTIONS_MAX: u32 = 2;
/// Headers with a code that says why, and nothing of what was sent.
const CODES: [&str; 2] = ["x-ms-error-code", "x-clickhouse-exception-code"];

/// Calls one origin.
pub(crate) struct Caller {
    client: Client,
    what: &'static str,
    token: Option<Arc<Credential>>,
}

/// Reads the origin of a sink; nothing stands behind it.
pub(crate) fn origin(url: &str) -> Result<Uri, String> {
    let wrong = || format!("url: `{url}` is no address: give one such as https://host");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let is_origin = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && matches!(uri.scheme_str(), Some("http" | "https"))
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none();
    if is_origin { Ok(uri) } else { Err(wrong()) }
}

impl Caller {
    /// `what` names the sink in errors. With an identity it shows tokens for `scope`.
    pub(crate) fn new(
        config: &SinkConfig,
        what: &'static str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        let uri = origin(&config.url).map_err(Failure::refused)?;
        let connection = ClientConfig {
            connections_max: CONNECTIONS_MAX,
            idle_connections_max: 1,
            ..config.connection.clone()
        };
        let client = Client::new(&uri, &connection, around.egress.clone());
        let client = client.map_err(|error| Failure::refused(error.to_string()))?;
        let token = config.token_source().map(|source: CredentialSource| {
            around.vault.credential(&format!("sink {}", config.id), &source, Carrier::Bearer)
        });
        let token = token.transpose().map_err(|error| Failure::refused(error.story()))?;
        Ok(Self { client, what, token })
    }

    /// Sends it; what is answered where that is a success.
    pub(crate) async fn send(&self, request: Builder, body: String) -> Result<Bytes, Failure> {
        let mut request = request.header(header::CONTENT_LENGTH, body.len());
        if let Some(token) = &self.token {
            let shown = token.header().ok_or_else(|| {
                Failure::again(format!("{}: there is no token: {}", self.what, token.trouble()))
            })?;
            request = request.header(token.name(), shown);
        }
        let request = request.body(Body::whole(Bytes::from(body)));
        let request =
            request.map_err(|error| Failure::refused(format!("{}: {error}", self.what)))?;
        let exchange = async {
            let sent = self.client.send(request).await;
            let answer = sent.map_err(|error| self.unreached(&error))?;
            let (parts, body) = answer.into_parts();
            if !parts.status.is_success() {
                let code = CODES.iter().find_map(|name| parts.headers.get(*name)?.to_str().ok());
                return Err(self.refusal(parts.status, code));
            }
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|_| Failure::again(format!("{} broke off", self.what)))?;
            Ok(body.to_bytes())
        };
        let late =
            |_| Failure::again(format!("{}: no answer within {} s", self.what, TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(late)?
    }

    fn unreached(&self, error: &net::Error) -> Failure {
        let hint = match error.kind() {
            net::ErrorKind::Denied => " (see egress.allow)",
            _ => "",
        };
        Failure::again(format!("{}: {error}{hint}", self.what))
    }

    fn refusal(&self, status: StatusCode, code: Option<&str>) -> Failure {
        let code = code.map_or_else(String::new, |code| format!(" ({code})"));
        let why = format!("{} answered {}{code}", self.what, status.as_u16());
        let passes = matches!(status.as_u16(), 408 | 425 | 429);
        match status.is_client_error() && !passes {
            true => Failure::refused(why),
            false => Failure::again(why),
        }
    }
}

/// Percent-encoded, so that it may stand in a query or as one segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                done.push(char::from(byte));
            }
            _ => done.push_str(&format!("%{byte:02X}")),
        }
    }
    done
}

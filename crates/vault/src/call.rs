//! One call to a home of secrets or a token endpoint, with its bounds. Redirects are not followed.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use net::{Body, Client, ClientConfig, EgressRules};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind};

/// Largest answer that is read; a secret has 25,600 bytes at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest pause that a home may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Calls one origin.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    what: String,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Zeroizing<Vec<u8>>,
    /// How long the home wants to be left alone.
    pub(crate) pause: Option<Duration>,
}

/// The error shapes of Entra ID, Key Vault and OpenBao, by what is safe to show of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: serde_json::Value,
    error_codes: Vec<u64>,
}

impl Caller {
    /// `what` names the home in errors.
    pub(crate) fn new(
        base: &str,
        config: &ClientConfig,
        rules: EgressRules,
        what: &str,
    ) -> Result<Self, Error> {
        let wrong = |why: &str| {
            let text = format!("{what}: `{base}` {why}: give a URL such as https://host");
            Error::new(ErrorKind::Config, text)
        };
        let uri: Uri = base.parse().map_err(|_| wrong("is no URL"))?;
        let config = ClientConfig { connections_max: 8, idle_connections_max: 2, ..config.clone() };
        let client = Client::new(&uri, &config, rules)
            .map_err(|error| Error::new(ErrorKind::Config, what).caused(error))?;
        Ok(Self { client, what: what.to_owned() })
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, Error> {
        let failed = |why: &str| Error::new(ErrorKind::Unavailable, format!("{} {why}", self.what));
        let call = async {
            let answer = self.client.send(request).await.map_err(|error| {
                let kind = match error.kind() {
                    net::ErrorKind::Denied | net::ErrorKind::Config => ErrorKind::Config,
                    _ => ErrorKind::Unavailable,
                };
                let why = format!("{} was not reached", self.what);
                let is_denied = error.kind() == net::ErrorKind::Denied;
                let hint = if is_denied { " (see vault.egress.allow)" } else { "" };
                Error::new(kind, format!("{why}{hint}")).caused(error)
            })?;
            let (parts, body) = answer.into_parts();
            let pause = parts.headers.get(http::header::RETRY_AFTER);
            let pause = pause.and_then(|value| value.to_str().ok()?.parse().ok());
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|_| failed("broke off its answer"))?.to_bytes();
            Ok(Answer {
                status: parts.status,
                body: Zeroizing::new(body.to_vec()),
                pause: pause.map(|seconds| Duration::from_secs(seconds).min(PAUSE_MAX)),
            })
        };
        tokio::time::timeout(TIMEOUT, call).await.unwrap_or_else(|_| Err(failed("did not answer")))
    }
}

impl Answer {
    /// What it says, if it is a success; else the error.
    pub(crate) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(self.refusal(what));
        }
        serde_json::from_slice(&self.body).map_err(|_| {
            // The cause would show what was read.
            let text = format!("{what} answered in a shape that is not known");
            Error::new(ErrorKind::Unavailable, text)
        })
    }

    /// Status and code of an answer that is no success.
    pub(crate) fn refusal(&self, what: &str) -> Error {
        let code = self.code();
        let status = self.status.as_u16();
        let kind = match status {
            400 | 401 | 403 => ErrorKind::Denied,
            404 | 410 => ErrorKind::Missing,
            _ => ErrorKind::Unavailable,
        };
        let code = if code.is_empty() { code } else { format!(" ({code})") };
        Error::new(kind, format!("{what} answered with status {status}{code}"))
    }

    fn code(&self) -> String {
        let refused: Refused = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut codes: Vec<String> = Vec::new();
        let inner = [&refused.error, &refused.error["code"], &refused.error["innererror"]["code"]];
        codes.extend(inner.iter().filter_map(|value| value.as_str()).map(str::to_owned));
        codes.extend(refused.error_codes.iter().map(|code| format!("AADSTS{code}")));
        // A code is a word; what is none may be anything.
        codes.retain(|code| {
            code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        });
        codes.join(", ")
    }
}

/// A body of form fields.
pub(crate) fn form(fields: &[(&str, &str)]) -> Body {
    let mut text = Zeroizing::new(String::new());
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&encoded(value));
    }
    Body::whole(Bytes::copy_from_slice(text.as_bytes()))
}

/// Percent-encoded, so that it may stand in a form or as one segment of a path.
pub(crate) fn encoded(text: &str) -> Zeroizing<String> {
    let mut done = Zeroizing::new(String::with_capacity(text.len()));
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

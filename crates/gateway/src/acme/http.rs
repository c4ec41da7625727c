//! The way to the authority: every socket through `net`, every answer bounded.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use net::{Body, Client, ClientConfig, EgressRules};

/// Largest answer that is read: chains are the largest.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Origins that one directory may lead to.
const ORIGINS_MAX: usize = 4;

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// Sends what an account signs.
pub(super) struct Http {
    config: ClientConfig,
    rules: EgressRules,
    clients: Mutex<HashMap<String, Client>>,
}

impl Http {
    pub(super) fn new(config: &ClientConfig, rules: EgressRules) -> Self {
        let config = ClientConfig { connections_max: 4, idle_connections_max: 1, ..config.clone() };
        Self { config, rules, clients: Mutex::default() }
    }

    fn client(&self, url: &Uri) -> Result<Client, String> {
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(format!("the authority names `{url}`, which is no URL"));
        };
        if scheme != "https" && !is_loopback(authority.host()) {
            return Err(format!("`{url}` is not encrypted: use https"));
        }
        let origin = format!("{scheme}://{authority}");
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&origin) {
            return Ok(client.clone());
        }
        let base: Uri = origin.parse().map_err(|_| format!("`{origin}` is no URL"))?;
        let client = Client::new(&base, &self.config, self.rules.clone());
        let client = client.map_err(|error| error.story())?;
        if clients.len() >= ORIGINS_MAX {
            clients.clear();
        }
        clients.insert(origin, client.clone());
        Ok(client)
    }
}

impl HttpClient for Http {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        let client = self.client(request.uri());
        Box::pin(async move {
            let answer = async {
                let (parts, body) = request.into_parts();
                let is_directory = parts.method == Method::GET;
                let Ok(body) = body.collect().await;
                let request = Request::from_parts(parts, Body::whole(body.to_bytes()));
                let answer = client?.send(request).await.map_err(|error| {
                    let is_denied = error.kind() == net::ErrorKind::Denied;
                    let hint = if is_denied { " (see acme.egress.allow)" } else { "" };
                    format!("{}{hint}", error.story())
                })?;
                let (parts, body) = answer.into_parts();
                if is_directory && !parts.status.is_success() {
                    let status = parts.status.as_u16();
                    return Err(format!(
                        "there is no directory (status {status}): check acme.directory_url"
                    ));
                }
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
                Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
            };
            let answer = tokio::time::timeout(TIMEOUT, answer).await;
            let answer = answer.unwrap_or_else(|_| Err("the authority does not answer".to_owned()));
            answer.map_err(|why: String| Error::Other(why.into()))
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

//! Sending one request to one origin.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};

use crate::pool::{Checkout, Pool, Sender};
use crate::{AnswerBody, Body, ClientConfig, Connector, EgressRules, Error, ErrorKind};

/// Stale connections that one request may meet before a new one is demanded.
const STALE_MAX: u32 = 3;

/// An HTTP client of one origin, with its own connections; clones share them.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    answer_timeout: Duration,
}

impl Client {
    /// A client of the origin of `base`, such as `https://name.openai.azure.com`.
    pub fn new(base: &Uri, config: &ClientConfig, rules: EgressRules) -> Result<Self, Error> {
        let connector = Connector::new(base, config, rules)?;
        let wrong = || Error::new(ErrorKind::Config, format!("`{base}` is no base URL"));
        let authority = base.authority().ok_or_else(wrong)?.clone();
        if authority.as_str().contains('@') {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the URL of {} holds credentials: remove them", authority.host()),
            ));
        }
        Ok(Self {
            pool: Arc::new(Pool::new(connector, config.clone())),
            scheme: base.scheme().ok_or_else(wrong)?.clone(),
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            authority,
            answer_timeout: Duration::from_millis(config.answer_timeout_ms),
        })
    }

    /// Sends a request whose URI is a path and query; answers as soon as the answer's head is there.
    /// Scheme and version are set here, and the host where the request names none. The protocol spoken is
    /// the answer's version.
    ///
    /// A request with `Upgrade` goes over HTTP/1.1 on a connection of its own; if the answer is 101,
    /// [`Upgraded::from_answer`](crate::Upgraded::from_answer) takes the connection over.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<AnswerBody>, Error> {
        if request.headers().contains_key(UPGRADE) {
            let connection = Box::pin(self.pool.connect_alone()).await?;
            return self.exchange(connection, request).await.map_err(|(error, _)| error);
        }
        let mut request = request;
        for stale in 0..=STALE_MAX {
            let connection = self.pool.checkout().await?;
            let is_reused = connection.is_reused;
            match self.exchange(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err((_, Some(unsent))) if is_reused && stale < STALE_MAX => request = *unsent,
                Err((error, _)) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Connect, "every connection at hand had been closed"))
    }

    /// Closes idle connections and waits for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// One attempt; gives the request back where none of it was sent.
    async fn exchange(
        &self,
        mut connection: Checkout,
        mut request: Request<Body>,
    ) -> Result<Response<AnswerBody>, (Error, Option<Box<Request<Body>>>)> {
        let sent = match &mut connection.sender {
            Sender::Http1(connection) => {
                to_http1(&mut request, &self.host);
                if !request.body().is_whole() {
                    self.pool.spawn(connection);
                }
                tokio::time::timeout(self.answer_timeout, connection.send(request)).await
            }
            Sender::Http2 { sender, .. } => {
                to_http2(&mut request, &self.scheme, &self.authority);
                tokio::time::timeout(self.answer_timeout, sender.try_send_request(request)).await
            }
        };
        match sent {
            Ok(Ok(answer)) => {
                let lease = connection.into_lease(&self.pool);
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return Ok(answer.map(|body| AnswerBody::switching(body, lease)));
                }
                Ok(answer.map(|body| AnswerBody::new(body, lease)))
            }
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().map(Box::new);
                Err((broken(failed.into_error(), unsent.is_some()), unsent))
            }
            Err(_) => {
                let text = format!("no answer within {} ms", self.answer_timeout.as_millis());
                Err((Error::new(ErrorKind::Timeout, text), None))
            }
        }
    }
}

fn broken(source: hyper::Error, is_unsent: bool) -> Error {
    if source.is_user() || source.is_body_write_aborted() {
        return Error::caused(ErrorKind::Body, "the request's body broke off", source);
    }
    if is_unsent {
        return Error::caused(ErrorKind::Connect, "the connection was closed", source);
    }
    Error::caused(ErrorKind::Broken, "the connection broke before an answer", source)
}

fn to_http1(request: &mut Request<Body>, host: &HeaderValue) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(path_of(request));
    }
    request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
}

fn to_http2(request: &mut Request<Body>, scheme: &Scheme, authority: &Authority) {
    *request.version_mut() = Version::HTTP_2;
    let named = request.headers_mut().remove(HOST);
    let named = named.and_then(|host| Authority::from_maybe_shared(host).ok());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(named.unwrap_or_else(|| authority.clone()));
    parts.path_and_query = Some(path_of(request));
    *request.uri_mut() =
        Uri::from_parts(parts).expect("scheme, authority and path make an absolute URI");
}

fn path_of(request: &Request<Body>) -> PathAndQuery {
    let path = request.uri().path_and_query();
    path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

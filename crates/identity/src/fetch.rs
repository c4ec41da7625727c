//! One small answer over HTTP: bounded in time and bytes, never redirected.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use net::{Body, Client, ClientConfig, EgressRules};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Time for everything.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a provider is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) connection: ClientConfig,
    pub(crate) egress: EgressRules,
}

impl Route {
    /// The body of the answer, which must have status 200.
    pub(crate) async fn get(&self, url: &Uri) -> Result<Bytes, String> {
        let request = Request::get(path(url)).header(header::ACCEPT, "application/json");
        self.send(url, request.body(Body::empty())).await
    }

    /// Posts JSON with a bearer token.
    pub(crate) async fn post_json(
        &self,
        url: &Uri,
        token: &str,
        body: &'static [u8],
    ) -> Result<Bytes, String> {
        let request = Request::post(path(url))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(url, request.body(Body::whole(body.into()))).await
    }

    /// Posts a form.
    pub(crate) async fn post_form(&self, url: &Uri, form: String) -> Result<Bytes, String> {
        let request = Request::post(path(url))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONTENT_LENGTH, form.len());
        self.send(url, request.body(Body::whole(form.into()))).await
    }

    async fn send(&self, url: &Uri, request: http::Result<Request<Body>>) -> Result<Bytes, String> {
        let host = url.host().unwrap_or_default();
        let request = request.map_err(|error| format!("{host}: {error}"))?;
        let client = Client::new(url, &self.connection, self.egress.clone())
            .map_err(|error| error.story())?;
        let answered = tokio::time::timeout(TIMEOUT, async {
            let answer = client.send(request).await.map_err(|error| error.story())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("{host}: {error}"))?.to_bytes();
            match status.as_u16() {
                200 => Ok(body),
                status => Err(format!("{host} answered {status} at {}", url.path())),
            }
        });
        let answered =
            answered.await.unwrap_or_else(|_| Err(format!("{host} did not answer in time")));
        client.close().await;
        answered
    }
}

fn path(url: &Uri) -> &str {
    url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

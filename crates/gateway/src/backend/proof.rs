//! Proving a backend's new key before it is used: an unbilled call that needs the key.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Limited};
use net::Body;
use tokio_util::sync::CancellationToken;
use vault::{Candidate, Credential};

use crate::backend::Backend;
use crate::config::BackendKind;

/// Pause before a key that was not taken is tried again, unless there is another.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of the answer that are read, so that the connection can be used again.
const BODY_BYTES_MAX: usize = 256 << 10;

impl Backend {
    /// Proves new keys until stopped or no longer in the settings.
    pub(crate) async fn prove(self: Arc<Self>, stop: CancellationToken) {
        let Some(credential) = &self.origin.credential else { return };
        let proving = async {
            loop {
                let candidate = credential.candidate(None).await;
                if !self.prove_once(credential, &candidate).await {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        _ = credential.candidate(Some(&candidate)) => {}
                    }
                }
            }
        };
        tokio::select! {
            () = proving => {}
            () = stop.cancelled() => {}
            () = self.retired.cancelled() => {}
        }
    }

    /// False if it must be tried again.
    async fn prove_once(&self, credential: &Credential, candidate: &Candidate) -> bool {
        let path = match self.kind {
            BackendKind::Azure => "/openai/models?api-version=2024-10-21",
            BackendKind::Openai => "/v1/models",
        };
        let Ok(path) = self.path(path) else { return false };
        let mut request = Request::get(path).body(Body::empty()).expect("the path was parsed");
        request.headers_mut().insert(credential.name(), candidate.header.clone());
        let call = async {
            let answer = self.client.send(request).await.ok()?;
            let status = answer.status().as_u16();
            // What it says does not matter.
            let _ = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
            Some(status)
        };
        let status = tokio::time::timeout(TIMEOUT, call).await.ok().flatten();
        let is_taken = match status {
            Some(200..=299 | 429) => true,
            // It has no list of models: it is taken at its word that it did not refuse the key.
            Some(404 | 405 | 501) => true,
            Some(401 | 403) => false,
            // Nobody knows.
            _ => return false,
        };
        credential.proved(candidate, is_taken);
        is_taken
    }
}

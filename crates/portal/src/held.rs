//! A secret that this listener needs again and again, fetched from its home once a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use vault::{Error, ErrorKind, Secret, SecretRef, Vault};

/// How long a secret is used before its home is asked again.
const FRESH: Duration = Duration::from_secs(60);

/// A secret by its reference; clones share it.
#[derive(Clone)]
pub(crate) struct Held(Arc<Inner>);

struct Inner {
    vault: Vault,
    reference: SecretRef,
    last: Mutex<Option<(Instant, Secret)>>,
}

impl Held {
    pub(crate) fn new(vault: Vault, reference: SecretRef) -> Self {
        Self(Arc::new(Inner { vault, reference, last: Mutex::default() }))
    }

    /// The secret; the one fetched last while its home does not answer.
    pub(crate) async fn get(&self) -> Result<Secret, Error> {
        let mut last = self.0.last.lock().await;
        if let Some((_, secret)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(secret.clone());
        }
        let fetched = self.0.vault.get(&self.0.reference).await;
        let secret = match (fetched, last.take()) {
            (Ok(secret), _) => secret,
            (Err(error), Some((_, before))) if error.kind() == ErrorKind::Unavailable => {
                let error = error.story();
                tracing::warn!(error, "a secret cannot be fetched: the one before is used");
                before
            }
            (Err(error), _) => return Err(error),
        };
        *last = Some((Instant::now(), secret.clone()));
        Ok(secret)
    }
}

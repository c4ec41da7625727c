//! Secrets that are needed again and again: each is fetched from its home once a minute at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::vault::Inner;
use crate::{Error, ErrorKind, Secret, SecretRef};

/// How long a secret is used before its home is asked again.
const FRESH: Duration = Duration::from_secs(60);
/// Secrets remembered; one more, and all are fetched anew.
const SECRETS_MAX: usize = 1_024;

/// When a secret was fetched, and what it was. Held while it is fetched: once for all who want it.
type Last = Arc<tokio::sync::Mutex<Option<(Instant, Secret)>>>;

/// Secrets fetched last, by their references.
#[derive(Default)]
pub(crate) struct Current(Mutex<HashMap<SecretRef, Last>>);

impl Current {
    fn last(&self, reference: &SecretRef) -> Last {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SECRETS_MAX && !known.contains_key(reference) {
            known.clear();
        }
        known.entry(reference.clone()).or_default().clone()
    }
}

impl Inner {
    /// A secret as it was within the last minute; the one fetched last while its home does not answer.
    pub(crate) async fn current(&self, reference: &SecretRef) -> Result<Secret, Error> {
        let last = self.current.last(reference);
        let mut last = last.lock().await;
        if let Some((_, secret)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(secret.clone());
        }
        let secret = match (self.get(reference).await, last.take()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Vault, VaultConfig};

    #[tokio::test]
    async fn a_secret_is_fetched_once_a_minute_and_those_remembered_are_bounded() {
        let vault = Vault::new(&VaultConfig::default(), |_| {}).unwrap();
        let folder = tempfile::TempDir::new().unwrap();
        let reference = SecretRef::File(folder.path().join("secret"));
        vault.current(&reference).await.expect_err("it is not there");
        std::fs::write(folder.path().join("secret"), "one\n").unwrap();
        assert_eq!(vault.current(&reference).await.unwrap().expose(), "one");
        std::fs::write(folder.path().join("secret"), "two\n").unwrap();
        assert_eq!(vault.current(&reference).await.unwrap().expose(), "one", "of this minute");
        for number in 0..SECRETS_MAX {
            let missing = SecretRef::File(folder.path().join(number.to_string()));
            vault.current(&missing).await.expect_err("it is not there");
        }
        assert!(vault.inner.current.0.lock().unwrap().len() <= SECRETS_MAX);
        assert_eq!(vault.current(&reference).await.unwrap().expose(), "two");
    }
}

//! Secrets that a gateway needs before it can start. Those of this machine are read when they are needed,
//! those of other homes are fetched ahead.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vault::{CredentialSource, Embedded, ErrorKind, Local, Secret, SecretRef, Vault};

use super::control::StateSource;
use super::{Config, bad_credential};
use crate::exit::{Exit, ExitWith};

/// Pause before a home that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Secrets of other machines, by their references.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched(Arc<HashMap<SecretRef, Secret>>);

impl Config {
    /// Reads a file as [`Config::load`] does, and fetches what is needed at the start.
    pub(crate) fn load_whole(file: &Path) -> anyhow::Result<Self> {
        let config = Self::load(file)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(config.with_secrets(Duration::ZERO, &Fetched::default()))
    }

    /// The same configuration with its proxy in force and with what is needed at the start at hand. A home
    /// that does not answer is asked again for as long as `patience`; then what was fetched `before` is used.
    pub(crate) async fn with_secrets(
        self,
        patience: Duration,
        before: &Fetched,
    ) -> anyhow::Result<Self> {
        let mut config = self.proxied()?;
        let wanted = config.needed_at_start().into_iter();
        let wanted: Vec<_> = wanted.filter(|(_, reference)| !reference.is_local()).collect();
        if wanted.is_empty() {
            return Ok(config);
        }
        let bad = |field: &str, error: &vault::Error| {
            ExitWith::error(Exit::BadConfig, format!("{field}: {}", error.story()))
        };
        let vault = Vault::new(&config.vault, |_| {}).map_err(|error| bad("vault", &error))?;
        let until = Instant::now() + patience;
        let mut fetched = HashMap::new();
        for (field, reference) in wanted {
            let secret = match (fetch(&vault, reference, until).await, before.0.get(reference)) {
                (Ok(secret), _) => secret,
                (Err(error), Some(secret)) if error.kind() == ErrorKind::Unavailable => {
                    let error = error.story();
                    tracing::warn!(field, error, "the secret fetched before is used");
                    secret.clone()
                }
                (Err(error), _) => return Err(bad(field, &error)),
            };
            fetched.insert(reference.clone(), secret);
        }
        config.fetched = Fetched(Arc::new(fetched));
        Ok(config)
    }

    /// The homes of what backends and Graph are shown are set up.
    pub(super) fn check_homes(&self, vault: &Vault) -> anyhow::Result<()> {
        for backend in &self.backends {
            if let Some((source, _)) =
                backend.credential().map_err(|error| bad_credential(backend, &error))?
            {
                vault.check(&source).map_err(|error| bad_credential(backend, &error.story()))?;
            }
        }
        for entry in &self.graph {
            let source = CredentialSource::Token(entry.auth.clone(), entry.scope.clone());
            vault.check(&source).map_err(|error| {
                let text = format!("graph of `{}`: {}", entry.provider, error.story());
                ExitWith::error(Exit::BadConfig, text)
            })?;
        }
        Ok(())
    }

    /// A secret that must be at hand at the start.
    pub(crate) fn secret(&self, reference: &SecretRef) -> Result<Secret, vault::Error> {
        if let Some(secret) = self.fetched.0.get(reference) {
            return Ok(secret.clone());
        }
        Local::new(Embedded::new(&self.vault.embedded)).get(reference)
    }

    /// The secrets without which nothing starts, by their fields.
    fn needed_at_start(&self) -> Vec<(&'static str, &SecretRef)> {
        let mut needed = vec![("key_hash_secret", &self.key_hash_secret)];
        if let Some(key) = &self.checkpoints.signing_key {
            needed.push(("checkpoints.signing_key", key));
        }
        let has_database =
            self.control.source == StateSource::Database && !self.control.url.is_empty();
        if let Some(password) = self.control.password.as_ref().filter(|_| has_database) {
            needed.push(("control.password", password));
        }
        if let Some(password) = self.redis.password.as_ref().filter(|_| !self.redis.url.is_empty())
        {
            needed.push(("redis.password", password));
        }
        needed
    }
}

async fn fetch(
    vault: &Vault,
    reference: &SecretRef,
    until: Instant,
) -> Result<Secret, vault::Error> {
    loop {
        match vault.get(reference).await {
            Err(error)
                if error.kind() == ErrorKind::Unavailable && Instant::now() + PAUSE < until =>
            {
                let error = error.story();
                tracing::warn!(error, "a secret that is needed at the start is not at hand yet");
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

//! Who signs the ledger, and how often.

use std::path::PathBuf;

use ledger::SigningKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

use super::Config;
use crate::exit::{Exit, ExitWith};
use crate::secret_file;

/// Signatures under the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CheckpointsConfig {
    /// Time between two signatures while records come, in seconds, 1 to 3,600; one more is made at the end.
    pub(crate) interval_s: u64,
    /// The Ed25519 private key that signs, in PEM. Without it, the gateway makes `checkpoint-key.pem` in
    /// `data_dir`: then who can write the ledger can sign it too.
    pub(crate) signing_key: Option<SecretRef>,
}

impl Default for CheckpointsConfig {
    fn default() -> Self {
        Self { interval_s: 60, signing_key: None }
    }
}

impl Config {
    /// The key that signs the ledger. The gateway makes its own if it has none and none is named.
    pub(crate) fn signing_key(&self) -> anyhow::Result<SigningKey> {
        if let Some(reference) = &self.checkpoints.signing_key {
            return self.signing_key_at("checkpoints.signing_key", reference);
        }
        let file = self.data_dir.join("checkpoint-key.pem");
        if file.exists() {
            return self
                .signing_key_at(&file.display().to_string(), &SecretRef::File(file.clone()));
        }
        if !self.data_dir.exists() {
            let folder = self.data_dir.display();
            let text =
                format!("{folder} is not there: start the gateway once, which makes its key");
            return Err(ExitWith::error(Exit::Failed, text));
        }
        let key = SigningKey::generate()?;
        secret_file::write(&file, key.to_pem()?.trim_end())?;
        Ok(key)
    }

    /// The last checkpoint as a signed note, to be kept elsewhere.
    pub(crate) fn checkpoint_file(&self) -> PathBuf {
        self.data_dir.join("checkpoint.txt")
    }

    pub(super) fn check_checkpoints(&self) -> anyhow::Result<()> {
        let interval = self.checkpoints.interval_s;
        if !(1..=3600).contains(&interval) {
            let text = format!("checkpoints.interval_s is {interval}; it may be 1 to 3600");
            return Err(ExitWith::error(Exit::BadConfig, text));
        }
        match &self.checkpoints.signing_key {
            Some(reference) => self.signing_key_at("checkpoints.signing_key", reference).map(drop),
            None => Ok(()),
        }
    }

    fn signing_key_at(&self, place: &str, reference: &SecretRef) -> anyhow::Result<SigningKey> {
        let bad = |error: &str| {
            let fix = "`gatehouse audit key` makes one";
            ExitWith::error(Exit::BadConfig, format!("{place}: {error}: {fix}"))
        };
        let pem = self.secret(reference).map_err(|error| bad(&error.story()))?;
        SigningKey::from_pem(pem.expose()).map_err(|error| bad(&error.to_string()))
    }
}

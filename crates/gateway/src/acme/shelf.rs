//! Where the account's key and the certificates are kept: sealed, in a file of the data folder.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use vault::{Embedded, ErrorKind, Secret};

use super::issued::{Issued, IssuedText};

const ACCOUNT: &str = "account";

/// The file.
#[derive(Clone)]
pub(super) struct Shelf(Embedded);

/// An account, and the directory that it is of.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) directory_url: String,
    pub(super) credentials: AccountCredentials,
}

impl Shelf {
    pub(super) fn new(kept: Embedded) -> Self {
        Self(kept)
    }

    /// The certificate that is kept for these hosts.
    pub(super) async fn certificate(&self, hosts: &[String]) -> Result<Option<Issued>, String> {
        let Some(text) = self.get(&name(hosts)).await? else { return Ok(None) };
        let text: IssuedText = serde_json::from_str(text.expose())
            .map_err(|_| "what is kept is no certificate".to_owned())?;
        Issued::read(text, hosts).map(Some)
    }

    pub(super) async fn keep_certificate(
        &self,
        hosts: &[String],
        issued: &Issued,
    ) -> Result<(), String> {
        self.set(&name(hosts), &issued.text).await
    }

    pub(super) async fn account(&self) -> Result<Option<KeptAccount>, String> {
        let Some(text) = self.get(ACCOUNT).await? else { return Ok(None) };
        // What cannot be read is made anew.
        Ok(serde_json::from_str(text.expose()).ok())
    }

    pub(super) async fn keep_account(&self, account: &KeptAccount) -> Result<(), String> {
        self.set(ACCOUNT, account).await
    }

    pub(super) async fn forget_account(&self) -> Result<(), String> {
        let kept = self.0.clone();
        let removed = blocking(move || kept.remove(ACCOUNT)).await?;
        removed.map(drop).map_err(|error| told(&error))
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        let (kept, name) = (self.0.clone(), name.to_owned());
        match blocking(move || kept.get(&name)).await? {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    async fn set(&self, name: &str, value: &impl Serialize) -> Result<(), String> {
        let value = serde_json::to_string(value).map_err(|error| error.to_string())?;
        let (kept, name, value) = (self.0.clone(), name.to_owned(), Secret::new(value));
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        blocking(move || kept.set(&name, &value, now_s)).await?.map_err(|error| told(&error))
    }
}

/// Key derivation and files do not belong on the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| "the gateway is stopping".to_owned())
}

fn told(error: &vault::Error) -> String {
    let fix = "if that cannot be mended, remove the file: certificates are ordered anew then";
    format!("what is kept of certificates: {}: {fix}", error.story())
}

/// Name of these hosts' certificate on the shelf.
fn name(hosts: &[String]) -> String {
    let digest = digest::digest(&digest::SHA256, hosts.join("\n").as_bytes());
    let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("certificate-{hex}")
}

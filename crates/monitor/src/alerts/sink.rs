//! Where alerts go, as an administrator sets it, and why one did not arrive.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::{SecretRef, Vault};

use crate::secret_headers::are_headers;

/// What kind of sink it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// POST with Azure Monitor's common alert schema.
    #[default]
    Webhook,
    /// Slack's incoming webhook, or one that is compatible.
    Slack,
    /// A Teams workflow that takes webhook requests.
    Teams,
    /// E-mail, through `mail`.
    Mail,
}

/// A place that alerts go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SinkConfig {
    /// Its id.
    pub id: String,
    /// What kind of sink it is.
    pub kind: SinkKind,
    /// Where to POST. Its address must be among those of `egress`.
    pub url: String,
    /// Where the URL is found instead, for URLs that are secrets themselves.
    pub secret_url: Option<SecretRef>,
    /// Further headers of the request.
    pub headers: BTreeMap<String, String>,
    /// Further headers whose values are secrets, and where those are found.
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// Addresses that mail goes to.
    pub to: Vec<String>,
    /// The least severe alerts that it gets: 0 only the critical ones, 4 all.
    pub severity_max: u8,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub ca_file: PathBuf,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: SinkKind::Webhook,
            url: String::new(),
            secret_url: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            to: Vec::new(),
            severity_max: 4,
            ca_file: PathBuf::new(),
            timeout_ms: 10_000,
        }
    }
}

impl SinkConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("give it an id".into());
        }
        if self.kind == SinkKind::Mail {
            return match self.to.is_empty() {
                true => Err("it is a mail sink without `to`: give it an address".into()),
                false => Ok(()),
            };
        }
        if self.url.is_empty() == self.secret_url.is_none() {
            return Err("give it a `url` or a `secret_url`".into());
        }
        if !are_headers(&self.headers) || !are_headers(&self.secret_headers) {
            return Err("one of its `headers` or `secret_headers` is no name of a header".into());
        }
        Ok(())
    }

    /// Where its secrets are found.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.secret_url.iter().chain(self.secret_headers.values())
    }

    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if !self.ca_file.as_os_str().is_empty() {
            self.ca_file = folder.join(&self.ca_file);
        }
        for reference in self.secret_url.iter_mut().chain(self.secret_headers.values_mut()) {
            reference.resolve_path(folder);
        }
    }

    /// Where to POST.
    pub(super) async fn uri(&self, vault: &Vault) -> Result<Uri, Failure> {
        // The URL may be a secret: it is not shown.
        let malformed = |_| Failure::retry("its URL is malformed: correct it".into());
        let Some(reference) = &self.secret_url else {
            return self.url.parse().map_err(malformed);
        };
        let secret = vault.current(reference).await;
        let secret = secret.map_err(|error| Failure::retry(error.story()))?;
        secret.expose().parse().map_err(malformed)
    }
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Trying again is of no use: the sink understood it and refused.
    pub is_final: bool,
    /// What happened, without the sink's address.
    pub why: String,
}

impl Failure {
    pub(super) fn retry(why: String) -> Self {
        Self { is_final: false, why }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

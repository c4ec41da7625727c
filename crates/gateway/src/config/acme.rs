//! Settings of certificates that an authority issues by ACME.

use std::net::IpAddr;
use std::path::Path;

use net::{ClientConfig, EgressConfig};
use rustls_pki_types::DnsName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

/// Hosts that public authorities put into one certificate.
const HOSTS_MAX: usize = 100;

/// The authority that issues certificates for `edge.listeners[].tls.acme_hosts`, by ACME (RFC 8555).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeConfig {
    /// URL of its directory, such as `https://acme-v02.api.letsencrypt.org/directory`.
    pub directory_url: String,
    /// Its terms of service are agreed to; without that there is no account.
    pub accepts_terms: bool,
    /// Whom it may write to, such as `mailto:certificates@example.org`.
    pub contacts: Vec<String>,
    /// The key that ties the account to a customer of the authority, where it asks for one.
    pub external_account: Option<ExternalAccountConfig>,
    /// How it is connected to; `ca_file` holds the root of a private authority.
    pub connection: ClientConfig,
    /// Networks that it may lie in.
    pub egress: EgressConfig,
}

/// A key that the authority gave out, for its external account binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccountConfig {
    /// Id of the key.
    pub key_id: String,
    /// Where the key is found, in base64url.
    pub key: SecretRef,
}

impl AcmeConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        self.connection.resolve_paths(folder);
        if let Some(account) = &mut self.external_account {
            account.key.resolve_path(folder);
        }
    }

    /// Checks it for the hosts of each listener that wants certificates; the text names the fix.
    pub fn validate(&self, hosts: &[Vec<String>]) -> Result<(), String> {
        if hosts.is_empty() {
            return Ok(());
        }
        if self.directory_url.is_empty() {
            return Err("`directory_url` is missing: give the URL of the authority".to_owned());
        }
        if !self.accepts_terms {
            let text = "`accepts_terms` is not true: read the authority's terms, then set it";
            return Err(text.to_owned());
        }
        hosts.iter().try_for_each(|hosts| check_hosts(hosts))
    }
}

fn check_hosts(hosts: &[String]) -> Result<(), String> {
    if hosts.len() > HOSTS_MAX {
        let text = "hosts on one listener are more than fit into a certificate";
        return Err(format!("{} {text}: give up to {HOSTS_MAX}", hosts.len()));
    }
    for (at, host) in hosts.iter().enumerate() {
        let is_name = DnsName::try_from(host.as_str()).is_ok() && !host.ends_with('.');
        if !is_name || host.parse::<IpAddr>().is_ok() {
            return Err(format!("`{host}` cannot be ordered: give names of hosts in full"));
        }
        if hosts[..at].iter().any(|other| other.eq_ignore_ascii_case(host)) {
            return Err(format!("`{host}` is named twice on one listener: name it once"));
        }
    }
    Ok(())
}

//! The proxy that connections go out through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

use super::Config;
use crate::exit::{Exit, ExitWith};

/// An HTTP proxy that connections to backends, vaults, token endpoints, identity providers, webhooks,
/// collectors and authorities of certificates go out through, each in a tunnel of its own (CONNECT). Redis, databases and mail are dialled
/// directly, as are this machine and its metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProxyConfig {
    /// `http://host:port`; empty for none. Its address must be among those of `egress`, and of
    /// `vault.egress`, `identity.egress` and `acme.egress` for what is reached under those.
    pub(crate) url: String,
    /// User name; empty if it asks for none.
    pub(crate) username: String,
    /// Where the password is found: environment, file or embedded vault.
    pub(crate) password: Option<SecretRef>,
    /// Hosts that are dialled directly: names (with all below them), addresses and networks of
    /// addresses, or `*`.
    pub(crate) no_proxy: Vec<String>,
}

impl Config {
    /// The proxy, if there is one.
    pub(crate) fn proxy(&self) -> anyhow::Result<Option<net::Proxy>> {
        let ProxyConfig { url, username, password, no_proxy } = &self.proxy;
        let bad = |message: String| ExitWith::error(Exit::BadConfig, format!("proxy: {message}"));
        if url.is_empty() {
            return Ok(None);
        }
        if username.is_empty() && password.is_some() {
            return Err(bad("it has a password and no username: give both or none".into()));
        }
        let password = password.as_ref().map(|reference| self.secret(reference)).transpose();
        let password = password.map_err(|error| bad(format!("password: {}", error.story())))?;
        let password = password.as_ref().map_or("", |secret| secret.expose());
        let credentials = (!username.is_empty()).then_some((username.as_str(), password));
        let proxy = net::Proxy::new(url, credentials, no_proxy);
        proxy.map(Some).map_err(|error| bad(error.to_string()))
    }

    /// The same configuration with its proxy in force.
    pub(crate) fn proxied(mut self) -> anyhow::Result<Self> {
        let proxy = self.proxy()?;
        let all = [
            &mut self.egress,
            &mut self.vault.egress,
            &mut self.identity.egress,
            &mut self.acme.egress,
        ];
        for egress in all {
            egress.proxy.clone_from(&proxy);
        }
        Ok(self)
    }
}

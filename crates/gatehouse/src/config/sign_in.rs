//! How people sign in to the admin listener.

use portal::{SignInClient, SignInSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

use super::Config;
use crate::exit::{Exit, ExitWith};

/// How people sign in to the admin listener with an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignInConfig {
    /// Where browsers find the admin listener, such as `https://gatehouse.example`. The redirect URI to
    /// register with the provider is this and `/auth/callback`.
    pub(crate) public_url: String,
    /// Registrations with providers; without one nobody can sign in.
    pub(crate) clients: Vec<SignInClientConfig>,
    /// Time after which an unused session ends, in seconds.
    pub(crate) idle_s: u64,
    /// Time after which any session ends, in seconds.
    pub(crate) lasting_s: u64,
}

/// This gateway's registration with one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignInClientConfig {
    /// Provider, by its id under `identity.providers`.
    pub(crate) provider: String,
    /// Application id of the registration.
    pub(crate) client_id: String,
    /// Where its secret is found; leave it out for a public client.
    pub(crate) client_secret: Option<SecretRef>,
    /// Scopes asked for, with spaces between.
    pub(crate) scopes: String,
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self { public_url: String::new(), clients: Vec::new(), idle_s: 1_800, lasting_s: 28_800 }
    }
}

impl Default for SignInClientConfig {
    fn default() -> Self {
        Self {
            provider: String::new(),
            client_id: String::new(),
            client_secret: None,
            scopes: "openid profile".into(),
        }
    }
}

impl Config {
    /// How people sign in, with the secrets fetched.
    pub(crate) fn sign_in(&self) -> anyhow::Result<SignInSettings> {
        let bad = |text: String| ExitWith::error(Exit::BadConfig, format!("sign_in: {text}"));
        let mut clients = Vec::new();
        for client in &self.sign_in.clients {
            let name = &client.provider;
            if !self.identity.providers.iter().any(|provider| provider.id == *name) {
                let text = format!("provider `{name}` does not stand under identity.providers");
                return Err(bad(text));
            }
            if client.client_id.is_empty() {
                return Err(bad(format!("client of `{name}`: give its client_id")));
            }
            let secret = client.client_secret.as_ref().map(|reference| self.secret(reference));
            let secret = secret.transpose();
            let secret =
                secret.map_err(|error| bad(format!("client of `{name}`: {}", error.story())))?;
            clients.push(SignInClient {
                provider: name.clone(),
                client_id: client.client_id.clone(),
                client_secret: secret.map(|secret| secret.expose().into()),
                scopes: client.scopes.clone(),
            });
        }
        Ok(SignInSettings {
            public_url: self.sign_in.public_url.clone(),
            clients,
            roles: self.admin.roles.clone(),
            idle_s: self.sign_in.idle_s,
            lasting_s: self.sign_in.lasting_s,
        })
    }
}

//! How people sign in to the admin listener.

use anyhow::Context;
use portal::{BreakGlassAccount, SetUp, SignInClient, SignInSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

use super::Config;
use crate::clock::unix_seconds;
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
    /// A local account for sites and hours without an identity provider; there is none unless it is
    /// given. It holds the roles administrator and operator.
    pub(crate) break_glass: Option<BreakGlassConfig>,
    /// Time after which an unused session ends, in seconds.
    pub(crate) idle_s: u64,
    /// Time after which any session ends, in seconds.
    pub(crate) lasting_s: u64,
}

/// The local account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakGlassConfig {
    /// Its name.
    pub(crate) name: String,
    /// Where the hash of its password is found; `gatehouse keys password` makes one.
    pub(crate) password_hash: SecretRef,
    /// Time after which its sessions end, in seconds.
    #[serde(default = "short")]
    pub(crate) lasting_s: u64,
}

fn short() -> u64 {
    900
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

/// SCIM: the organisation's directory provisions users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScimConfig {
    /// Where the bearer token of the provisioning service is found, of 32 characters or more; without it
    /// SCIM is off.
    pub(crate) token: Option<SecretRef>,
}

/// The gateway's own credential for Microsoft Graph, where groups of a provider are looked up that do
/// not fit into a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GraphCredentialConfig {
    /// Provider, by its id under `identity.providers`; its `graph.url` says where Graph is.
    pub(crate) provider: String,
    /// As whom Graph is asked: an application with the permission `GroupMember.Read.All`.
    pub(crate) auth: vault::Identity,
    /// Scope of the token.
    #[serde(default = "graph_scope")]
    pub(crate) scope: String,
}

fn graph_scope() -> String {
    "https://graph.microsoft.com/.default".to_owned()
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            clients: Vec::new(),
            break_glass: None,
            idle_s: 1_800,
            lasting_s: 28_800,
        }
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
    /// How people sign in. Secrets are fetched when somebody does; those of this machine must be there.
    pub(crate) fn sign_in(&self) -> anyhow::Result<SignInSettings> {
        let bad = |text: String| ExitWith::error(Exit::BadConfig, format!("sign_in: {text}"));
        let there = |reference: &SecretRef| match reference.is_local() {
            true => self.secret(reference).map(|_| ()).map_err(|error| error.story()),
            false => Ok(()),
        };
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
            let secret = client.client_secret.as_ref().map_or(Ok(()), there);
            secret.map_err(|error| bad(format!("client of `{name}`: {error}")))?;
            clients.push(SignInClient {
                provider: name.clone(),
                client_id: client.client_id.clone(),
                client_secret: client.client_secret.clone(),
                scopes: client.scopes.clone(),
            });
        }
        let account = self.sign_in.break_glass.as_ref();
        let hash = account.map_or(Ok(()), |account| there(&account.password_hash));
        hash.map_err(|error| bad(format!("break_glass.password_hash: {error}")))?;
        Ok(SignInSettings {
            public_url: self.sign_in.public_url.clone(),
            clients,
            break_glass: account.map(|account| BreakGlassAccount {
                name: account.name.clone(),
                password_hash: account.password_hash.clone(),
                lasting_s: account.lasting_s,
            }),
            set_up: self.set_up(),
            roles: self.admin.roles.clone(),
            idle_s: self.sign_in.idle_s,
            lasting_s: self.sign_in.lasting_s,
        })
    }

    /// The link that makes the first administrator.
    pub(crate) fn set_up(&self) -> SetUp {
        SetUp::new(self.data_dir.join("set-up.json"))
    }

    /// Somebody can sign in.
    pub(crate) fn has_sign_in(&self) -> bool {
        !self.sign_in.clients.is_empty() || self.sign_in.break_glass.is_some()
    }

    /// Somebody is administrator by this file.
    pub(crate) fn has_administrator(&self) -> bool {
        portal::has_administrator(&self.admin.roles)
    }

    /// A new set-up link, as people open it.
    pub(crate) fn new_set_up_link(&self) -> anyhow::Result<String> {
        let path = self.set_up().issue(unix_seconds());
        let path = path
            .with_context(|| format!("cannot write set-up.json in {}", self.data_dir.display()))?;
        Ok(format!("{}{path}", self.sign_in.public_url.trim_end_matches('/')))
    }
}

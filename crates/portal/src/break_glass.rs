//! The local account, for sites and hours without an identity provider.

use policy::{Principal, PrincipalKind, Role};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;
use vault::{Secret, SecretRef, Vault};

use crate::attempts::{Attempts, WINDOW_S};
use crate::problem::Problem;
use crate::visit::Refusal;

/// Hashes worked out at once: each takes 19 MiB and tens of milliseconds.
const HASHES_MAX: usize = 2;
/// Longest password that is tried, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// The local account.
#[derive(Clone, Debug)]
pub struct BreakGlassAccount {
    /// Its name.
    pub name: String,
    /// Where the argon2id hash of its password is found.
    pub password_hash: SecretRef,
    /// Seconds after which its sessions end.
    pub lasting_s: u64,
}

/// Name and password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalSignIn {
    /// Name of the local account.
    name: String,
    /// Its password.
    password: String,
    /// Token of the set-up link, if one was opened.
    #[serde(default)]
    pub(crate) set_up: String,
}

/// Tells whether it is the account that comes.
pub(crate) struct BreakGlass {
    pub(crate) account: BreakGlassAccount,
    vault: Vault,
    attempts: Attempts,
    turns: Semaphore,
}

impl BreakGlass {
    pub(crate) fn new(account: BreakGlassAccount, vault: Vault) -> Self {
        Self { account, vault, attempts: Attempts::default(), turns: Semaphore::new(HASHES_MAX) }
    }

    /// Name and password are the account's. A wrong name takes as long as a wrong password.
    pub(crate) async fn check(
        &self,
        given: &LocalSignIn,
        address: &str,
        now: i64,
    ) -> Result<(), Refusal> {
        if !self.attempts.try_one(address, now) {
            let text = format!("too many attempts: try again in {WINDOW_S} seconds");
            return Err(Refusal::new("too_many_attempts", Problem::new(429, text)));
        }
        let unavailable = |why: String| {
            tracing::warn!(error = why, "the local account cannot be checked");
            let text = "the local account cannot be checked now: the gateway's log says why";
            Refusal::new("hash_unavailable", Problem::new(503, text))
        };
        let hash = self.vault.current(&self.account.password_hash).await;
        let hash = hash.map_err(|error| unavailable(error.story()))?;
        let _turn = self.turns.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let password = Secret::new(given.password.as_str());
        let is_tried = given.password.len() <= PASSWORD_BYTES_MAX;
        let checked = tokio::task::spawn_blocking(move || {
            identity::is_password(hash.expose(), if is_tried { password.expose() } else { "" })
        });
        let checked = checked.await.map_err(|error| unavailable(error.to_string()))?;
        if checked.map_err(unavailable)? && is_tried && given.name == self.account.name {
            return Ok(());
        }
        let text = "that is not the local account's name and password";
        Err(Refusal::new("wrong_password", Problem::new(401, text)))
    }
}

/// Who the account is: it sets things right, and reads no content.
pub(crate) fn principal(name: &str) -> Principal {
    Principal {
        id: format!("local|{name}"),
        name: name.to_owned(),
        kind: PrincipalKind::Local,
        roles: [Role::Administrator, Role::Operator].into(),
        ..Principal::default()
    }
}

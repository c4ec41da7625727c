//! Access tokens of identity providers on the admin listener.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axum::http::request::Parts;
use event::SecurityEvent;
use identity::{Reason, Rejection, Verifier, looks_like_jwt};
use policy::Principal;

use crate::access::{Authenticator, bearer};
use crate::entrance::{Visit, Watch};
use crate::problem::Problem;
use crate::roles::{RoleConfig, principal};

/// Takes tokens that the verifier accepts; roles come from the mapping.
pub struct AccessToken {
    verifier: Verifier,
    roles: Arc<[RoleConfig]>,
    watch: Watch,
}

impl AccessToken {
    /// Takes tokens that `verifier` accepts; `watch` is told of others.
    pub fn new(verifier: Verifier, roles: &[RoleConfig], watch: Watch) -> Self {
        Self { verifier, roles: roles.into(), watch }
    }
}

#[async_trait]
impl Authenticator for AccessToken {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        let presented = bearer(&head.headers).filter(|token| looks_like_jwt(token));
        let Some(token) = presented.filter(|_| self.verifier.is_configured()) else {
            return Ok(None);
        };
        let identity = self.verifier.verify(token, unix_seconds()).await.map_err(|why| {
            if why.reason != Reason::IdentityProviderUnavailable {
                let visit = Visit::of(head, "admin listener");
                let event = visit.event("token_rejected", "warning", why.reason.name());
                (self.watch)(SecurityEvent { message: why.message.clone(), ..event });
            }
            refused(&why)
        })?;
        Ok(Some(principal(&identity, &self.roles)))
    }
}

/// 401, or 503 where it is not the token's fault.
pub(crate) fn refused(why: &Rejection) -> Problem {
    let status = if why.reason == Reason::IdentityProviderUnavailable { 503 } else { 401 };
    Problem::new(status, why.to_string())
}

/// The wall clock in seconds since 1970, as tokens count.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

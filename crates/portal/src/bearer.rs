//! Access tokens of identity providers on the admin listener.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::request::Parts;
use event::SecurityEvent;
use identity::{Reason, Verifier, looks_like_jwt};
use policy::Principal;

use crate::access::{Authenticator, bearer};
use crate::clock::unix_seconds;
use crate::problem::Problem;
use crate::roles::{RoleConfig, principal};
use crate::visit::{Visit, Watch, refused};

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

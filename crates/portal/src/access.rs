//! Who asks: the credential of a request becomes a principal.
//!
//! Each kind of credential is an [`Authenticator`]. What a principal may do is not decided here: the
//! table in `routes.rs` says which roles may call what.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Json;
use policy::{Principal, PrincipalKind, Role};
use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::problem::Problem;

/// One kind of credential.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The principal that the head of a request proves; none if it carries no credential of this
    /// kind, an error if it carries one that does not hold.
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem>;

    /// Through what its principals come, for the column `Via`.
    fn via(&self) -> &'static str {
        "api"
    }
}

/// Every kind of credential, in the order in which they are tried.
#[derive(Clone)]
pub struct Access(Arc<[Box<dyn Authenticator>]>);

/// Who asks, from where and through what: what a record of it needs.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// Address it comes from; empty if unknown.
    pub address: String,
    /// `api`, `portal` or `cli`.
    pub via: &'static str,
    /// Ties the records of one request together.
    pub correlation_id: String,
}

/// The secret of the data folder that opens the admin listener.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Access {
    /// Takes credentials of these kinds.
    pub fn new(kinds: Vec<Box<dyn Authenticator>>) -> Self {
        Self(kinds.into())
    }

    /// Who asks; none if no credential is presented.
    pub(crate) async fn caller(&self, head: &Parts) -> Result<Option<Caller>, Problem> {
        for kind in self.0.iter() {
            if let Some(principal) = kind.authenticate(head).await? {
                let via = if is_command_line(&head.headers) { "cli" } else { kind.via() };
                let address = head.extensions.get::<ConnectInfo<SocketAddr>>();
                return Ok(Some(Caller {
                    principal,
                    address: address.map(|peer| peer.ip().to_string()).unwrap_or_default(),
                    via,
                    correlation_id: Uuid::now_v7().to_string(),
                }));
            }
        }
        Ok(None)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The caller whom the guard of the route let in.
    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Problem> {
        head.extensions.get::<Self>().cloned().ok_or_else(Problem::nobody)
    }
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Me {
    /// Stable id.
    id: String,
    /// Name for people.
    name: String,
    /// `user`, `application`, `local`, `token` or `system`.
    kind: &'static str,
    /// Tenant; empty if the provider has none.
    tenant: String,
    /// Groups it is a member of, by id.
    groups: Vec<String>,
    /// Roles it holds.
    roles: Vec<Role>,
    /// Subscriptions it owns.
    subscriptions: Vec<String>,
}

/// Tells who asks.
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    Json(caller.principal.into())
}

impl From<Principal> for Me {
    fn from(principal: Principal) -> Self {
        let Principal { id, name, kind, tenant, groups, roles, subscriptions } = principal;
        let roles = roles.into_iter().collect();
        Self { id, name, kind: kind.name(), tenant, groups, roles, subscriptions }
    }
}

impl Token {
    /// From its text; use at least 32 random bytes.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

/// Whoever may read the data folder holds every role.
#[async_trait]
impl Authenticator for Token {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        let presented = bearer(&head.headers).unwrap_or_default();
        if !bool::from(self.0.as_bytes().ct_eq(presented.as_bytes())) {
            return Ok(None);
        }
        Ok(Some(Principal {
            id: "admin-token".into(),
            name: "token of the data folder".into(),
            kind: PrincipalKind::Token,
            roles: Role::ALL.into(),
            ..Principal::default()
        }))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The credential of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

/// The command line names itself. It may lie: the column `Via` is a hint, not a proof.
fn is_command_line(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("gatehouse/"))
}

//! Somebody who comes to this listener: from where, and why they are not let in.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use control::Error;
use event::{SecurityEvent, Timestamp};
use identity::{Reason, Rejection};

use crate::problem::Problem;

/// Is told of security events, and must not wait.
pub type Watch = Arc<dyn Fn(SecurityEvent) + Send + Sync>;

/// Why somebody is not let in.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// A word that does not change, for the record.
    pub(crate) reason: &'static str,
    /// What whoever asks is told.
    pub(crate) problem: Problem,
}

/// Where somebody comes from, and through what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visit {
    /// Address; empty if unknown.
    pub(crate) address: String,
    /// Id of the provider, `local`, or the listener.
    pub(crate) target: String,
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, problem: Problem) -> Self {
        Self { reason, problem }
    }
}

impl From<Rejection> for Refusal {
    fn from(why: Rejection) -> Self {
        Self::new(why.reason.name(), refused(&why))
    }
}

/// The control plane does not take it.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new("not_recorded", error.into())
    }
}

impl Visit {
    /// An event of this visit.
    pub(crate) fn event(&self, kind: &str, severity: &str, reason: &str) -> SecurityEvent {
        SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: kind.to_owned(),
            severity: severity.to_owned(),
            caller_ip_address: self.address.clone(),
            target: self.target.clone(),
            reason: reason.to_owned(),
            ..SecurityEvent::default()
        }
    }

    /// Where the request comes from.
    pub(crate) fn of(head: &Parts, target: &str) -> Self {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        Self { address, target: target.to_owned() }
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(head, ""))
    }
}

/// 401, or 503 where it is not the token's fault.
pub(crate) fn refused(why: &Rejection) -> Problem {
    let status = if why.reason == Reason::IdentityProviderUnavailable { 503 } else { 401 };
    Problem::new(status, why.to_string())
}

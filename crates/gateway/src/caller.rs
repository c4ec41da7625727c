//! Callers who prove who they are with a token of their identity provider instead of a key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::SecurityEvent;
use http::header;
use http::request::Parts;
use identity::{Reason, Rejection, looks_like_jwt};
use policy::Member;

use crate::credential;
use crate::exchange::Exchange;
use crate::refusal::{Kind, Refusal};

/// How long a session that was let in may still begin something after its token has ended, so that a
/// client whose clock is late is not cut.
const LATE: Duration = Duration::from_secs(60);
/// Groups of a caller that are recorded.
const GROUPS_MAX: usize = 100;

impl Exchange {
    /// Who the caller's token proves it to be; nothing if it presents a key or nothing.
    pub(crate) async fn know_caller(&mut self, parts: &Parts) -> Result<(), Refusal> {
        let verifier = &self.gateway.identity;
        let Some(token) = credential::find(&parts.headers, parts.uri.query()) else {
            return Ok(());
        };
        if !looks_like_jwt(&token) || !verifier.is_configured() {
            return Ok(());
        }
        let now = now();
        let identity = match verifier.cached(&token, now) {
            Some(identity) => identity,
            None => match Box::pin(verifier.verify(&token, now)).await {
                Ok(identity) => identity,
                Err(why) => {
                    self.note_rejected(&why);
                    return Err(rejected(&why));
                }
            },
        };
        if let Some(opening) = &mut self.opening {
            opening.application_id.clone_from(&identity.member.client_id);
            opening.tenant_id.clone_from(&identity.tenant);
            let groups = identity.member.groups.iter().take(GROUPS_MAX);
            opening.groups = groups.cloned().collect();
        }
        self.identity = Some(identity);
        Ok(())
    }

    /// A token that does not hold is told to the security team; a provider that is down is not the
    /// token's fault.
    fn note_rejected(&self, why: &Rejection) {
        if why.reason == Reason::IdentityProviderUnavailable {
            return;
        }
        let event = self.security_event("token_rejected", why.reason.name());
        self.gateway.security.note(SecurityEvent {
            target: self.listener.address.to_string(),
            message: why.message.clone(),
            ..event
        });
    }

    /// Who a token proves the caller to be.
    pub(crate) fn member(&self) -> Option<&Member> {
        self.identity.as_ref().map(|identity| &identity.member)
    }

    /// The token that opened a session has not ended since.
    pub(crate) fn check_token_time(&self) -> Result<(), Refusal> {
        let late = i64::try_from(LATE.as_secs()).unwrap_or(0);
        match &self.identity {
            Some(identity) if identity.expires_at.saturating_add(late) <= now() => {
                Err(Refusal::new(Kind::TokenRejected).finding(Reason::TokenExpired.name()).say(
                    "The token with which the session was opened has expired: connect again with a new one.",
                ))
            }
            _ => Ok(()),
        }
    }
}

fn rejected(why: &Rejection) -> Refusal {
    if why.reason == Reason::IdentityProviderUnavailable {
        return Refusal::new(Kind::IdentityDown).say(why.message.clone());
    }
    let challenge = format!(
        "Bearer realm=\"gatehouse\", error=\"invalid_token\", error_description=\"{}\"",
        why.message.replace(['"', '\\'], "'")
    );
    Refusal::new(Kind::TokenRejected)
        .finding(why.reason.name())
        .say(why.message.clone())
        .header(header::WWW_AUTHENTICATE, &challenge)
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

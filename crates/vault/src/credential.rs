//! What a backend is shown: a key that follows its secret, or a token that is replaced ahead of its
//! end.
//!
//! A new key is a candidate first: the one before is shown until a call with the new one succeeded.
//! Whoever calls the backend proves it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use event::{SecurityEvent, Timestamp};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Secret};

/// Where a service expects what it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `api-key: …`
    ApiKey,
    /// `Authorization: Bearer …`
    Bearer,
}

/// Who is told of security events; it must not wait.
pub(crate) type Watch = Arc<dyn Fn(SecurityEvent) + Send + Sync>;

/// What one backend is shown.
pub struct Credential {
    /// Id of the backend.
    owner: String,
    /// Home and name of its secret.
    source: String,
    carrier: Carrier,
    shown: ArcSwapOption<Shown>,
    candidate: watch::Sender<Option<Candidate>>,
    /// Why it could not be fetched the last time; empty if it could.
    trouble: Mutex<String>,
    watch: Watch,
}

struct Shown {
    secret: Secret,
    header: HeaderValue,
    /// None for a key, which holds until there is another.
    ends_at: Option<Instant>,
}

/// A new key that is not proven yet.
#[derive(Clone)]
pub struct Candidate {
    secret: Secret,
    /// What the backend is to be shown with the call that proves it.
    pub header: HeaderValue,
}

impl Credential {
    pub(crate) fn new(owner: &str, source: String, carrier: Carrier, watch: Watch) -> Self {
        Self {
            owner: owner.to_owned(),
            source,
            carrier,
            shown: ArcSwapOption::empty(),
            candidate: watch::Sender::new(None),
            trouble: Mutex::default(),
            watch,
        }
    }

    /// A key that follows nothing.
    pub fn fixed(carrier: Carrier, secret: &Secret) -> Result<Self, Error> {
        let credential = Self::new("", String::new(), carrier, Arc::new(|_| {}));
        credential.offer(secret.clone(), None)?;
        Ok(credential)
    }

    /// Name of the header that carries it.
    pub fn name(&self) -> HeaderName {
        match self.carrier {
            Carrier::ApiKey => HeaderName::from_static("api-key"),
            Carrier::Bearer => AUTHORIZATION,
        }
    }

    /// What the backend is shown now; none if nothing is at hand.
    pub fn header(&self) -> Option<HeaderValue> {
        let shown = self.shown.load();
        let shown = shown.as_ref()?;
        let is_over = shown.ends_at.is_some_and(|ends_at| Instant::now() >= ends_at);
        (!is_over).then(|| shown.header.clone())
    }

    /// Home and name of its secret, never the secret.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Why it could not be fetched the last time; empty if it could.
    pub fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a new key that is to be proven, other than `known`.
    pub async fn candidate(&self, known: Option<&Candidate>) -> Candidate {
        let mut news = self.candidate.subscribe();
        loop {
            let candidate = news.borrow_and_update().clone();
            let is_known = |new: &Candidate| known.is_some_and(|known| known.secret == new.secret);
            if let Some(candidate) = candidate.filter(|new| !is_known(new)) {
                return candidate;
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A call with the candidate told whether the backend takes it. One that was refused stays a
    /// candidate, since the backend may learn of it later than we do.
    pub fn proved(&self, candidate: &Candidate, is_taken: bool) {
        if !is_taken {
            self.note(
                "warning",
                "not_proven",
                "the backend refuses the new key: the one before is used",
            );
            return;
        }
        let shown = Shown {
            secret: candidate.secret.clone(),
            header: candidate.header.clone(),
            ends_at: None,
        };
        self.shown.store(Some(Arc::new(shown)));
        self.candidate.send_if_modified(|held| {
            // A newer one may have come meanwhile.
            let is_same = held.as_ref().is_some_and(|held| held.secret == candidate.secret);
            if is_same {
                *held = None;
            }
            is_same
        });
        self.note("informational", "proven", "a new key is in use");
        tracing::info!(backend = self.owner, source = self.source, "a new key is in use");
    }

    /// A secret was fetched. A token is shown at once, a new key once it is proven.
    pub(crate) fn offer(&self, secret: Secret, ends_at: Option<Instant>) -> Result<(), Error> {
        let header = self.header_of(&secret)?;
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut *trouble).is_empty() {
            tracing::info!(backend = self.owner, source = self.source, "the secret is there again");
        }
        drop(trouble);
        let shown = self.shown.load_full();
        match &shown {
            Some(shown) if ends_at.is_none() && shown.secret == secret => {
                self.candidate.send_replace(None);
            }
            Some(_) if ends_at.is_none() => {
                let is_known = self.candidate.borrow().as_ref().is_some_and(|c| c.secret == secret);
                if !is_known {
                    self.candidate.send_replace(Some(Candidate { secret, header }));
                }
            }
            _ => self.shown.store(Some(Arc::new(Shown { secret, header, ends_at }))),
        }
        Ok(())
    }

    /// It could not be fetched; what there was is shown on.
    pub(crate) fn failed(&self, error: &Error) {
        let story = error.story();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *trouble != story;
        trouble.clone_from(&story);
        drop(trouble);
        let has_one = self.header().is_some();
        if is_new {
            let backend = self.owner.as_str();
            tracing::warn!(backend, error = story, has_one, "a secret cannot be fetched");
            let severity = if has_one { "warning" } else { "critical" };
            self.note_kind("secret_unavailable", severity, error.kind().word(), &story);
        }
    }

    fn header_of(&self, secret: &Secret) -> Result<HeaderValue, Error> {
        let text = secret.expose();
        let text = Zeroizing::new(match self.carrier {
            Carrier::ApiKey => text.as_bytes().to_vec(),
            Carrier::Bearer => [b"Bearer ", text.as_bytes()].concat(),
        });
        // Its memory is overwritten when the last clone goes.
        let value = HeaderValue::from_maybe_shared(Bytes::from_owner(Owned(text)));
        let mut value = value.map_err(|_| {
            let text = "holds characters that no header can: check the secret";
            Error::new(ErrorKind::Config, text).of(&self.source)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn note(&self, severity: &str, reason: &str, message: &str) {
        self.note_kind("secret_rotated", severity, reason, message);
    }

    fn note_kind(&self, kind: &str, severity: &str, reason: &str, message: &str) {
        (self.watch)(SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: kind.to_owned(),
            severity: severity.to_owned(),
            target: self.source.clone(),
            backend_id: self.owner.clone(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..SecurityEvent::default()
        });
    }
}

/// Bytes that are overwritten when they go.
struct Owned(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ErrorKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Config => "settings",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Two are the same only if they are one.
impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Credential {}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("source", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Candidate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(credential: &Credential) -> String {
        credential.header().unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_old_key_is_shown_until_the_new_one_is_proven() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        let watch: Watch = Arc::new(move |event| list.lock().unwrap().push(event.reason));
        let credential = Credential::new("east", "file key".into(), Carrier::ApiKey, watch);
        assert!(credential.header().is_none());
        credential.offer(Secret::new("one"), None).unwrap();
        assert_eq!(shown(&credential), "one");
        credential.offer(Secret::new("two"), None).unwrap();
        assert_eq!(shown(&credential), "one");
        let candidate = credential.candidate(None).await;
        credential.proved(&candidate, false);
        assert_eq!(shown(&credential), "one");
        credential.offer(Secret::new("three"), None).unwrap();
        credential.proved(&candidate, true);
        assert_eq!(shown(&credential), "two");
        let candidate = credential.candidate(None).await;
        credential.proved(&candidate, true);
        assert_eq!(shown(&credential), "three");
        assert_eq!(*told.lock().unwrap(), ["not_proven", "proven", "proven"]);
        let shows = format!("{credential:?} {candidate:?} {:?}", credential.header());
        assert!(!shows.contains("three"), "{shows}");
    }

    #[test]
    fn a_token_is_shown_at_once_and_not_beyond_its_end() {
        let credential = Credential::new("", String::new(), Carrier::Bearer, Arc::new(|_| {}));
        let later = Instant::now() + std::time::Duration::from_secs(60);
        credential.offer(Secret::new("one"), Some(later)).unwrap();
        credential.offer(Secret::new("two"), Some(later)).unwrap();
        assert_eq!(shown(&credential), "Bearer two");
        credential.failed(&Error::new(ErrorKind::Unavailable, "Entra ID did not answer"));
        assert_eq!(shown(&credential), "Bearer two");
        assert_eq!(credential.trouble(), "Entra ID did not answer");
        credential.offer(Secret::new("three"), Some(Instant::now())).unwrap();
        assert!(credential.header().is_none());
        assert!(credential.offer(Secret::new("a\nb"), None).is_err());
    }
}

//! Sessions of people who signed in: kept here, named by a cookie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Identity;

/// Sessions at once; a further one ends the one that was unused the longest.
const SESSIONS_MAX: usize = 4_096;

/// Who signed in. What they may do is worked out at each request.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A person, as the provider's ID token says.
    Person(Arc<Identity>),
    /// The local account, by name.
    Local(String),
}

/// Somebody who signed in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) who: Who,
    /// What state-changing calls must present, so that no other site can make them.
    pub(crate) csrf_token: String,
    /// Where to sign out at the provider; empty if it does not say.
    pub(crate) end_session_url: String,
    lasting_s: i64,
    began_at: i64,
    used_at: i64,
}

/// All sessions, by the hash of their cookie.
pub(crate) struct Sessions {
    held: Mutex<HashMap<[u8; 32], Session>>,
    idle_s: i64,
    lasting_s: i64,
}

impl Sessions {
    /// Sessions that end when unused for `idle_s` seconds, and after `lasting_s` in any case.
    pub(crate) fn new(idle_s: u64, lasting_s: u64) -> Self {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Self { held: Mutex::default(), idle_s: seconds(idle_s), lasting_s: seconds(lasting_s) }
    }

    /// Begins a session of at most so many seconds; answers the value of its cookie, which is kept
    /// nowhere.
    pub(crate) fn begin(
        &self,
        who: Who,
        end_session_url: String,
        lasting_s: i64,
        now: i64,
    ) -> String {
        let cookie = random();
        let session = Session {
            who,
            csrf_token: random(),
            end_session_url,
            lasting_s: lasting_s.min(self.lasting_s),
            began_at: now,
            used_at: now,
        };
        let mut held = self.held();
        if held.len() >= SESSIONS_MAX {
            held.retain(|_, session| self.is_alive(session, now));
        }
        if held.len() >= SESSIONS_MAX {
            let oldest = held.iter().min_by_key(|(_, session)| session.used_at);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                held.remove(&key);
            }
        }
        held.insert(hash(&cookie), session);
        cookie
    }

    /// The session of a cookie, which is used now.
    pub(crate) fn find(&self, cookie: &str, now: i64) -> Option<Session> {
        let key = hash(cookie);
        let mut held = self.held();
        let session = held.get_mut(&key)?;
        if !self.is_alive(session, now) {
            held.remove(&key);
            return None;
        }
        session.used_at = now;
        Some(session.clone())
    }

    /// Ends the session of a cookie.
    pub(crate) fn end(&self, cookie: &str) -> Option<Session> {
        self.held().remove(&hash(cookie))
    }

    pub(crate) fn lasting_s(&self) -> i64 {
        self.lasting_s
    }

    fn is_alive(&self, session: &Session, now: i64) -> bool {
        now.saturating_sub(session.used_at) < self.idle_s
            && now.saturating_sub(session.began_at) < session.lasting_s
    }

    fn held(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of a cookie; of two with one name neither counts.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(named, _)| *named == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// 256 random bits as text.
pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(text: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone(id: usize) -> Who {
        Who::Local(id.to_string())
    }

    fn begin(sessions: &Sessions, id: usize, now: i64) -> String {
        sessions.begin(someone(id), String::new(), i64::MAX, now)
    }

    #[test]
    fn a_session_ends_unused_after_a_while_and_in_any_case_later() {
        let sessions = Sessions::new(100, 250);
        let cookie = begin(&sessions, 1, 0);
        for now in [0, 99, 198] {
            let session = sessions.find(&cookie, now).expect("alive");
            assert!(matches!(session.who, Who::Local(name) if name == "1"));
        }
        assert!(sessions.find(&cookie, 250).is_none(), "it has lasted long enough");
        let idle = begin(&sessions, 2, 0);
        assert!(sessions.find(&idle, 100).is_none());
        assert!(sessions.find(&idle, 1).is_none(), "what has ended does not come back");
        assert!(sessions.find("", 0).is_none());
        let short = sessions.begin(someone(3), String::new(), 20, 0);
        assert!(sessions.find(&short, 19).is_some() && sessions.find(&short, 20).is_none());
    }

    #[test]
    fn ended_sessions_are_gone_and_their_number_is_bounded() {
        let sessions = Sessions::new(100, 250);
        let (first, second) = (begin(&sessions, 0, 0), begin(&sessions, 1, 1));
        assert_ne!(first, second);
        for id in 2..=SESSIONS_MAX {
            begin(&sessions, id, 2);
        }
        assert!(sessions.find(&first, 3).is_none(), "the one unused the longest gives way");
        assert!(sessions.end(&second).is_some());
        assert!(sessions.find(&second, 3).is_none());
    }

    #[test]
    fn a_cookie_that_stands_twice_counts_as_none() {
        let of = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, header::HeaderValue::from_static(line));
            cookie(&headers, "name").map(str::to_owned)
        };
        assert_eq!(of("a=b; name=v; c=d").as_deref(), Some("v"));
        assert_eq!(of("name=v; name=w"), None);
        assert_eq!(of("name2=v"), None);
    }
}

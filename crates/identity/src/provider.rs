//! One provider: where it is, its keys, and how long they may still be trusted.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::Uri;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::config::IdentityConfig;
use crate::fetch::Route;
use crate::json;
use crate::keys::KeySet;
use crate::rejection::{Reason, Rejection};
use crate::settings::{Settings, secure};
use crate::token::Token;

/// Time between two tries while a provider cannot be reached, in seconds.
const RETRY_S: i64 = 30;

/// A provider and what is known of it.
pub(crate) struct Provider {
    pub(crate) settings: Settings,
    pace: Pace,
    held: ArcSwapOption<Held>,
    tries: Mutex<Tries>,
}

/// How often a provider is asked, and how long it is believed; in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    refresh_s: i64,
    unknown_key_refresh_s: i64,
    stale_max_s: i64,
}

/// What was fetched last.
struct Held {
    keys: Arc<KeySet>,
    /// Grows with every change of the keys: what was verified with those before is verified again.
    generation: u64,
    document: bytes::Bytes,
    endpoints: Arc<Endpoints>,
    fetched_at: i64,
}

/// The tries to fetch.
#[derive(Default)]
struct Tries {
    last_at: Option<i64>,
    /// The last one because of a token signed by an unknown key. Regular ones do not count: the
    /// provider may change its key right after one.
    last_for_unknown_at: Option<i64>,
    /// Why the last one failed; empty if it did not.
    error: String,
}

/// Where people sign in, of a provider's discovery document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The issuer it states.
    pub issuer: String,
    /// Where the browser goes to sign in; empty if it says none.
    pub authorization: String,
    /// Where the code becomes a token; empty if it says none.
    pub token: String,
    /// Where the browser goes to sign out; empty if it says none.
    pub end_session: String,
}

/// How a provider fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Its id in the configuration.
    pub id: String,
    /// Whether its tokens are accepted.
    pub state: ProviderState,
    /// Keys it has.
    pub keys: usize,
    /// Seconds since its keys were fetched; none if they never were.
    pub keys_age_s: Option<i64>,
    /// Why the last try failed; empty if it did not.
    pub error: String,
}

/// Whether a provider's tokens are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderState {
    /// They are, by fresh keys.
    Up,
    /// They are, by keys that could not be refreshed.
    Stale,
    /// They are refused with 503: no keys, or too old ones.
    Closed,
}

impl ProviderState {
    /// The name as `/readyz` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stale => "stale",
            Self::Closed => "closed",
        }
    }
}

impl Pace {
    pub(crate) fn new(config: &IdentityConfig) -> Self {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            refresh_s: seconds(config.refresh_s).max(1),
            unknown_key_refresh_s: seconds(config.unknown_key_refresh_s),
            stale_max_s: seconds(config.stale_keys_max_s),
        }
    }
}

impl Provider {
    pub(crate) fn new(settings: Settings, pace: Pace) -> Self {
        Self { settings, pace, held: ArcSwapOption::empty(), tries: Mutex::default() }
    }

    /// Takes over what another knew of the same provider.
    pub(crate) fn inherit(&self, other: &Self) {
        if self.settings.discovery == other.settings.discovery {
            self.held.store(other.held.load_full());
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.held.load().as_ref().map_or(0, |held| held.generation)
    }

    /// Its keys may still be trusted.
    pub(crate) fn is_open(&self, now: i64) -> bool {
        self.held.load().as_ref().is_some_and(|held| self.may_trust(held, now))
    }

    fn may_trust(&self, held: &Held, now: i64) -> bool {
        now.saturating_sub(held.fetched_at)
            <= self.pace.refresh_s.saturating_add(self.pace.stale_max_s)
    }

    /// The keys by which this token is to be judged; fetches them if they are not there or lack the
    /// token's key, as often as the pace allows. Without an answer of the provider nobody knows
    /// whether it has a new key, so the token is not refused for its key then.
    pub(crate) async fn keys(
        &self,
        token: &Token<'_>,
        now: i64,
    ) -> Result<(Arc<KeySet>, u64), Rejection> {
        if let Some(known) = self.trusted(now)
            && known.0.knows(token.key_id.as_deref())
        {
            return Ok(known);
        }
        let mut tries = self.tries.lock().await;
        // Somebody else may have fetched them meanwhile.
        let known = |keys: &KeySet| keys.knows(token.key_id.as_deref());
        if !self.trusted(now).is_some_and(|held| known(&held.0))
            && may_try(tries.last_for_unknown_at, self.pace.unknown_key_refresh_s, now)
        {
            tries.last_for_unknown_at = Some(now);
            self.fetch(&mut tries, now).await;
        }
        let held = self.trusted(now).filter(|held| known(&held.0) || tries.error.is_empty());
        held.ok_or_else(|| self.unavailable())
    }

    fn unavailable(&self) -> Rejection {
        let message = format!(
            "The identity provider `{}` cannot be reached, and its keys are not known, too old or lack the token's. Try again.",
            self.settings.id
        );
        Rejection::new(Reason::IdentityProviderUnavailable, message)
    }

    /// The keys, if they may be trusted, and their generation.
    fn trusted(&self, now: i64) -> Option<(Arc<KeySet>, u64)> {
        let held = self.held.load();
        let held = held.as_ref()?;
        self.may_trust(held, now).then(|| (held.keys.clone(), held.generation))
    }

    /// Where people sign in.
    pub(crate) async fn endpoints(&self, now: i64) -> Result<Arc<Endpoints>, Rejection> {
        if self.held.load().is_none() {
            let mut tries = self.tries.lock().await;
            if self.held.load().is_none() && may_try(tries.last_at, 1, now) {
                self.fetch(&mut tries, now).await;
            }
        }
        let held = self.held.load();
        held.as_ref().map(|held| held.endpoints.clone()).ok_or_else(|| self.unavailable())
    }

    /// Fetches the keys again if it is time.
    pub(crate) async fn refresh(&self, now: i64) {
        let age = self.held.load().as_ref().map(|held| now.saturating_sub(held.fetched_at));
        if age.is_some_and(|age| age < self.pace.refresh_s) {
            return;
        }
        let mut tries = self.tries.lock().await;
        if may_try(tries.last_at, RETRY_S.min(self.pace.refresh_s), now) {
            self.fetch(&mut tries, now).await;
        }
    }

    async fn fetch(&self, tries: &mut Tries, now: i64) {
        tries.last_at = Some(now);
        let before = self.held.load_full();
        match self.discover(now).await {
            Ok(mut held) => {
                held.generation = before.as_ref().map_or(1, |before| before.generation);
                if before.is_none_or(|before| before.document != held.document) {
                    held.generation += 1;
                    tracing::info!(
                        provider = self.settings.id,
                        keys = held.keys.len(),
                        "identity provider's keys taken over"
                    );
                }
                self.held.store(Some(Arc::new(held)));
                tries.error.clear();
            }
            Err(error) => {
                tracing::warn!(
                    provider = self.settings.id,
                    error,
                    "cannot fetch the identity provider's keys"
                );
                tries.error = error;
            }
        }
    }

    async fn discover(&self, now: i64) -> Result<Held, String> {
        let route = self.route();
        let document = route.get(&self.settings.discovery).await?;
        let document = json::object(&document).map_err(|error| {
            format!("{} holds no discovery document: {error}", self.settings.discovery)
        })?;
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        let issuer = text("issuer");
        if !self.settings.trusts(issuer) {
            return Err(format!(
                "{} states the issuer `{issuer}`, which is not this provider's: correct `issuer`",
                self.settings.discovery
            ));
        }
        for name in ["authorization_endpoint", "token_endpoint", "end_session_endpoint"] {
            if !text(name).is_empty() {
                secure(text(name)).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        let jwks: Uri = secure(text("jwks_uri")).map_err(|error| format!("jwks_uri: {error}"))?;
        let keys_document = route.get(&jwks).await?;
        let keys = KeySet::parse(&keys_document)?;
        if keys.len() == 0 {
            return Err(format!("{jwks} holds no key that may sign tokens"));
        }
        let endpoints = Endpoints {
            issuer: issuer.to_owned(),
            authorization: text("authorization_endpoint").to_owned(),
            token: text("token_endpoint").to_owned(),
            end_session: text("end_session_endpoint").to_owned(),
        };
        Ok(Held {
            keys: Arc::new(keys),
            generation: 0,
            document: keys_document,
            endpoints: Arc::new(endpoints),
            fetched_at: now,
        })
    }

    pub(crate) fn route(&self) -> Route {
        Route { connection: self.settings.connection.clone(), egress: self.settings.egress.clone() }
    }

    pub(crate) fn status(&self, now: i64) -> ProviderStatus {
        let held = self.held.load();
        let error = self.tries.try_lock().map(|tries| tries.error.clone()).unwrap_or_default();
        let age = held.as_ref().map(|held| now.saturating_sub(held.fetched_at));
        let state = match age {
            _ if !self.is_open(now) => ProviderState::Closed,
            Some(age) if age > self.pace.refresh_s.saturating_add(RETRY_S) => ProviderState::Stale,
            _ if !error.is_empty() => ProviderState::Stale,
            _ => ProviderState::Up,
        };
        let keys = held.as_ref().map_or(0, |held| held.keys.len());
        ProviderStatus { id: self.settings.id.clone(), state, keys, keys_age_s: age, error }
    }
}

fn may_try(last_at: Option<i64>, pause_s: i64, now: i64) -> bool {
    last_at.is_none_or(|last| now.saturating_sub(last) >= pause_s || now < last)
}

//! Azure Key Vault: secrets by its REST API, with a token of Entra ID.
//!
//! `exp` and `nbf` of a secret are for people: Key Vault itself hands it out before and after. A
//! version is immutable; without one the latest is meant.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Request, header};
use net::{Body, EgressRules};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::call::{Caller, encoded};
use crate::entra::{Token, TokenSource};
use crate::secret::Hidden;
use crate::vault::Inner;
use crate::{Error, ErrorKind, KeyVaultConfig, Secret};

const API_VERSION: &str = "7.4";
/// Key Vaults whose connections are kept.
const VAULTS_MAX: usize = 64;
/// What is left of a token's life when it is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(120);

/// All Key Vaults, asked as one identity.
pub(crate) struct KeyVault {
    config: KeyVaultConfig,
    rules: EgressRules,
    tokens: TokenSource,
    /// Held while a token is fetched: one at a time.
    token: tokio::sync::Mutex<Option<(Token, Instant)>>,
    callers: Mutex<HashMap<String, Caller>>,
}

#[derive(Deserialize)]
struct Bundle {
    value: Hidden,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    enabled: Option<bool>,
    exp: Option<u64>,
}

/// A secret, and until when it is meant to be used.
pub(crate) struct Found {
    pub(crate) secret: Secret,
    /// Seconds since 1970.
    pub(crate) expires_s: Option<u64>,
}

impl KeyVault {
    pub(crate) fn new(config: &KeyVaultConfig, rules: EgressRules) -> Result<Option<Self>, Error> {
        let Some(identity) = &config.auth else { return Ok(None) };
        let tokens = TokenSource::new(identity, &config.scope, rules.clone())?;
        Ok(Some(Self {
            config: config.clone(),
            rules,
            tokens,
            token: tokio::sync::Mutex::default(),
            callers: Mutex::default(),
        }))
    }

    pub(crate) async fn get(
        &self,
        homes: &Inner,
        vault: &str,
        name: &str,
        version: &str,
    ) -> Result<Found, (Error, Option<Duration>)> {
        let caller = self.caller(vault).map_err(|error| (error, None))?;
        let mut path = format!("/secrets/{}", &*encoded(name));
        if !version.is_empty() {
            path.push('/');
            path.push_str(&encoded(version));
        }
        path.push_str("?api-version=");
        path.push_str(API_VERSION);
        let mut is_new = false;
        loop {
            let token = self.token(homes, is_new).await?;
            let request = Request::get(path.as_str())
                .header(header::AUTHORIZATION, token)
                .body(Body::empty())
                .expect("the path was encoded");
            let answer = caller.send(request).await.map_err(|error| (error, None))?;
            if answer.status == http::StatusCode::UNAUTHORIZED && !is_new {
                // The token may have been revoked.
                is_new = true;
                continue;
            }
            let bundle: Bundle = answer.read("Key Vault").map_err(|error| (error, answer.pause))?;
            if bundle.attributes.enabled == Some(false) {
                return Err((Error::new(ErrorKind::Denied, "it is disabled"), None));
            }
            let secret = bundle.value.0.trimmed();
            return Ok(Found { secret, expires_s: bundle.attributes.exp });
        }
    }

    async fn token(
        &self,
        homes: &Inner,
        is_new: bool,
    ) -> Result<HeaderValue, (Error, Option<Duration>)> {
        let mut held = self.token.lock().await;
        let is_good = |(token, since): &(Token, Instant)| {
            since.elapsed() + TOKEN_MARGIN < token.life.max(TOKEN_MARGIN * 2)
        };
        if is_new || !held.as_ref().is_some_and(is_good) {
            let began = Instant::now();
            *held = Some((self.tokens.fetch(homes, SystemTime::now()).await?, began));
        }
        let token = held.as_ref().map_or("", |(token, _)| token.secret.expose());
        let value = Zeroizing::new(format!("Bearer {token}"));
        let value = HeaderValue::from_str(&value)
            .map_err(|_| (Error::new(ErrorKind::Unavailable, "the token fits in no header"), None));
        value.map(|mut value| {
            value.set_sensitive(true);
            value
        })
    }

    fn caller(&self, vault: &str) -> Result<Caller, Error> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = callers.get(vault) {
            return Ok(caller.clone());
        }
        let base = match vault.contains("://") {
            true => vault.to_owned(),
            false => format!("https://{vault}.{}", self.config.dns_suffix),
        };
        let config = &self.config.connection;
        let caller =
            Caller::new(base.trim_end_matches('/'), config, self.rules.clone(), "Key Vault")?;
        if callers.len() >= VAULTS_MAX {
            callers.clear();
        }
        callers.insert(vault.to_owned(), caller.clone());
        Ok(caller)
    }
}

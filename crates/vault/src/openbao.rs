//! OpenBao and HashiCorp Vault: key-value engine version 2, with a token or a login by AppRole. The
//! token is renewed when two thirds of its life are over; one that cannot be renewed is replaced by a
//! new login.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use net::{Body, EgressRules};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::call::{Answer, Caller, encoded};
use crate::secret::Hidden;
use crate::vault::Inner;
use crate::{Error, ErrorKind, OpenbaoConfig, Secret};

const WHAT: &str = "OpenBao";

/// One server.
pub(crate) struct Openbao {
    config: OpenbaoConfig,
    caller: Caller,
    /// Held while a login runs: one at a time.
    session: tokio::sync::Mutex<Option<Session>>,
}

struct Session {
    token: Secret,
    since: Instant,
    /// None if it holds for ever.
    life: Option<Duration>,
    is_renewable: bool,
}

#[derive(Deserialize)]
struct Login {
    auth: Granted,
}

#[derive(Deserialize)]
struct Granted {
    client_token: Hidden,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct LookedUp {
    data: TokenState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenState {
    ttl: u64,
    renewable: bool,
}

#[derive(Deserialize)]
struct Read {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<std::collections::HashMap<String, Field>>,
}

/// A value, read so that its text can be overwritten.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(Hidden),
    Other(IgnoredAny),
}

impl Session {
    fn left(&self) -> Option<Duration> {
        self.life.map(|life| life.saturating_sub(self.since.elapsed()))
    }

    /// Two thirds of its life are over.
    fn is_due(&self) -> bool {
        match (self.life, self.left()) {
            (Some(life), Some(left)) => left * 3 <= life,
            _ => false,
        }
    }
}

impl Openbao {
    pub(crate) fn new(config: &OpenbaoConfig, rules: EgressRules) -> Result<Option<Self>, Error> {
        if config.address.is_empty() {
            return Ok(None);
        }
        if config.token.is_some() == config.app_role.is_some() {
            let text = "vault.openbao: give either `token` or `app_role`";
            return Err(Error::new(ErrorKind::Config, text));
        }
        let caller = Caller::new(&config.address, &config.connection, rules, WHAT)?;
        let session = tokio::sync::Mutex::default();
        Ok(Some(Self { config: config.clone(), caller, session }))
    }

    pub(crate) async fn get(
        &self,
        homes: &Inner,
        mount: &str,
        path: &str,
        field: &str,
    ) -> Result<Secret, (Error, Option<Duration>)> {
        let segments = |text: &str| {
            let parts = text.split('/').filter(|part| !part.is_empty());
            parts.map(|part| encoded(part).to_string()).collect::<Vec<_>>().join("/")
        };
        let target = format!("/v1/{}/data/{}", segments(mount), segments(path));
        let now = |error| (error, None);
        let mut is_new = false;
        loop {
            let token = self.token(homes, is_new).await.map_err(now)?;
            let answer = self.call(Method::GET, &target, Some(&token), None).await.map_err(now)?;
            if answer.status == StatusCode::FORBIDDEN && !is_new {
                // The token may have been revoked.
                is_new = true;
                continue;
            }
            let read: Read = answer.read(WHAT).map_err(|error| (error, answer.pause))?;
            let deleted = || now(Error::new(ErrorKind::Missing, "its latest version is deleted"));
            let mut fields = read.data.data.ok_or_else(deleted)?;
            return match fields.remove(field) {
                Some(Field::Text(text)) => Ok(text.0.trimmed()),
                Some(Field::Other(_)) => Err(now(Error::new(ErrorKind::Missing, "it is no text"))),
                None => Err(now(Error::new(ErrorKind::Missing, "it has no such field"))),
            };
        }
    }

    /// Renews the token while it is due; whoever runs it decides how often.
    pub(crate) async fn tend(&self, homes: &Inner) -> Result<(), Error> {
        self.token(homes, false).await.map(|_| ())
    }

    /// The token, logged in or renewed where that is due.
    async fn token(&self, homes: &Inner, is_new: bool) -> Result<Secret, Error> {
        let mut session = self.session.lock().await;
        if let Some(held) = &*session
            && !is_new
            && !held.is_due()
        {
            return Ok(held.token.clone());
        }
        if let Some(held) = &*session
            && !is_new
            && held.is_renewable
        {
            match self.renew(&held.token).await {
                Ok(renewed) => return Ok(session.insert(renewed).token.clone()),
                // It still holds for a while: the next call tries again.
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    if held.left().is_some_and(|left| !left.is_zero()) {
                        return Ok(held.token.clone());
                    }
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let begun = self.log_in(homes).await?;
        Ok(session.insert(begun).token.clone())
    }

    async fn log_in(&self, homes: &Inner) -> Result<Session, Error> {
        if let Some(role) = &self.config.app_role {
            let secret_id = homes.login(&role.secret_id).await?;
            let path = format!("/v1/auth/{}/login", role.mount.trim_matches('/'));
            let body = json!({"role_id": role.role_id, "secret_id": secret_id.expose()});
            let answer = self.call(Method::POST, &path, None, Some(&body)).await?;
            let login: Login = answer.read("OpenBao's login by AppRole")?;
            return Ok(Session::of(login.auth));
        }
        let reference = self.config.token.as_ref().expect("a token or a role was checked for");
        let token = homes.login(reference).await?;
        let answer =
            self.call(Method::GET, "/v1/auth/token/lookup-self", Some(&token), None).await?;
        let state: LookedUp = answer.read("OpenBao's look at its token")?;
        let life = (state.data.ttl > 0).then(|| Duration::from_secs(state.data.ttl));
        Ok(Session { token, since: Instant::now(), life, is_renewable: state.data.renewable })
    }

    async fn renew(&self, token: &Secret) -> Result<Session, Error> {
        let path = "/v1/auth/token/renew-self";
        let answer = self.call(Method::POST, path, Some(token), Some(&json!({}))).await?;
        let login: Login = answer.read("OpenBao's renewal of its token")?;
        Ok(Session::of(login.auth))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let fits = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| {
                Error::new(ErrorKind::Config, "OpenBao's token or namespace fits in no header")
            })
        };
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            let mut value = fits(token.expose())?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if !self.config.namespace.is_empty() {
            request = request.header("x-vault-namespace", fits(&self.config.namespace)?);
        }
        let body = match body {
            Some(body) => Body::whole(Bytes::from(body.to_string())),
            None => Body::empty(),
        };
        let request = request
            .header("x-vault-request", "true")
            .body(body)
            .map_err(|_| Error::new(ErrorKind::Config, "OpenBao's mount or path makes no URL"))?;
        self.caller.send(request).await
    }
}

impl Session {
    fn of(granted: Granted) -> Self {
        let life = granted.lease_duration;
        Self {
            token: granted.client_token.0,
            since: Instant::now(),
            life: (life > 0).then(|| Duration::from_secs(life)),
            is_renewable: granted.renewable,
        }
    }
}

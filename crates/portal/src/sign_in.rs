//! People sign in with their identity provider: OIDC code flow with PKCE (RFC 7636), state and nonce.
//!
//! What must be known when the provider sends the browser back travels in a sealed cookie, so that a
//! flood of begun sign-ins takes no room here.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Endpoints, Verifier};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::Principal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::access::Authenticator;
use crate::bearer::{refused, unix_seconds};
use crate::problem::Problem;
use crate::roles::{RoleConfig, principal};
use crate::session::{Session, Sessions, cookie, random};

/// Time to sign in at the provider, in seconds.
const PATIENCE_S: i64 = 600;
/// Header that state-changing calls of a session carry.
const CSRF_HEADER: &str = "x-csrf-token";

/// How people sign in.
#[derive(Clone, Default)]
pub struct SignInSettings {
    /// Where browsers find this listener, such as `https://gatehouse.example`.
    pub public_url: String,
    /// Providers to sign in with; without one nobody can.
    pub clients: Vec<SignInClient>,
    /// Who holds which roles.
    pub roles: Vec<RoleConfig>,
    /// Seconds after which an unused session ends.
    pub idle_s: u64,
    /// Seconds after which any session ends.
    pub lasting_s: u64,
}

/// This gateway's registration with one provider.
#[derive(Clone)]
pub struct SignInClient {
    /// Provider, by its id in the configuration.
    pub provider: String,
    /// Application id of the registration.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<Arc<str>>,
    /// Scopes asked for, with spaces between.
    pub scopes: String,
}

/// Signs people in; clones share the sessions.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

struct Inner {
    settings: SignInSettings,
    /// Scheme, host and port of the public URL.
    origin: String,
    is_secure: bool,
    verifier: Verifier,
    sessions: Sessions,
    seal: LessSafeKey,
}

/// A sign-in under way.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    provider: String,
    state: String,
    nonce: String,
    code_verifier: String,
    return_to: String,
    until: i64,
}

/// What the provider sends back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Returned {
    /// What becomes a token.
    pub(crate) code: String,
    /// Which sign-in it belongs to.
    pub(crate) state: String,
    /// Why the provider let nobody in.
    pub(crate) error: String,
    /// Issuer, where the provider names itself.
    pub(crate) iss: String,
}

/// Where the browser goes next, and the cookies it takes along.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) location: String,
    pub(crate) cookies: Vec<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

impl SignIn {
    /// Checks the settings; the error names the fix.
    pub fn new(settings: SignInSettings, verifier: Verifier) -> Result<Self, String> {
        // An empty URL is a path without a host.
        let uri: Uri = settings.public_url.parse().unwrap_or_default();
        let has_clients = !settings.clients.is_empty();
        let (scheme, authority) = (uri.scheme_str().unwrap_or(""), uri.authority());
        if has_clients && (authority.is_none() || !["http", "https"].contains(&scheme)) {
            return Err(
                "sign_in.public_url: give the URL at which browsers find the admin listener, \
                        such as https://gatehouse.example"
                    .into(),
            );
        }
        let host = uri.host().unwrap_or("");
        if has_clients && scheme == "http" && !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
            return Err(
                "sign_in.public_url: it must begin with https://, but for this machine".into()
            );
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers");
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes");
        Ok(Self(Arc::new(Inner {
            origin: format!("{scheme}://{}", authority.map_or("", |it| it.as_str())),
            is_secure: scheme == "https",
            sessions: Sessions::new(settings.idle_s, settings.lasting_s),
            seal: LessSafeKey::new(key),
            settings,
            verifier,
        })))
    }

    /// The providers to sign in with.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.settings.clients.iter().map(|client| client.provider.as_str())
    }

    /// Sends the browser to the provider.
    pub(crate) async fn begin(&self, provider: &str, return_to: &str) -> Result<Onward, Problem> {
        let client = self.client(provider)?;
        let now = unix_seconds();
        let endpoints = self.endpoints(&client.provider, now).await?;
        if endpoints.authorization.is_empty() || endpoints.token.is_empty() {
            return Err(Problem::new(
                502,
                "the identity provider states no endpoint to sign in at",
            ));
        }
        let begun = Begun {
            provider: client.provider.clone(),
            state: random(),
            nonce: random(),
            code_verifier: random(),
            return_to: own_path(return_to).to_owned(),
            until: now.saturating_add(PATIENCE_S),
        };
        let challenge = digest::digest(&digest::SHA256, begun.code_verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let parameters = form(&[
            ("response_type", "code"),
            ("client_id", &client.client_id),
            ("redirect_uri", &self.redirect_uri()),
            ("scope", &client.scopes),
            ("state", &begun.state),
            ("nonce", &begun.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let joint = if endpoints.authorization.contains('?') { '&' } else { '?' };
        let location = format!("{}{joint}{parameters}", endpoints.authorization);
        let sealed = self.seal(&begun);
        let cookies = vec![self.set_cookie(&self.begun_cookie(), &sealed, PATIENCE_S)];
        Ok(Onward { location, cookies })
    }

    /// The provider sent the browser back: a session begins, under a name of its own.
    pub(crate) async fn complete(
        &self,
        headers: &HeaderMap,
        returned: &Returned,
    ) -> Result<Onward, Problem> {
        let now = unix_seconds();
        let again = |why: &str| Problem::new(400, format!("{why}: begin again at /auth/sign-in"));
        let begun = cookie(headers, &self.begun_cookie()).and_then(|sealed| self.unseal(sealed));
        let begun = begun.ok_or_else(|| again("this browser has not begun to sign in"))?;
        if now >= begun.until || !same(&begun.state, &returned.state) {
            return Err(again("this sign-in is another one or took too long"));
        }
        if !returned.error.is_empty() || returned.code.is_empty() {
            return Err(again("the identity provider did not let you in"));
        }
        let client = self.client(&begun.provider)?;
        let endpoints = self.endpoints(&client.provider, now).await?;
        // A provider that names itself must be the one that was asked (RFC 9207).
        if !returned.iss.is_empty() && returned.iss != endpoints.issuer {
            return Err(again("another identity provider answered"));
        }
        let id_token = self.redeem(client, &endpoints, &begun, &returned.code).await?;
        let expected = (client.client_id.as_str(), begun.nonce.as_str());
        let verified = self.0.verifier.verify_sign_in(&client.provider, &id_token, expected, now);
        let identity = verified.await.map_err(|why| refused(&why))?;
        let principal = principal(&identity, &self.0.settings.roles);
        if principal.roles.is_empty() {
            let detail = format!(
                "{} ({}) holds no role here: have an administrator map one of your groups or app roles under `admin.roles`",
                principal.name, principal.id
            );
            return Err(Problem::new(403, detail));
        }
        tracing::info!(principal = principal.id, provider = client.provider, "signed in");
        let end_session_url = self.end_session_url(&endpoints, client, &id_token);
        let sessions = &self.0.sessions;
        if let Some(before) = cookie(headers, &self.session_cookie()) {
            sessions.end(before);
        }
        let value = sessions.begin(principal, end_session_url, now);
        let cookies = vec![
            self.set_cookie(&self.session_cookie(), &value, sessions.lasting_s()),
            self.set_cookie(&self.begun_cookie(), "", 0),
        ];
        Ok(Onward { location: begun.return_to, cookies })
    }

    /// Exchanges the code for an ID token.
    async fn redeem(
        &self,
        client: &SignInClient,
        endpoints: &Endpoints,
        begun: &Begun,
        code: &str,
    ) -> Result<String, Problem> {
        let redirect_uri = self.redirect_uri();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("client_id", &client.client_id),
            ("code_verifier", &begun.code_verifier),
        ];
        if let Some(secret) = &client.client_secret {
            fields.push(("client_secret", secret));
        }
        let answer = self.0.verifier.post_form(&client.provider, &endpoints.token, form(&fields));
        let answer = answer.await.map_err(|error| {
            tracing::warn!(provider = client.provider, error, "a sign-in failed at the provider");
            Problem::new(
                502,
                "the identity provider did not take the code: begin again at /auth/sign-in",
            )
        })?;
        let answer: TokenAnswer = serde_json::from_slice(&answer)
            .map_err(|_| Problem::new(502, "the identity provider answered without an ID token"))?;
        Ok(answer.id_token)
    }

    /// The session of a request, if it has one.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.0.sessions.find(cookie(headers, &self.session_cookie())?, unix_seconds())
    }

    /// Ends the session of a request; answers where to sign out at the provider, and the cookie that
    /// takes the other away.
    pub(crate) fn end(&self, headers: &HeaderMap) -> (String, String) {
        let ended =
            cookie(headers, &self.session_cookie()).and_then(|value| self.0.sessions.end(value));
        if let Some(session) = &ended {
            tracing::info!(principal = session.principal.id, "signed out");
        }
        let url = ended.map(|session| session.end_session_url).unwrap_or_default();
        (url, self.set_cookie(&self.session_cookie(), "", 0))
    }

    /// A call that changes something must come from our own pages.
    fn check_origin(&self, head: &Parts, session: &Session) -> Result<(), Problem> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method) {
            return Ok(());
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if text("origin").is_some_and(|origin| origin != self.0.origin) {
            return Err(Problem::new(403, "the call comes from another site's page"));
        }
        match text(CSRF_HEADER) {
            Some(token) if same(token, &session.csrf_token) => Ok(()),
            _ => Err(Problem::new(
                403,
                "send the `csrf_token` of GET /auth/session in the header `x-csrf-token`",
            )),
        }
    }

    fn client(&self, provider: &str) -> Result<&SignInClient, Problem> {
        let mut clients = self.0.settings.clients.iter();
        let found = match provider {
            "" => clients.next(),
            id => clients.find(|client| client.provider == id),
        };
        found.ok_or_else(|| Problem::new(404, "there is no such provider under `sign_in.clients`"))
    }

    async fn endpoints(&self, provider: &str, now: i64) -> Result<Arc<Endpoints>, Problem> {
        self.0.verifier.endpoints(provider, now).await.map_err(|why| refused(&why))
    }

    fn redirect_uri(&self) -> String {
        format!("{}/auth/callback", self.0.origin)
    }

    fn end_session_url(&self, endpoints: &Endpoints, client: &SignInClient, id: &str) -> String {
        if endpoints.end_session.is_empty() {
            return String::new();
        }
        let back = format!("{}/", self.0.origin);
        let parameters = form(&[
            ("client_id", client.client_id.as_str()),
            ("id_token_hint", id),
            ("post_logout_redirect_uri", &back),
        ]);
        let joint = if endpoints.end_session.contains('?') { '&' } else { '?' };
        format!("{}{joint}{parameters}", endpoints.end_session)
    }

    fn session_cookie(&self) -> String {
        self.cookie_name("gatehouse-session")
    }

    fn begun_cookie(&self) -> String {
        self.cookie_name("gatehouse-sign-in")
    }

    /// With TLS browsers keep a `__Host-` cookie to this very host.
    fn cookie_name(&self, name: &str) -> String {
        if self.0.is_secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn set_cookie(&self, name: &str, value: &str, seconds: i64) -> String {
        let secure = if self.0.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }

    fn seal(&self, begun: &Begun) -> String {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the system has random numbers");
        let mut sealed = serde_json::to_vec(begun).expect("texts and a number become JSON");
        self.0
            .seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .expect("it is short");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    fn unseal(&self, cookie: &str) -> Option<Begun> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.0.seal.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// The session's cookie proves who it is.
#[async_trait]
impl Authenticator for SignIn {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        let Some(session) = self.session(&head.headers) else { return Ok(None) };
        self.check_origin(head, &session)?;
        Ok(Some(session.principal))
    }

    fn via(&self) -> &'static str {
        "portal"
    }
}

/// A path on this listener; anything else becomes its root.
fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && HeaderValue::from_str(path).is_ok();
    if is_own { path } else { "/" }
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests;

//! People sign in with their identity provider: OIDC code flow with PKCE (RFC 7636), state and nonce.
//!
//! What must be known when the provider sends the browser back travels in a sealed cookie, so that a
//! flood of begun sign-ins takes no room here.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Endpoints, Rejection, Verifier};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::Principal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use vault::{SecretRef, Vault, VaultConfig};

use crate::access::Authenticator;
use crate::break_glass::{self, BreakGlass, BreakGlassAccount, LocalSignIn};
use crate::clock::unix_seconds;
use crate::problem::Problem;
use crate::roles::{self, RoleConfig};
use crate::session::{Session, Sessions, Who, cookie, random};
use crate::set_up::SetUp;
use crate::visit::{Refusal, Visit, Watch, refused};

/// Time to sign in at the provider, in seconds.
const PATIENCE_S: i64 = 600;
/// Header that state-changing calls of a session carry.
const CSRF_HEADER: &str = "x-csrf-token";
/// More characters than a set-up link's token has.
const SET_UP_CHARS_MAX: usize = 64;

/// How people sign in.
#[derive(Clone, Default)]
pub struct SignInSettings {
    /// Where browsers find this listener, such as `https://gatehouse.example`.
    pub public_url: String,
    /// Providers to sign in with; without one nobody can.
    pub clients: Vec<SignInClient>,
    /// The local account, if there is one.
    pub break_glass: Option<BreakGlassAccount>,
    /// The link that makes the first administrator.
    pub set_up: SetUp,
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
    /// Where its secret is found; none for a public client. It is fetched for each sign-in.
    pub client_secret: Option<SecretRef>,
    /// Scopes asked for, with spaces between.
    pub scopes: String,
}

/// What signing in takes.
#[derive(Clone)]
pub struct SignInWiring {
    /// Verifies ID tokens.
    pub verifier: Verifier,
    /// Homes of the secrets.
    pub vault: Vault,
    /// Is told of what happens.
    pub watch: Watch,
}

/// Signs people in; clones share the sessions.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

struct Inner {
    settings: SignInSettings,
    /// Scheme, host and port of the public URL.
    origin: String,
    is_secure: bool,
    wiring: SignInWiring,
    break_glass: Option<BreakGlass>,
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
    /// Token of the set-up link, if one was opened.
    #[serde(default)]
    set_up: String,
    until: i64,
}

/// Somebody has proved who they are.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) who: Who,
    /// Provider, or `local`.
    pub(crate) target: String,
    /// Token of the set-up link; empty without one.
    pub(crate) set_up: String,
    end_session_url: String,
    return_to: String,
    lasting_s: i64,
    /// Cookie of the session that ends with this one's beginning.
    before: Option<String>,
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

impl SignInSettings {
    /// Checks what no single field can tell; the error names the fix.
    pub fn check(&self) -> Result<(), String> {
        if self.clients.is_empty() && self.break_glass.is_none() {
            return Ok(());
        }
        // An empty URL is a path without a host.
        let uri: Uri = self.public_url.parse().unwrap_or_default();
        let scheme = uri.scheme_str().unwrap_or("");
        if uri.authority().is_none() || !["http", "https"].contains(&scheme) {
            return Err(
                "sign_in.public_url: give the URL at which browsers find the admin listener, \
                        such as https://gatehouse.example"
                    .into(),
            );
        }
        let host = uri.host().unwrap_or("");
        if scheme == "http" && !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
            return Err(
                "sign_in.public_url: it must begin with https://, but for this machine".into()
            );
        }
        let name = self.break_glass.as_ref().map_or("-", |account| &account.name);
        if name.is_empty() {
            return Err("sign_in.break_glass.name: give the account a name".into());
        }
        Ok(())
    }
}

impl SignIn {
    /// Checks the settings; the error names the fix.
    pub fn new(settings: SignInSettings, wiring: SignInWiring) -> Result<Self, String> {
        settings.check()?;
        let uri: Uri = settings.public_url.parse().unwrap_or_default();
        let scheme = uri.scheme_str().unwrap_or("");
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers");
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes");
        let account = settings.break_glass.clone();
        Ok(Self(Arc::new(Inner {
            origin: format!("{scheme}://{}", uri.authority().map_or("", |it| it.as_str())),
            is_secure: scheme == "https",
            sessions: Sessions::new(settings.idle_s, settings.lasting_s),
            seal: LessSafeKey::new(key),
            break_glass: account.map(|account| BreakGlass::new(account, wiring.vault.clone())),
            settings,
            wiring,
        })))
    }

    /// There is a local account to sign in with.
    pub(crate) fn has_local_account(&self) -> bool {
        self.0.break_glass.is_some()
    }

    /// The link that makes the first administrator.
    pub(crate) fn set_up(&self) -> &SetUp {
        &self.0.settings.set_up
    }

    /// Somebody is administrator by the configuration.
    pub(crate) fn has_administrator(&self) -> bool {
        roles::has_administrator(&self.0.settings.roles)
    }

    /// The providers to sign in with.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.settings.clients.iter().map(|client| client.provider.as_str())
    }

    /// Sends the browser to the provider.
    pub(crate) async fn begin(
        &self,
        provider: &str,
        (return_to, set_up): (&str, &str),
    ) -> Result<Onward, Problem> {
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
            set_up: set_up.chars().take(SET_UP_CHARS_MAX).collect(),
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

    /// The provider sent the browser back. With the refusal, the provider that was asked.
    pub(crate) async fn complete(
        &self,
        headers: &HeaderMap,
        returned: &Returned,
    ) -> Result<Arrived, (Refusal, String)> {
        let begun = cookie(headers, &self.begun_cookie()).and_then(|sealed| self.unseal(sealed));
        let Some(begun) = begun else {
            let refusal = again("not_begun", "this browser has not begun to sign in");
            return Err((refusal, String::new()));
        };
        let before = cookie(headers, &self.session_cookie()).map(str::to_owned);
        match self.arrive(&begun, returned, before).await {
            Ok(arrived) => Ok(arrived),
            Err(refusal) => Err((refusal, begun.provider)),
        }
    }

    async fn arrive(
        &self,
        begun: &Begun,
        returned: &Returned,
        before: Option<String>,
    ) -> Result<Arrived, Refusal> {
        let now = unix_seconds();
        if now >= begun.until || !same(&begun.state, &returned.state) {
            let why = "this sign-in is another one or took too long";
            return Err(again("state_mismatch", why));
        }
        if !returned.error.is_empty() || returned.code.is_empty() {
            let why = "the identity provider did not let you in";
            return Err(again("provider_refused", why));
        }
        let client = self.client(&begun.provider).map_err(of_provider)?;
        let endpoints = self.endpoints(&client.provider, now).await.map_err(of_provider)?;
        // A provider that names itself must be the one that was asked (RFC 9207).
        if !returned.iss.is_empty() && returned.iss != endpoints.issuer {
            return Err(again("other_provider", "another identity provider answered"));
        }
        let id_token = self.redeem(client, &endpoints, begun, &returned.code).await;
        let id_token = id_token.map_err(of_provider)?;
        let expected = (client.client_id.as_str(), begun.nonce.as_str());
        let verifier = &self.0.wiring.verifier;
        let identity = verifier.verify_sign_in(&client.provider, &id_token, expected, now).await?;
        Ok(Arrived {
            who: Who::Person(Arc::new(identity)),
            target: client.provider.clone(),
            set_up: begun.set_up.clone(),
            end_session_url: self.end_session_url(&endpoints, client, &id_token),
            return_to: begun.return_to.clone(),
            lasting_s: i64::MAX,
            before,
        })
    }

    /// Somebody names the local account and its password. With the refusal, what they came to.
    pub(crate) async fn local(
        &self,
        visit: &Visit,
        headers: &HeaderMap,
        given: LocalSignIn,
    ) -> Result<Arrived, (Refusal, String)> {
        let Some(break_glass) = &self.0.break_glass else {
            let text = "there is no local account: `sign_in.break_glass` makes one";
            return Err((
                Refusal::new("no_local_account", Problem::new(404, text)),
                "local".into(),
            ));
        };
        let checked = match self.is_elsewhere(headers) {
            true => Err(Refusal::new("other_site", elsewhere())),
            false => break_glass.check(&given, &visit.address, unix_seconds()).await,
        };
        checked.map_err(|refusal| (refusal, "local".to_owned()))?;
        let account = &break_glass.account;
        Ok(Arrived {
            who: Who::Local(account.name.clone()),
            target: "local".to_owned(),
            set_up: given.set_up,
            end_session_url: String::new(),
            return_to: "/".to_owned(),
            lasting_s: i64::try_from(account.lasting_s).unwrap_or(i64::MAX),
            before: cookie(headers, &self.session_cookie()).map(str::to_owned),
        })
    }

    /// Who somebody is who signed in, at this moment.
    pub(crate) fn principal(&self, who: &Who) -> Result<Principal, Rejection> {
        match who {
            Who::Person(identity) => {
                let identity = self.0.wiring.verifier.complete(identity.clone())?;
                Ok(roles::principal(&identity, &self.0.settings.roles))
            }
            Who::Local(name) => Ok(break_glass::principal(name)),
        }
    }

    /// A session begins, under a name of its own; the one before ends.
    pub(crate) fn begin_session(&self, arrived: Arrived) -> Onward {
        let sessions = &self.0.sessions;
        if let Some(before) = &arrived.before {
            sessions.end(before);
        }
        let (now, lasting_s) = (unix_seconds(), arrived.lasting_s);
        let value = sessions.begin(arrived.who, arrived.end_session_url, lasting_s, now);
        let lasting_s = lasting_s.min(sessions.lasting_s());
        let cookies = vec![
            self.set_cookie(&self.session_cookie(), &value, lasting_s),
            self.set_cookie(&self.begun_cookie(), "", 0),
        ];
        Onward { location: arrived.return_to, cookies }
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
        let secret = match &client.client_secret {
            Some(reference) => Some(self.0.wiring.vault.get(reference).await.map_err(|error| {
                let error = error.story();
                tracing::warn!(provider = client.provider, error, "nobody can sign in");
                Problem::new(503, "the secret of this gateway cannot be fetched: its log says why")
            })?),
            None => None,
        };
        if let Some(secret) = &secret {
            fields.push(("client_secret", secret.expose()));
        }
        let verifier = &self.0.wiring.verifier;
        let answer = verifier.post_form(&client.provider, &endpoints.token, form(&fields));
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
        let url = ended.map(|session| session.end_session_url).unwrap_or_default();
        (url, self.set_cookie(&self.session_cookie(), "", 0))
    }

    /// A call that changes something must come from our own pages.
    fn check_origin(&self, head: &Parts, session: &Session) -> Result<(), Problem> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method) {
            return Ok(());
        }
        if self.is_elsewhere(&head.headers) {
            return Err(elsewhere());
        }
        match head.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()) {
            Some(token) if same(token, &session.csrf_token) => Ok(()),
            _ => Err(Problem::new(
                403,
                "send the `csrf_token` of GET /auth/session in the header `x-csrf-token`",
            )),
        }
    }

    /// The call comes from another site's page.
    fn is_elsewhere(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_some_and(|origin| origin != self.0.origin.as_str())
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
        self.0.wiring.verifier.endpoints(provider, now).await.map_err(|why| refused(&why))
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
        match self.principal(&session.who) {
            Ok(principal) => Ok(Some(principal)),
            Err(why) => {
                self.end(&head.headers);
                let visit = Visit::of(head, "session");
                let mut event = visit.event("sign_out", "warning", why.reason.name());
                if let Who::Person(identity) = &session.who {
                    event.principal_id.clone_from(&identity.member.user_id);
                }
                (self.0.wiring.watch)(event);
                Err(refused(&why))
            }
        }
    }

    fn via(&self) -> &'static str {
        "portal"
    }
}

impl SignInWiring {
    /// Verifies ID tokens, fetches secrets, tells of events.
    pub fn new(verifier: &Verifier, vault: &Vault, watch: Watch) -> Self {
        Self { verifier: verifier.clone(), vault: vault.clone(), watch }
    }
}

/// Nobody listens, nothing is kept: for whoever signs nobody in.
impl Default for SignInWiring {
    fn default() -> Self {
        let vault = Vault::new(&VaultConfig::default(), |_| {});
        Self {
            verifier: Verifier::default(),
            vault: vault.expect("no homes are good settings"),
            watch: Arc::new(|_| {}),
        }
    }
}

/// The person has to begin again.
fn again(reason: &'static str, why: &str) -> Refusal {
    Refusal::new(reason, Problem::new(400, format!("{why}: begin again at /auth/sign-in")))
}

/// The provider, or the way to it, is at fault.
fn of_provider(problem: Problem) -> Refusal {
    Refusal::new("provider_failed", problem)
}

fn elsewhere() -> Problem {
    Problem::new(403, "the call comes from another site's page")
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
pub(crate) mod tests;

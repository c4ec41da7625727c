//! Verifies tokens: the providers with their keys, and what was verified already.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Uri;
use net::{Denied, EgressRules};
use tokio_util::sync::CancellationToken;

use crate::config::IdentityConfig;
use crate::directory::Directory;
use crate::graph::{GraphAccess, member_groups};
use crate::groups::GroupCache;
use crate::identity::Identity;
use crate::provider::{Endpoints, Pace, Provider, ProviderStatus};
use crate::rejection::{Reason, Rejection};
use crate::settings::ConfigError;
use crate::token::{Purpose, Token};
use crate::tokens::{self, TokenCache};

/// Time between two looks at which providers' keys are due.
const LOOK: Duration = Duration::from_secs(1);

/// Verifies tokens; clones share everything.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    state: ArcSwap<State>,
    graph: Option<Arc<dyn GraphAccess>>,
    groups: GroupCache,
    directory: OnceLock<Arc<dyn Directory>>,
    watch: Watch,
}

/// Is told of every dial that the egress rules forbid.
type Watch = Arc<dyn Fn(&Denied) + Send + Sync>;

/// What a configuration makes.
struct State {
    providers: Vec<Arc<Provider>>,
    token_bytes_max: usize,
    tokens: TokenCache,
}

impl Verifier {
    /// A verifier for the providers of a configuration. Their keys are fetched when they are needed.
    pub fn new(
        config: &IdentityConfig,
        graph: Option<Arc<dyn GraphAccess>>,
    ) -> Result<Self, ConfigError> {
        Self::watched(config, graph, |_| {})
    }

    /// The same; `watch` is told of every dial that the egress rules forbid, and must not wait.
    pub fn watched(
        config: &IdentityConfig,
        graph: Option<Arc<dyn GraphAccess>>,
        watch: impl Fn(&Denied) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let watch: Watch = Arc::new(watch);
        let state = ArcSwap::from_pointee(State::new(config, &watch)?);
        let (groups, directory) = (GroupCache::new(), OnceLock::new());
        Ok(Self { inner: Arc::new(Inner { state, graph, groups, directory, watch }) })
    }

    /// Takes over another configuration; keys of providers that stay are kept.
    pub fn reconfigure(&self, config: &IdentityConfig) -> Result<(), ConfigError> {
        let next = State::new(config, &self.inner.watch)?;
        let current = self.inner.state.load();
        for provider in &next.providers {
            let same = |other: &&Arc<Provider>| other.settings.id == provider.settings.id;
            if let Some(other) = current.providers.iter().find(same) {
                provider.inherit(other);
            }
        }
        self.inner.state.store(Arc::new(next));
        Ok(())
    }

    /// Asks this directory too, from now on.
    pub fn follow(&self, directory: Arc<dyn Directory>) {
        let is_first = self.inner.directory.set(directory).is_ok();
        debug_assert!(is_first, "there is one directory");
    }

    /// The identity with what the organisation's directory says of it at this moment: its groups, or that
    /// it is gone.
    pub fn complete(&self, identity: Arc<Identity>) -> Result<Arc<Identity>, Rejection> {
        let Some(directory) = self.inner.directory.get() else { return Ok(identity) };
        let user = match directory.user(&identity.member.user_id) {
            None if !identity.is_provisioned => return Ok(identity),
            Some(user) if user.is_active => user,
            _ => {
                let text = "The organisation's directory has deactivated this user.";
                return Err(Rejection::new(Reason::UserDeactivated, text));
            }
        };
        let is_new = |group: &String| !identity.member.groups.contains(group);
        let further: Vec<String> = user.groups.into_iter().filter(is_new).collect();
        if further.is_empty() && identity.is_provisioned {
            return Ok(identity);
        }
        let mut completed = Identity::clone(&identity);
        completed.member.groups.extend(further);
        completed.is_provisioned = true;
        Ok(Arc::new(completed))
    }

    /// Some provider is trusted.
    pub fn is_configured(&self) -> bool {
        !self.inner.state.load().providers.is_empty()
    }

    /// Who a token is about, if it was verified a moment ago.
    pub fn cached(&self, token: &str, now: i64) -> Option<Arc<Identity>> {
        let identity = self.inner.state.load().cached(&tokens::hash(token), now)?;
        self.complete(identity).ok()
    }

    /// Who a token is about, or why it is not accepted.
    pub async fn verify(&self, token: &str, now: i64) -> Result<Arc<Identity>, Rejection> {
        let state = self.inner.state.load_full();
        if token.len() > state.token_bytes_max {
            return Err(Rejection::invalid(format!(
                "The token is longer than {} bytes.",
                state.token_bytes_max
            )));
        }
        let hash = tokens::hash(token);
        if let Some(identity) = state.cached(&hash, now) {
            return self.complete(identity);
        }
        let parsed = Token::parse(token, state.token_bytes_max)?;
        let provider = state.provider_of(&parsed)?;
        let (keys, generation) = provider.keys(&parsed, now).await?;
        let mut identity = parsed.verify(&provider.settings, &keys, Purpose::Access, now)?;
        if identity.groups_missing {
            self.look_up_groups(provider, &mut identity, now).await;
        }
        let identity = Arc::new(identity);
        state.tokens.put(hash, identity.clone(), generation, now);
        self.complete(identity)
    }

    /// Who signed in: verifies the ID token that answers a sign-in. What the directory says is not in it:
    /// [`complete`](Self::complete) adds it at each request.
    pub async fn verify_sign_in(
        &self,
        provider: &str,
        token: &str,
        (client_id, nonce): (&str, &str),
        now: i64,
    ) -> Result<Identity, Rejection> {
        let state = self.inner.state.load_full();
        let parsed = Token::parse(token, state.token_bytes_max)?;
        let provider = state.provider(provider)?;
        if !provider.settings.trusts(parsed.issuer()?) {
            return Err(untrusted());
        }
        let (keys, _) = provider.keys(&parsed, now).await?;
        let purpose = Purpose::SignIn { client_id, nonce };
        let mut identity = parsed.verify(&provider.settings, &keys, purpose, now)?;
        if identity.groups_missing {
            self.look_up_groups(provider, &mut identity, now).await;
        }
        let known = self.inner.directory.get().map(|all| all.user(&identity.member.user_id));
        identity.is_provisioned = known.flatten().is_some();
        Ok(identity)
    }

    /// Where people sign in with a provider.
    pub async fn endpoints(&self, provider: &str, now: i64) -> Result<Arc<Endpoints>, Rejection> {
        self.inner.state.load_full().provider(provider)?.endpoints(now).await
    }

    /// Posts a form to a provider: how a code becomes a token. The error is for the log.
    pub async fn post_form(
        &self,
        provider: &str,
        url: &str,
        form: String,
    ) -> Result<Bytes, String> {
        let state = self.inner.state.load_full();
        let provider = state.provider(provider).map_err(|error| error.message)?;
        let url: Uri = url.parse().map_err(|_| "the token endpoint is no URL".to_owned())?;
        provider.route().post_form(&url, form).await
    }

    /// How the providers fare.
    pub fn status(&self, now: i64) -> Vec<ProviderStatus> {
        self.inner.state.load().providers.iter().map(|provider| provider.status(now)).collect()
    }

    /// Keeps the providers' keys fresh until stopped.
    pub async fn run(self, now: fn() -> i64, stop: CancellationToken) {
        loop {
            for provider in &self.inner.state.load_full().providers {
                tokio::select! {
                    () = provider.refresh(now()) => {}
                    () = stop.cancelled() => return,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Fills in groups that do not fit into the token. If that fails, those of the token do not count
    /// either: a part of the groups could deny and grant the wrong things.
    async fn look_up_groups(&self, provider: &Provider, identity: &mut Identity, now: i64) {
        let (name, id) = (provider.settings.id.as_str(), identity.member.user_id.clone());
        let known = match self.inner.groups.get(name, &id, now) {
            Some(known) => known,
            None => {
                let Ok(_permit) = self.inner.groups.lookups.acquire().await else { return };
                let asked = self.ask_graph(provider, identity).await;
                let groups = asked
                    .inspect_err(|error| {
                        tracing::warn!(provider = name, error, "groups cannot be looked up");
                    })
                    .ok();
                self.inner.groups.put(name, &id, groups.clone(), now);
                groups
            }
        };
        identity.groups_missing = known.is_none();
        identity.member.groups = known.unwrap_or_default();
    }

    async fn ask_graph(
        &self,
        provider: &Provider,
        identity: &Identity,
    ) -> Result<Vec<String>, String> {
        let base = provider.settings.graph.as_ref().ok_or("no graph.url is configured")?;
        let access = self.inner.graph.as_ref().ok_or("there is no credential for Graph")?;
        let token = access.token(&provider.settings.id).await?;
        let id = &identity.member.user_id;
        member_groups(&provider.route(), base, &token, identity.kind, id).await
    }
}

/// Trusts nobody.
impl Default for Verifier {
    fn default() -> Self {
        Self::new(&IdentityConfig::default(), None).expect("no providers are good settings")
    }
}

impl State {
    fn new(config: &IdentityConfig, watch: &Watch) -> Result<Self, ConfigError> {
        let pace = Pace::new(config);
        let watch = watch.clone();
        let egress = EgressRules::new(&config.egress).watched(move |denied| watch(denied));
        let providers = config.resolve(egress)?.into_iter();
        Ok(Self {
            providers: providers.map(|settings| Arc::new(Provider::new(settings, pace))).collect(),
            token_bytes_max: config.token_bytes_max,
            tokens: TokenCache::new(config.cached_tokens_max),
        })
    }

    fn cached(&self, hash: &tokens::TokenHash, now: i64) -> Option<Arc<Identity>> {
        let (identity, generation) = self.tokens.get(hash, now)?;
        let provider = self.provider(&identity.provider).ok()?;
        (provider.generation() == generation && provider.is_open(now)).then_some(identity)
    }

    fn provider(&self, id: &str) -> Result<&Arc<Provider>, Rejection> {
        self.providers.iter().find(|provider| provider.settings.id == id).ok_or_else(untrusted)
    }

    fn provider_of(&self, token: &Token<'_>) -> Result<&Arc<Provider>, Rejection> {
        let issuer = token.issuer()?;
        let found = self.providers.iter().find(|provider| provider.settings.trusts(issuer));
        found.ok_or_else(untrusted)
    }
}

fn untrusted() -> Rejection {
    Rejection::new(Reason::TokenIssuerNotAllowed, "The issuer of the token is not trusted.")
}

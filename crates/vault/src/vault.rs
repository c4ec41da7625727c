//! All homes behind one interface, and the credentials that follow them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::SecurityEvent;
use net::EgressRules;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::credential::Watch;
use crate::current::Current;
use crate::entra::TokenSource;
use crate::feed::feed;
use crate::key_vault::KeyVault;
use crate::openbao::Openbao;
use crate::{
    Carrier, Credential, Embedded, Error, ErrorKind, Identity, Local, Secret, SecretRef,
    VaultConfig,
};

/// Pause between two looks at the token of OpenBao.
const TEND_PAUSE: Duration = Duration::from_secs(5);

/// All homes of secrets; clones are the same.
#[derive(Clone)]
pub struct Vault {
    pub(crate) inner: Arc<Inner>,
    credentials: Arc<Mutex<HashMap<Registered, Weak<Credential>>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

pub(crate) struct Inner {
    local: Local,
    key_vault: Option<KeyVault>,
    openbao: Option<Openbao>,
    rules: EgressRules,
    pub(crate) refresh: Duration,
    /// What is on this machine may have changed.
    pub(crate) look_again: watch::Sender<()>,
    watch: Watch,
    /// Secrets fetched last.
    pub(crate) current: Current,
}

type Registered = (String, CredentialSource, Carrier);

/// What a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// A key.
    Secret(SecretRef),
    /// A token of Entra ID for a scope.
    Token(Identity, String),
}

/// Where a feed fetches.
pub(crate) enum Source {
    Secret(SecretRef),
    Token(Box<TokenSource>),
}

/// A secret or token that was fetched.
pub(crate) struct Fetched {
    pub(crate) secret: Secret,
    /// None for what holds until there is another.
    pub(crate) life: Option<Duration>,
}

/// How the secret of one backend stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HomeStatus {
    /// Id of the backend.
    pub backend: String,
    /// Home and name of the secret, or of the token's identity.
    pub source: String,
    /// It is at hand.
    pub is_ready: bool,
    /// Why it could not be fetched the last time; empty if it could.
    pub trouble: String,
}

impl Vault {
    /// The homes of a configuration. `watch` is told of security events and must not wait.
    pub fn new(
        config: &VaultConfig,
        watch: impl Fn(SecurityEvent) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        if !(1..=86_400).contains(&config.refresh_s) {
            let text = format!("vault.refresh_s is {}; it may be 1 to 86400", config.refresh_s);
            return Err(Error::new(ErrorKind::Config, text));
        }
        config.check_logins()?;
        let watch: Watch = Arc::new(watch);
        let rules = EgressRules::new(&config.egress).watched({
            let watch = watch.clone();
            move |denied| watch(denied_event(denied))
        });
        let local = Local::new(Embedded::new(&config.embedded));
        let inner = Inner {
            key_vault: KeyVault::new(&config.key_vault, rules.clone())?,
            openbao: Openbao::new(&config.openbao, rules.clone())?,
            local,
            rules,
            refresh: Duration::from_secs(config.refresh_s),
            look_again: watch::Sender::new(()),
            watch,
            current: Current::default(),
        };
        config.logins().try_for_each(|login| inner.check(login))?;
        Ok(Self {
            inner: Arc::new(inner),
            credentials: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Secrets that are at hand without asking another machine.
    pub fn local(&self) -> &Local {
        &self.inner.local
    }

    /// Fetches a secret from its home, now.
    pub async fn get(&self, reference: &SecretRef) -> Result<Secret, Error> {
        self.inner.get(reference).await
    }

    /// A secret as it was within the last minute; the one fetched last while its home does not answer.
    pub async fn current(&self, reference: &SecretRef) -> Result<Secret, Error> {
        self.inner.current(reference).await
    }

    /// The homes that it needs are set up. Nothing is fetched.
    pub fn check(&self, source: &CredentialSource) -> Result<(), Error> {
        let needed = match source {
            CredentialSource::Secret(reference) => Some(reference),
            CredentialSource::Token(identity, _) => identity.secret(),
        };
        needed.map_or(Ok(()), |reference| self.inner.check(reference))
    }

    /// What a backend is shown. The same wish gets the same credential while somebody holds it. A secret
    /// of this machine must be there; one from elsewhere comes when its home answers. Call it within
    /// a runtime.
    pub fn credential(
        &self,
        owner: &str,
        source: &CredentialSource,
        carrier: Carrier,
    ) -> Result<Arc<Credential>, Error> {
        let wish = (owner.to_owned(), source.clone(), carrier);
        let mut known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, credential| credential.strong_count() > 0);
        if let Some(credential) = known.get(&wish).and_then(Weak::upgrade) {
            return Ok(credential);
        }
        self.check(source)?;
        let inner = &self.inner;
        let (name, from) = match source {
            CredentialSource::Secret(reference) => {
                (reference.to_string(), Source::Secret(reference.clone()))
            }
            CredentialSource::Token(identity, scope) => {
                let rules = inner.rules.clone();
                let tokens = TokenSource::new(identity, scope, rules)?;
                (tokens.name(), Source::Token(Box::new(tokens)))
            }
        };
        let credential = Arc::new(Credential::new(owner, name, carrier, inner.watch.clone()));
        if let (true, CredentialSource::Secret(reference)) = (from.is_local(), source) {
            credential.offer(inner.local.get(reference)?, None)?;
        }
        known.insert(wish, Arc::downgrade(&credential));
        let feeding = feed(inner.clone(), Arc::downgrade(&credential), from, self.stop.clone());
        self.tasks.spawn(feeding);
        Ok(credential)
    }

    /// Secrets of this machine may have changed: they are looked at again.
    pub fn look_again(&self) {
        self.inner.look_again.send_replace(());
    }

    /// How the secrets of backends stand.
    pub fn status(&self) -> Vec<HomeStatus> {
        let known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = known
            .iter()
            .filter_map(|((owner, ..), credential)| {
                let credential = credential.upgrade()?;
                Some(HomeStatus {
                    backend: owner.clone(),
                    source: credential.source().to_owned(),
                    is_ready: credential.header().is_some(),
                    trouble: credential.trouble(),
                })
            })
            .collect();
        list.sort_by(|one, other| {
            (&one.backend, &one.source).cmp(&(&other.backend, &other.source))
        });
        list
    }

    /// Renews what homes lend, until stopped; then ends what feeds credentials.
    pub async fn run(self, stop: CancellationToken) {
        let tending = async {
            loop {
                if let Some(openbao) = &self.inner.openbao
                    && let Err(error) = openbao.tend(&self.inner).await
                {
                    tracing::debug!(error = error.story(), "the token of OpenBao is not renewed");
                }
                tokio::time::sleep(TEND_PAUSE).await;
            }
        };
        tokio::select! {
            () = tending => {}
            () = stop.cancelled() => {}
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Inner {
    /// Fetches a secret from its home, now.
    pub(crate) async fn get(&self, reference: &SecretRef) -> Result<Secret, Error> {
        let source = Source::Secret(reference.clone());
        self.fetch(&source).await.map(|fetched| fetched.secret).map_err(|(error, _)| error)
    }

    /// What a home or a token endpoint is shown first. Boxed, because it may lie in another home; that
    /// none leads back to itself was checked.
    pub(crate) fn login<'a>(
        &'a self,
        reference: &'a SecretRef,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Error>> + Send + 'a>> {
        Box::pin(async move {
            match reference.is_local() {
                true => self.get(reference).await,
                false => self.current(reference).await,
            }
        })
    }

    /// Fetches what is wanted; with the error, how long its home wants to be left alone.
    pub(crate) async fn fetch(
        &self,
        source: &Source,
    ) -> Result<Fetched, (Error, Option<Duration>)> {
        let reference = match source {
            Source::Token(tokens) => {
                let token = tokens.fetch(self, SystemTime::now()).await?;
                return Ok(Fetched { secret: token.secret, life: Some(token.life) });
            }
            Source::Secret(reference) => reference,
        };
        self.check(reference).map_err(|error| (error, None))?;
        let secret = match reference {
            SecretRef::KeyVault { vault, name, version } => {
                let home = self.key_vault.as_ref().expect("it was checked for");
                let found = home.get(self, vault, name, version).await;
                let found = found.map_err(|(error, pause)| (error.of(reference), pause))?;
                self.tell_age(reference, found.expires_s);
                found.secret
            }
            SecretRef::Openbao { mount, path, field } => {
                let home = self.openbao.as_ref().expect("it was checked for");
                let found = home.get(self, mount, path, field).await;
                found.map_err(|(error, pause)| (error.of(reference), pause))?
            }
            local => {
                // Files and key derivation do not belong on the runtime's threads.
                let (home, reference) = (self.local.clone(), local.clone());
                let got = tokio::task::spawn_blocking(move || home.get(&reference)).await;
                let stopped = |_| Error::new(ErrorKind::Unavailable, "the gateway is stopping");
                got.map_err(stopped).and_then(|got| got).map_err(|error| (error, None))?
            }
        };
        if secret.expose().is_empty() {
            return Err((Error::new(ErrorKind::Missing, "is empty").of(reference), None));
        }
        Ok(Fetched { secret, life: None })
    }

    /// Its home is configured.
    fn check(&self, reference: &SecretRef) -> Result<(), Error> {
        let fix = match reference {
            SecretRef::KeyVault { .. } if self.key_vault.is_none() => "vault.key_vault.auth",
            SecretRef::Openbao { .. } if self.openbao.is_none() => "vault.openbao.address",
            _ => return Ok(()),
        };
        let text = format!("{} is not set up: give {fix}", reference.home());
        Err(Error::new(ErrorKind::Config, text).of(reference))
    }

    /// Key Vault hands out what is past its time: somebody should know.
    fn tell_age(&self, reference: &SecretRef, expires_s: Option<u64>) {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if expires_s.is_some_and(|expires_s| expires_s <= now_s) {
            let secret = reference.to_string();
            tracing::warn!(secret, "a secret is past its expiry: set a new version in its home");
        }
    }
}

impl Source {
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Secret(reference) if reference.is_local())
    }
}

fn denied_event(denied: &net::Denied) -> SecurityEvent {
    SecurityEvent {
        time_generated: event::Timestamp::from(SystemTime::now()),
        kind: "egress_denied".to_owned(),
        severity: "warning".to_owned(),
        target: denied.host.clone(),
        target_address: denied.ip.to_string(),
        reason: denied.reason.to_owned(),
        message: denied.message.clone(),
        ..SecurityEvent::default()
    }
}

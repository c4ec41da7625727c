//! Wiring: every part, in the order in which they need each other, and the way back.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::Control;
use gateway::{Acme, Gateway, OrderedCertificates, ServerTls, Wiring};
use identity::{DirectoryUser, Verifier};
use ledger::Ledger;
use monitor::ObservedSink;
use openai::Catalogue;
use pipeline::Pipeline;
use portal::{Access, AccessToken, Portal, ScimToken, SignIn, SignInWiring, Token};
use serde_json::json;
use shared::{
    Directory, Follower, LimitProjection, Limiter, Objects, SecurityLog, Shares, Snapshot,
    node_name,
};
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vault::Vault;

use crate::administration::{Administration, Watching};
use crate::checkpoints::Signer;
use crate::clock::{now, unix_seconds};
use crate::config::{Config, Fetched};
use crate::erasing::Eraser;
use crate::exit::{Exit, ExitWith};
use crate::graph::GraphCredentials;
use crate::keys;
use crate::log::LogLevel;
use crate::monitoring::rerate::Rerater;
use crate::monitoring::{self, Monitoring};
use crate::parts::{CurrentEngine, Parts, SETTLE_WAIT};
use crate::records::LedgerRecords;
use crate::reload::{Contents, Reloader};
use crate::secret_file;
use crate::terminal::say;
use crate::tls_listener::TlsListener;

/// How long homes of secrets that are needed at the start may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway with everything around it.
pub(crate) struct Running {
    parts: Arc<Parts>,
    ledger: Ledger,
    follower: Follower,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
}

/// The users and groups that SCIM provisions.
struct Provisioned(Control);

impl Running {
    /// Opens the data folder and starts every part. `file` is what a reload reads.
    pub(crate) async fn start(config: Config, file: &Path, log: LogLevel) -> anyhow::Result<Self> {
        // Configurations are large: what handles several of them is kept off the stack.
        let config = Box::pin(checked(config)).await?;
        let contents = Contents::of(&config, file);
        let token = admin_token(&config.admin_token_file())?;
        let admin = bind(config.admin.listen, "admin.listen").await?;
        let (admin_tls, ordered) = admin_tls(&config)?;
        let health = bind(config.health.listen, "health.listen").await?;
        let (ledger, store) = open(&config).await?;
        let control = open_control(&config, &ledger).await?;
        let config = config.decreed(control.effective());
        let (security, vault) = open_vault(&config)?;
        let (objects, limiter, follower, node) = follow(&config, &ledger, &security).await?;
        let monitoring = Arc::new(Monitoring::new(&config, &security, &vault)?);
        let pipeline = start_pipeline(&config, &ledger, monitoring.observed(store.clone()))?;
        let identity = open_identity(&config, &security, &vault, &control)?;
        let wiring = Wiring {
            settings: config.settings(&vault)?,
            catalogue: Arc::new(Catalogue::builtin()),
            ledger: ledger.clone(),
            limiter: limiter.clone(),
            identity: identity.clone(),
            objects: objects.clone(),
            security: security.clone(),
            spool_dir: config.work_dir().join("gateway"),
            ordered: ordered.clone(),
        };
        // Made before the first call is taken: from then on a full disk stops nobody.
        let signer = Signer::new(&config, &ledger)?;
        let gateway = Gateway::start(wiring).await?;
        let engine = CurrentEngine::new(query::Engine::new(store.clone(), config.query.clone())?);
        let parts = Arc::new(Parts {
            gateway,
            identity: identity.clone(),
            pipeline,
            monitoring,
            store,
            engine,
            vault: vault.clone(),
            admin_tls,
            acme: config.acme(&ordered, &security, &vault)?,
            security: security.clone(),
            signer,
            log,
        });
        let file = (file.to_owned(), contents);
        let reloader = Reloader::new(file, config.clone(), parts.clone(), control.clone());
        control.publish_to(reloader.clone());
        let stop = CancellationToken::new();
        let of = (&ledger, &limiter, &control);
        let watching = watching(&config, &parts, of, (node, &stop))?;
        let administration =
            Administration::new(&parts, &watching, &reloader, (&limiter, &control));
        let sign_in = SignInWiring::new(&identity, &vault, watch(&config, &security));
        let portal = portal(&config, administration, &ledger, (token, sign_in))?;
        let pages = health_pages(&config, &parts, (&ledger, &limiter), &control);
        let listeners = vec![
            tokio::spawn(serve_portal(portal, admin, parts.admin_tls.clone(), stop.clone())),
            tokio::spawn(pages.serve(health, stop.clone())),
            tokio::spawn(control.run(stop.clone())),
            tokio::spawn(watch_configuration(reloader, stop.clone())),
            tokio::spawn(export(&parts, &ledger, &limiter, &stop)),
            tokio::spawn(tend_shares(limiter, stop.clone())),
            tokio::spawn(tend_objects(objects, stop.clone())),
            tokio::spawn(identity.run(unix_seconds, stop.clone())),
            tokio::spawn(parts.acme.clone().run(stop.clone())),
            tokio::spawn(watching.eraser.clone().run()),
            tokio::spawn(watch_over(parts.clone(), watching, stop.clone())),
            tokio::spawn(follow_secrets(vault, security, ledger.clone(), stop.clone())),
        ];
        Ok(Self { parts, ledger, follower, stop, listeners })
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.parts.gateway.addresses().first().copied()
    }

    /// Waits until everything recorded so far is in the tables.
    pub(crate) async fn settle(&self) -> anyhow::Result<bool> {
        let parts = self.parts.clone();
        Ok(tokio::task::spawn_blocking(move || parts.pipeline.settle(SETTLE_WAIT)).await?)
    }

    /// Signs what is recorded so far, without waiting for its time.
    pub(crate) async fn sign(&self) {
        self.parts.signer.sign().await;
    }

    /// Lets exchanges finish, then closes each part behind the one that feeds it.
    pub(crate) async fn shutdown(self) -> anyhow::Result<()> {
        self.parts.gateway.shutdown().await;
        self.stop.cancel();
        for listener in self.listeners {
            listener.await.context("a listener panicked")?;
        }
        self.parts.signer.sign().await;
        let (parts, follower) = (self.parts, self.follower);
        tokio::task::spawn_blocking(move || {
            if !parts.pipeline.settle(SETTLE_WAIT) {
                tracing::warn!(
                    "the tables are behind the ledger; the rest follows at the next start"
                );
            }
            parts.pipeline.stop();
            follower.stop();
            parts.store.close()
        })
        .await??;
        self.ledger.close().await?;
        Ok(())
    }
}

impl identity::Directory for Provisioned {
    fn user(&self, id: &str) -> Option<DirectoryUser> {
        let control::Known { is_active, groups } = self.0.directory().known(id)?;
        Some(DirectoryUser { is_active, groups })
    }
}

async fn open(config: &Config) -> anyhow::Result<(Ledger, Arc<Store>)> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || open_blocking(&config)).await?
}

fn open_blocking(config: &Config) -> anyhow::Result<(Ledger, Arc<Store>)> {
    let (ledger, recovery) = Ledger::open(&config.ledger_dir(), config.ledger.clone(), now)
        .with_context(|| format!("ledger in {}", config.ledger_dir().display()))?;
    Eraser::hold(&ledger);
    if !recovery.interrupted.is_empty() || recovery.truncated_bytes > 0 {
        tracing::warn!(
            interrupted = recovery.interrupted.len(),
            truncated_bytes = recovery.truncated_bytes,
            "the last run ended without closing: its open interactions are closed as interrupted"
        );
    }
    let store = Store::open(&config.store_dir(), config.store.clone(), now())
        .with_context(|| format!("tables in {}", config.store_dir().display()))?;
    Ok((ledger, store))
}

fn start_pipeline(
    config: &Config,
    ledger: &Ledger,
    tables: Arc<ObservedSink>,
) -> anyhow::Result<Pipeline> {
    let work_dir = config.work_dir().join("pipeline");
    let (prices, settings) = (config.prices()?, config.pipeline.clone());
    Ok(Pipeline::start(ledger.clone(), tables, prices, settings, work_dir)?)
}

/// The homes of secrets; what happens to them is a security event.
fn open_vault(config: &Config) -> anyhow::Result<(SecurityLog, Vault)> {
    let security = SecurityLog::default();
    let noted = watch(config, &security);
    let vault = Vault::new(&config.vault, move |event| noted(event))
        .map_err(|error| ExitWith::error(Exit::BadConfig, error.story()))?;
    Ok((security, vault))
}

/// Who vouches for callers, with what Graph and the organisation's directory say of them; addresses that
/// may not be dialled for it are security events.
fn open_identity(
    config: &Config,
    security: &SecurityLog,
    vault: &Vault,
    control: &Control,
) -> anyhow::Result<Verifier> {
    let graph = GraphCredentials::new(&config.graph, vault)
        .map_err(|error| ExitWith::error(Exit::BadConfig, format!("graph: {}", error.story())))?;
    let (security, region) = (security.clone(), config.region.clone());
    let watch = move |denied: &net::Denied| security.note(shared::denied_dial(denied, &region));
    let identity = Verifier::watched(&config.identity, Some(Arc::new(graph)), watch)?;
    identity.follow(Arc::new(Provisioned(control.clone())));
    Ok(identity)
}

/// Notes security events of this region.
fn watch(config: &Config, security: &SecurityLog) -> portal::Watch {
    let (log, region) = (security.clone(), config.region.clone());
    Arc::new(move |event| log.note(event::SecurityEvent { region: region.clone(), ..event }))
}

/// While nobody is administrator, whoever opens this link and signs in becomes one.
fn offer_set_up(config: &Config, control: &Control) -> anyhow::Result<()> {
    let has_one = config.has_administrator() || control.live().decree.has_administrator();
    if has_one || !config.has_sign_in() || control.status().source == "file" {
        config.set_up().end().context("cannot remove the set-up link")?;
        return Ok(());
    }
    say(&format!(
        "nobody is administrator yet. Whoever opens this link first and signs in becomes one; it holds a day:\n\n    {}\n",
        config.new_set_up_link()?
    ));
    Ok(())
}

/// Keeps what is shown to backends fresh, and writes what happens to secrets.
async fn follow_secrets(
    vault: Vault,
    security: SecurityLog,
    ledger: Ledger,
    stop: CancellationToken,
) {
    tokio::join!(vault.run(stop.clone()), security.write(ledger, stop));
}

/// The desired state, from its database or from the configuration.
async fn open_control(config: &Config, ledger: &Ledger) -> anyhow::Result<Control> {
    let settings = config.control()?;
    let hasher = config.hasher()?;
    let control = Control::open(settings, config.decree(), hasher, ledger.clone()).await;
    let control = control.context("control")?;
    let overruled = control.follow_file(config.decree())?;
    if !overruled.is_empty() {
        tracing::info!(
            overruled = overruled.join(", "),
            "the database holds the desired state: what the configuration file says of it is not in force"
        );
    }
    Ok(control)
}

/// How the desired state stands, for health questions.
fn told(control: &Control) -> gateway::Telling {
    let control = control.clone();
    Arc::new(move || json!(control.status()))
}

/// How the homes of secrets stand, for health questions.
fn homes(vault: &Vault) -> gateway::Telling {
    let vault = vault.clone();
    Arc::new(move || json!(vault.status()))
}

/// How stream jobs stand, for health questions.
fn stream_jobs(parts: &Arc<Parts>) -> gateway::Telling {
    let parts = parts.clone();
    Arc::new(move || {
        let jobs = parts.monitoring.stream_jobs.get().map(|jobs| jobs.status());
        let line = |job: &sinks::JobStatus| {
            json!({
                "id": job.job.id, "state": job.state, "reason": job.reason, "missed": job.missed,
                "lag_sequences": job.lag_sequences, "lag_s": job.lag_s,
            })
        };
        jobs.iter().flatten().map(line).collect()
    })
}

/// TLS of the admin listener, if it has any, and where certificates are found that are ordered for others.
fn admin_tls(config: &Config) -> anyhow::Result<(Option<Arc<ServerTls>>, OrderedCertificates)> {
    let ordered = OrderedCertificates::default();
    let settings = config.admin_tls.as_ref();
    let tls = settings.map(|settings| ServerTls::new(settings, &ordered)).transpose()?;
    Ok((tls.map(Arc::new), ordered))
}

/// How the certificates that are ordered stand, for health questions.
fn certificates(acme: &Acme) -> gateway::Telling {
    let acme = acme.clone();
    Arc::new(move || json!(acme.status()))
}

/// What requests know together, and the node's name.
type Followed = (Objects, Limiter, Follower, String);

/// Brings what requests know together up to the end of the ledger, and lets it follow from there.
async fn follow(
    config: &Config,
    ledger: &Ledger,
    security: &SecurityLog,
) -> anyhow::Result<Followed> {
    let (file, ledger) = (config.data_dir.join("shared.redb"), ledger.clone());
    let cached_max = config.objects.cached_max as usize;
    let redis = config.redis(security)?.map(Arc::new);
    let lease = Duration::from_secs(config.redis.lease_s);
    let followed = tokio::task::spawn_blocking(move || {
        let snapshot = Arc::new(Snapshot::open(file)?);
        let objects = Objects::new(snapshot.clone(), cached_max);
        let projections: Vec<Box<dyn shared::Projection>> =
            vec![objects.projection(), Box::new(LimitProjection::new())];
        let follower = Follower::start(&ledger, snapshot.clone(), projections)?;
        let node = node_name(&snapshot)?;
        if let Some(redis) = &redis {
            objects.share(Directory::new(redis.clone(), node.clone()));
        }
        let shares = redis.map(|redis| Shares::new(redis, node.clone(), lease));
        let limiter = Limiter::load(&snapshot, shares, now())?;
        Ok::<_, shared::Error>((objects, limiter, follower, node))
    });
    Ok(followed.await??)
}

/// Looks after this node's shares of limits, where it shares them.
async fn tend_shares(limiter: Limiter, stop: CancellationToken) {
    tokio::select! {
        () = limiter.clone().run(now) => {}
        () = stop.cancelled() => limiter.tend(now()).await,
    }
}

/// Tells other nodes of objects and hears of theirs, where they share them.
async fn tend_objects(objects: Objects, stop: CancellationToken) {
    tokio::select! {
        () = objects.clone().run() => {}
        () = stop.cancelled() => {
            // What could not be said in time is said at the next start.
            let _ = objects.tend().await;
        }
    }
}

async fn watch_configuration(reloader: Arc<Reloader>, stop: CancellationToken) {
    if let Err(error) = reloader.watch(stop).await {
        let error = format!("{error:#}");
        tracing::error!(
            error,
            "changes of the configuration file are not noticed; reload by SIGHUP or `gatehouse reload`"
        );
    }
}

/// Sends telemetry, if there is a collector.
fn export(
    parts: &Arc<Parts>,
    ledger: &Ledger,
    limiter: &Limiter,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    monitoring::look::export(parts.clone(), ledger.clone(), limiter.clone(), stop.clone())
}

/// Who looks at alert rules, makes reports, delivers outside and rates costs anew; reloads tell them of others.
fn watching(
    config: &Config,
    parts: &Arc<Parts>,
    (ledger, limiter, control): (&Ledger, &Limiter, &Control),
    (node, stop): (String, &CancellationToken),
) -> anyhow::Result<Watching> {
    let (engine, of) = (parts.engine.clone(), (ledger, limiter));
    let watcher = monitoring::alerts::watcher(config, parts, engine.clone(), of, node.clone())?;
    let of = (ledger, control);
    let reporter = monitoring::reports::reporter(config, parts, engine, of, node.clone())?;
    let stream_jobs = monitoring::stream_jobs::stream_jobs(config, parts, of, node);
    let rerater = Arc::new(Rerater::new(parts.clone(), ledger.clone()));
    let eraser = Arc::new(Eraser::new(parts.clone(), ledger.clone(), stop.clone()));
    let (watcher, reporter) = (Arc::new(watcher), Arc::new(reporter));
    let stream_jobs = Arc::new(stream_jobs);
    parts.monitoring.set_watcher(watcher.clone());
    parts.monitoring.set_reporter(reporter.clone());
    parts.monitoring.set_stream_jobs(stream_jobs.clone());
    Ok(Watching { watcher, reporter, stream_jobs, rerater, eraser })
}

/// Looks at alert rules and at budgets, makes reports, delivers outside, and signs the ledger.
async fn watch_over(parts: Arc<Parts>, watch: Watching, stop: CancellationToken) {
    let budgets = parts.monitoring.tend_budgets(parts.engine.clone(), stop.clone());
    let signer = parts.signer.run(stop.clone());
    let jobs = watch.stream_jobs.run(stop.clone());
    tokio::join!(watch.watcher.run(stop.clone()), watch.reporter.run(stop), jobs, budgets, signer);
}

async fn serve_portal(
    portal: Portal,
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
) {
    let served = match tls {
        Some(tls) => portal.serve(TlsListener::new(listener, tls), stop).await,
        None => portal.serve(listener, stop).await,
    };
    if let Err(error) = served {
        tracing::error!(%error, "the admin listener failed");
    }
}

/// The admin listener. The token of the data folder, access tokens and sessions open it.
fn portal(
    config: &Config,
    operations: Arc<Administration>,
    ledger: &Ledger,
    (token, wiring): (Token, SignInWiring),
) -> anyhow::Result<Portal> {
    offer_set_up(config, &operations.control)?;
    let SignInWiring { verifier: identity, watch, vault } = wiring.clone();
    let sign_in = SignIn::new(config.sign_in()?, wiring).map_err(anyhow::Error::msg)?;
    let access_token = AccessToken::new(identity, &config.admin.roles, watch.clone());
    let mut kinds: Vec<Box<dyn portal::Authenticator>> = vec![Box::new(token)];
    if let Some(reference) = &config.scim.token {
        kinds.push(Box::new(ScimToken::new(vault, reference.clone())));
    }
    kinds.push(Box::new(access_token));
    kinds.push(Box::new(sign_in.clone()));
    let access = Access::new(kinds);
    let records = Arc::new(LedgerRecords::new(ledger.clone(), config.ledger_dir()));
    let control = operations.control.clone();
    let trusted = config.admin.trusted_proxies.clone();
    let wiring = portal::Wiring {
        engine: operations.parts.engine.clone(),
        operations,
        records: records.clone(),
        access,
        sign_in,
        record: records,
        control,
        watch,
        vouch: Arc::new(move |peer, headers| gateway::caller_ip(peer, headers, &trusted)),
    };
    Ok(Portal::new(&config.admin, wiring))
}

/// What the health listener answers.
fn health_pages(
    config: &Config,
    parts: &Arc<Parts>,
    (ledger, limiter): (&Ledger, &Limiter),
    control: &Control,
) -> gateway::Health {
    let health = parts.gateway.health().telling("control", told(control));
    let health = health.telling("vault", homes(&parts.vault));
    let health = health.telling("certificates", certificates(&parts.acme));
    let health = health.telling("stream_jobs", stream_jobs(parts));
    if !config.metrics.enabled {
        return health;
    }
    let monitoring = parts.monitoring.clone();
    health.with_metrics(monitoring::look::page(
        monitoring,
        parts.clone(),
        ledger.clone(),
        limiter.clone(),
    ))
}

async fn bind(address: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: set `{field}` to a free address and port")
    })
}

/// A configuration that may be served with, and the folders for it.
async fn checked(config: Config) -> anyhow::Result<Config> {
    let config = config.with_secrets(START_PATIENCE, &Fetched::default()).await?;
    config.validate()?;
    make_folders(&config)?;
    Ok(config)
}

fn make_folders(config: &Config) -> anyhow::Result<()> {
    for folder in [config.ledger_dir(), config.store_dir(), config.work_dir()] {
        std::fs::create_dir_all(&folder).with_context(|| {
            format!("cannot make {}: choose a writable `data_dir`", folder.display())
        })?;
    }
    Ok(())
}

/// The token of the admin listener, made at the first start.
fn admin_token(file: &Path) -> anyhow::Result<Token> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => return Ok(Token::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    let text = keys::random_text();
    secret_file::write(file, &text)?;
    Ok(Token::new(text))
}

//! Wiring: every part, in the order in which they need each other, and the way back.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use event::Timestamp;
use gateway::{Gateway, Wiring};
use ledger::Ledger;
use openai::Catalogue;
use pipeline::Pipeline;
use portal::{Portal, Token};
use shared::{Follower, LimitProjection, Limiter, Snapshot};
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::keys;

/// How long the pipeline may take to catch up when the gateway stops; the rest is read again at the
/// next start.
const SETTLE_WAIT: Duration = Duration::from_secs(10);

/// A running gateway with everything around it.
pub(crate) struct Running {
    gateway: Gateway,
    pipeline: Pipeline,
    store: Arc<Store>,
    ledger: Ledger,
    follower: Follower,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
}

impl Running {
    /// Opens the data folder and starts every part.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        config.validate()?;
        make_folders(&config)?;
        let token = admin_token(&config.admin_token_file())?;
        let admin = bind(config.admin.listen, "admin.listen").await?;
        let health = bind(config.health.listen, "health.listen").await?;
        let (ledger, store) = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || open(&config)).await??
        };
        let (limiter, follower) = follow(&config, &ledger).await?;
        let pipeline = Pipeline::start(
            ledger.clone(),
            store.clone(),
            config.prices()?,
            config.pipeline.clone(),
            config.work_dir().join("pipeline"),
        )?;
        let wiring = Wiring {
            settings: config.settings()?,
            catalogue: Arc::new(Catalogue::builtin()),
            ledger: ledger.clone(),
            limiter,
            spool_dir: config.work_dir().join("gateway"),
        };
        let gateway = Gateway::start(wiring).await?;
        let stop = CancellationToken::new();
        let engine = Arc::new(query::Engine::new(store.clone(), config.query.clone())?);
        let portal = Portal::new(&config.admin, engine, token);
        let listeners = vec![
            tokio::spawn(serve_portal(portal, admin, stop.clone())),
            tokio::spawn(gateway.health().serve(health, stop.clone())),
        ];
        Ok(Self { gateway, pipeline, store, ledger, follower, stop, listeners })
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.gateway.addresses().first().copied()
    }

    /// Waits until everything recorded so far is in the tables.
    pub(crate) async fn settle(self: &Arc<Self>) -> anyhow::Result<bool> {
        let running = self.clone();
        Ok(tokio::task::spawn_blocking(move || running.pipeline.settle(SETTLE_WAIT)).await?)
    }

    /// Lets exchanges finish, then closes each part behind the one that feeds it.
    pub(crate) async fn shutdown(self) -> anyhow::Result<()> {
        self.gateway.shutdown().await;
        self.stop.cancel();
        for listener in self.listeners {
            listener.await.context("a listener panicked")?;
        }
        let (pipeline, store, follower) = (self.pipeline, self.store, self.follower);
        tokio::task::spawn_blocking(move || {
            if !pipeline.settle(SETTLE_WAIT) {
                tracing::warn!(
                    "the tables are behind the ledger; the rest follows at the next start"
                );
            }
            pipeline.stop();
            follower.stop();
            store.close()
        })
        .await??;
        self.ledger.close().await?;
        Ok(())
    }
}

/// Where the command line finds the admin listener of a running gateway.
pub(crate) fn admin_address(config: &Config) -> SocketAddr {
    config.admin.listen
}

fn open(config: &Config) -> anyhow::Result<(Ledger, Arc<Store>)> {
    let (ledger, recovery) = Ledger::open(&config.ledger_dir(), config.ledger.clone(), now)
        .with_context(|| format!("ledger in {}", config.ledger_dir().display()))?;
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

/// Brings what requests know together up to the end of the ledger, and lets it follow from there.
async fn follow(config: &Config, ledger: &Ledger) -> anyhow::Result<(Limiter, Follower)> {
    let (file, ledger) = (config.data_dir.join("shared.redb"), ledger.clone());
    let followed = tokio::task::spawn_blocking(move || {
        let snapshot = Arc::new(Snapshot::open(file)?);
        let projections: Vec<Box<dyn shared::Projection>> = vec![Box::new(LimitProjection::new())];
        let follower = Follower::start(&ledger, snapshot.clone(), projections)?;
        let limiter = Limiter::load(&snapshot, now())?;
        Ok::<_, shared::Error>((limiter, follower))
    });
    Ok(followed.await??)
}

async fn serve_portal(portal: Portal, listener: TcpListener, stop: CancellationToken) {
    if let Err(error) = portal.serve(listener, stop).await {
        tracing::error!(%error, "the admin listener failed");
    }
}

async fn bind(address: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: set `{field}` to a free address and port")
    })
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
    write_secret(file, &text)?;
    Ok(Token::new(text))
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| writeln!(file, "{text}"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

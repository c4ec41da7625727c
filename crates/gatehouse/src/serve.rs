//! `gatehouse serve`: run until told to stop.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::arguments::ConfigFile;
use crate::config::{Config, LogConfig};
use crate::exit::{Exit, ExitWith};
use crate::lock_down;
use crate::wire::Running;

/// Runs the command.
pub(crate) fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let log = start_log(&config.log)?;
    lock_down::keep_memory_private();
    lock_down::lock_down(&config, &file.config)?;
    runtime()?.block_on(async {
        let stop = StopSignal::new()?;
        let running = Running::start(config, &file.config, log).await?;
        let address = running.address();
        tracing::info!(address = address.map(tracing::field::display), "serving");
        stop.received().await;
        tracing::info!("stopping: exchanges in flight may finish");
        running.shutdown().await
    })
}

/// The runtime of a serving process.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The gateway's own log goes to standard error.
pub(crate) fn start_log(config: &LogConfig) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(filter);
    if config.json {
        log.with(lines.json()).init();
    } else {
        log.with(lines.with_ansi(false)).init();
    }
    Ok(LogLevel(handle))
}

/// What is logged; it can be changed.
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    pub(crate) fn set(&self, level: &str) -> anyhow::Result<()> {
        Ok(self.0.reload(filter(level)?)?)
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level)
        .map_err(|error| ExitWith::error(Exit::BadConfig, format!("log.level: `{level}`: {error}")))
}

/// SIGTERM or SIGINT, from the moment it is made: one that comes during the start takes effect once that is
/// over, and cuts no call that was let in meanwhile.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub(crate) async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

//! `gatehouse serve`: run until told to stop.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::arguments::ConfigFile;
use crate::config::{Config, LogConfig};
use crate::exit::{Exit, ExitWith};
use crate::wire::Running;

/// Runs the command.
pub(crate) fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    start_log(&config.log)?;
    runtime()?.block_on(async {
        let running = Running::start(config).await?;
        let address = running.address();
        tracing::info!(address = address.map(tracing::field::display), "serving");
        stop_signal().await?;
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
pub(crate) fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| {
        ExitWith::error(Exit::BadConfig, format!("log.level: `{}`: {error}", config.level))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
    Ok(())
}

/// SIGTERM or SIGINT.
pub(crate) async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

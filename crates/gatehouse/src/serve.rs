//! `gatehouse serve`: run until told to stop.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::ConfigFile;
use crate::config::Config;
use crate::wire::Running;
use crate::{lock_down, log};

/// Runs the command.
pub(crate) fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let log = log::start(&config.log)?;
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

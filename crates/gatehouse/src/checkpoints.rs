//! Signs the ledger while the gateway runs, and shows the last signature to whoever keeps it elsewhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ledger::{Checkpoint, Ledger, SigningKey};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// See the module.
pub(crate) struct Signer {
    ledger: Ledger,
    by: ArcSwap<By>,
    /// Holds the last checkpoint as a signed note.
    note: PathBuf,
    /// When all there was had been signed last.
    signed_at: Mutex<Instant>,
}

/// With what it signs, and how often.
struct By {
    key: SigningKey,
    interval: Duration,
}

impl Signer {
    pub(crate) fn new(config: &Config, ledger: &Ledger) -> anyhow::Result<Self> {
        let by = ArcSwap::from_pointee(By::of(config)?);
        let (ledger, note) = (ledger.clone(), config.checkpoint_file());
        Ok(Self { ledger, by, note, signed_at: Mutex::new(Instant::now()) })
    }

    /// For how long a signature has been due.
    pub(crate) fn overdue(&self) -> Duration {
        let signed_at = *self.signed_at.lock().unwrap_or_else(PoisonError::into_inner);
        signed_at.elapsed().saturating_sub(self.by.load().interval)
    }

    /// Signs with what another configuration says from now on.
    pub(crate) fn reconfigure(&self, config: &Config) -> anyhow::Result<()> {
        self.by.store(Arc::new(By::of(config)?));
        Ok(())
    }

    /// Signs again and again until it is stopped.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            let interval = self.by.load().interval;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => self.sign().await,
            }
        }
    }

    /// Signs what came since the last signature.
    pub(crate) async fn sign(&self) {
        let by = self.by.load_full();
        let signed = match self.ledger.checkpoint(&by.key).await {
            Ok(None) => Ok(()),
            Ok(Some(row)) => Checkpoint::note_of(&row)
                .map_err(anyhow::Error::from)
                .and_then(|note| write(&self.note, &note)),
            Err(error) => Err(error.into()),
        };
        match signed {
            Ok(()) => {
                *self.signed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the ledger was not signed; the next signature covers this time too"
                );
            }
        }
    }
}

impl By {
    fn of(config: &Config) -> anyhow::Result<Self> {
        let interval = Duration::from_secs(config.checkpoints.interval_s);
        Ok(Self { key: config.signing_key()?, interval })
    }
}

/// Replaces the file, so that whoever copies it finds a whole note.
fn write(file: &Path, note: &str) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, note)?;
    Ok(std::fs::rename(&new, file)?)
}

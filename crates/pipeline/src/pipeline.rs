//! The handle: start, look, stop.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use event::Sink;
use ledger::Ledger;
use policy::Prices;

use crate::depot::Depot;
use crate::shared::Shared;
use crate::worker::Worker;
use crate::{Error, ErrorKind, PipelineConfig, Status};

/// The running pipeline: a thread that follows the ledger.
pub struct Pipeline {
    ledger: Ledger,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts following the ledger from where the sink has come. `work_dir` takes bodies too long
    /// for memory while they are joined; nothing in it outlives the process.
    pub fn start(
        ledger: Ledger,
        sink: Arc<dyn Sink>,
        prices: Arc<Prices>,
        config: PipelineConfig,
        work_dir: PathBuf,
    ) -> Result<Self, Error> {
        config.validate()?;
        let (applied, end) = (sink.durable_cursor().applied, *ledger.durable().borrow());
        if applied > end {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "the tables hold the ledger up to sequence {applied}, but it ends at {end}: it is not the \
                     ledger they were made from; put that one back, or move the tables away to build them anew"
                ),
            ));
        }
        let shared = Arc::new(Shared::new(prices));
        let depot = Depot::open(sink, config, work_dir)?;
        let worker = Worker::new(depot, ledger.clone(), shared.clone());
        let thread = std::thread::Builder::new()
            .name("pipeline".into())
            .spawn(move || worker.run())
            .map_err(|source| {
                Error::from_source(ErrorKind::Thread, "cannot start the pipeline's thread", source)
            })?;
        Ok(Self { ledger, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Prices what ends from now on by this list.
    pub fn set_prices(&self, prices: Arc<Prices>) {
        self.shared.set_prices(prices);
    }

    /// The list it prices by.
    pub fn prices(&self) -> Arc<Prices> {
        self.shared.prices()
    }

    /// How far it has come, and how it fares.
    pub fn status(&self) -> Status {
        self.shared.board.read()
    }

    /// Durable frames of the ledger whose rows are not written yet.
    pub fn lag(&self) -> u64 {
        self.durable().saturating_sub(self.status().applied)
    }

    /// Waits until all that is durable at this moment is in the tables; false if the time is up first.
    pub fn settle(&self, wait: Duration) -> bool {
        let target = self.durable();
        self.shared.board.wait(wait, |status| status.applied >= target)
    }

    /// Writes the rows of what has ended so far, and ends the thread.
    pub fn stop(&self) {
        self.end();
    }

    fn durable(&self) -> u64 {
        *self.ledger.durable().borrow()
    }

    fn end(&self) {
        self.shared.stop();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!(
                "the pipeline's thread panicked; what it had not written is read again at the next start"
            );
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.end();
    }
}

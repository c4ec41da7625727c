//! Carries out orders to erase: what the ledger says is to be erased goes from the ledger and the tables.
//!
//! A consumer of the ledger like others: how far it has come is kept with the tables, so after a crash it goes on
//! there, and what was done already is done again, which changes nothing. An interaction that has not ended
//! waits until it has.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Erasure, InteractionId, Kind, Note, Record};
use ledger::{ErrorKind, Ledger};
use portal::{ErasureState, Problem};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::parts::{Parts, SETTLE_WAIT};

/// Its name among the consumers of the ledger.
const CONSUMER: &str = "erasures";
/// Orders that are carried out together.
const ORDERS_AT_ONCE: usize = 50_000;
/// How long whoever orders waits until it is done.
const ORDER_WAIT: Duration = Duration::from_secs(60);
/// Between two tries while something waits, and between two looks while nothing does: then what is noted is how
/// far the ledger was looked through.
const RETRY: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct Eraser {
    parts: Arc<Parts>,
    ledger: Ledger,
    state: watch::Sender<ErasureState>,
    /// Rung when an order has come.
    bell: tokio::sync::Notify,
    work: Mutex<Work>,
}

/// What is to be done.
#[derive(Default)]
struct Work {
    /// Orders up to this sequence were read.
    read: u64,
    /// Orders that are not carried out, by their sequence.
    waiting: BTreeMap<u64, InteractionId>,
}

impl Eraser {
    pub(crate) fn new(parts: Arc<Parts>, ledger: Ledger) -> Self {
        ledger.release(CONSUMER, 0);
        let read = parts.store.erased_up_to();
        let state = ErasureState { carried_out_sequence: read, ..ErasureState::default() };
        let work = Mutex::new(Work { read, ..Work::default() });
        Self { parts, ledger, state: watch::Sender::new(state), bell: Default::default(), work }
    }

    /// Carries out what is ordered until it is stopped.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let eraser = self.clone();
            let done = tokio::task::spawn_blocking(move || eraser.carry_out()).await;
            let failure = match done {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => error.to_string(),
            };
            if !failure.is_empty() {
                tracing::error!(
                    failure,
                    "what was ordered to be erased is not yet; it is tried again"
                );
            }
            let is_waiting = !failure.is_empty() || self.state().waiting > 0;
            self.state.send_modify(|state| state.failure = failure);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(if is_waiting { RETRY } else { LOOK }) => {}
            }
        }
    }

    /// How far orders are carried out.
    pub(crate) fn state(&self) -> ErasureState {
        self.state.borrow().clone()
    }

    /// Records orders, and waits a while until they are carried out.
    pub(crate) async fn order(
        &self,
        orders: Vec<Erasure>,
    ) -> Result<(bool, ErasureState), Problem> {
        let unrecorded = |error: ledger::Error| {
            let text = format!("the order could not be recorded, so nothing is erased: {error}");
            Problem::new(503, text)
        };
        let mut frames = Vec::with_capacity(orders.len());
        for order in orders {
            let id: InteractionId = order.correlation_id.parse().map_err(|_| {
                let text = format!("`{}` is no id of an interaction", order.correlation_id);
                Problem::new(422, text)
            })?;
            frames.push(Record::Note(Box::new(Note::Erasure(order))).encode(id));
        }
        let commit = self.ledger.append(frames).await.map_err(unrecorded)?;
        let sequence = commit.durable().await.map_err(unrecorded)?;
        let mut states = self.state.subscribe();
        self.bell.notify_one();
        let is_done = |state: &ErasureState| state.carried_out_sequence >= sequence;
        let done = tokio::time::timeout(ORDER_WAIT, states.wait_for(is_done)).await;
        Ok((done.is_ok(), self.state()))
    }

    /// Does what is ordered so far.
    fn carry_out(&self) -> anyhow::Result<()> {
        let mut work = self.work.lock().expect("nothing panics while it holds the work");
        loop {
            let is_all = self.read(&mut work)?;
            self.tell(&work, 0);
            let open = if work.waiting.is_empty() { 0 } else { self.erase(&mut work)? };
            let up_to = work.done();
            self.parts.store.note_erased(up_to)?;
            self.ledger.release(CONSUMER, up_to + 1);
            self.tell(&work, open);
            if is_all {
                return Ok(());
            }
        }
    }

    /// Reads orders; answers whether these are all.
    fn read(&self, work: &mut Work) -> anyhow::Result<bool> {
        let reader = match self.ledger.reader(work.read + 1) {
            Err(error) if error.kind() == ErrorKind::Released => self.ledger.reader(0),
            other => other,
        };
        let mut reader = reader?.only(&[Kind::Erasure]);
        for _ in 0..ORDERS_AT_ONCE {
            let entry = reader.next(Duration::ZERO)?;
            work.read = reader.position() - 1;
            let Some(entry) = entry else { return Ok(true) };
            work.waiting.insert(entry.sequence, entry.frame.interaction);
        }
        Ok(false)
    }

    /// Erases what waits, but for what has not ended; answers how much that is.
    fn erase(&self, work: &mut Work) -> anyhow::Result<u64> {
        let interactions: HashSet<_> = work.waiting.values().copied().collect();
        // What the ledger says last is in the tables before, so that tokens and costs are; and again after, so
        // that no row comes later that was made of what was erased meanwhile.
        self.settle()?;
        let erased = self.ledger.erase(&interactions)?;
        self.settle()?;
        let ended: BTreeSet<_> = interactions.difference(&erased.open).copied().collect();
        let rows = self.parts.store.erase(&ended)?.rows;
        work.waiting.retain(|_, interaction| erased.open.contains(interaction));
        let (interactions, payloads) = (ended.len(), erased.frames);
        tracing::info!(interactions, payloads, rows, "content was erased");
        Ok(erased.open.len() as u64)
    }

    fn settle(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.parts.pipeline.settle(SETTLE_WAIT),
            "the tables are behind the ledger"
        );
        Ok(())
    }

    fn tell(&self, work: &Work, open: u64) {
        self.state.send_modify(|state| {
            state.carried_out_sequence = work.done();
            state.waiting = work.waiting.len() as u64;
            state.open = open;
        });
    }
}

impl Work {
    /// Sequence up to which every order is carried out.
    fn done(&self) -> u64 {
        self.waiting.keys().next().map_or(self.read, |first| first - 1)
    }
}

//! Carries out orders to erase: what the ledger says is to be erased goes from the ledger and the tables.
//!
//! A consumer of the ledger like others: how far it has come is kept with the tables, so after a crash it goes on
//! there, and what was done already is done again, which changes nothing. An interaction that has not ended
//! waits until it has.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::{Erasure, Frame, InteractionId, Kind, Note, Record};
use ledger::{ErrorKind, Ledger};
use portal::{ErasureState, Problem};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::parts::{Parts, SETTLE_WAIT};

/// Its name among the consumers of the ledger.
const CONSUMER: &str = "erasures";
/// Orders that are carried out together.
const ORDERS_AT_ONCE: usize = 50_000;
/// Bytes of orders that are recorded together.
const APPEND_BYTES: usize = 8 << 20;
/// How long whoever orders waits until it is done.
const ORDER_WAIT: Duration = Duration::from_secs(60);
/// Between two looks at what has not ended, and first and longest wait after a failure.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);
/// Between two looks while nothing waits: then what is noted is how far the ledger was looked through.
const LOOK: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct Eraser {
    parts: Arc<Parts>,
    ledger: Ledger,
    stop: CancellationToken,
    told: watch::Sender<Told>,
    /// Rung when an order has come.
    bell: Notify,
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

/// How it stands, for those who ask.
#[derive(Clone, Default)]
struct Told {
    read: u64,
    waiting: Arc<BTreeSet<u64>>,
    state: ErasureState,
}

impl Eraser {
    pub(crate) fn new(parts: Arc<Parts>, ledger: Ledger, stop: CancellationToken) -> Self {
        let work = Work { read: parts.store.erased_up_to(), ..Work::default() };
        let (told, _) = watch::channel(Told::default());
        let eraser =
            Self { parts, ledger, stop, told, bell: Notify::new(), work: Mutex::default() };
        eraser.tell(&work, 0);
        *eraser.work.lock().unwrap_or_else(PoisonError::into_inner) = work;
        eraser
    }

    /// Keeps the ledger from giving up orders before they are read. To be called before any other consumer
    /// releases something.
    pub(crate) fn hold(ledger: &Ledger) {
        ledger.release(CONSUMER, 0);
    }

    /// Carries out what is ordered until it is stopped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut retry = RETRY_MIN;
        while !self.stop.is_cancelled() {
            let eraser = self.clone();
            let done = tokio::task::spawn_blocking(move || eraser.carry_out()).await;
            let failure = match done {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => error.to_string(),
            };
            let wait = match (failure.is_empty(), self.state().waiting) {
                (false, _) if self.stop.is_cancelled() => return,
                (false, _) => {
                    tracing::error!(
                        failure,
                        "what was ordered to be erased is not all erased; tried again"
                    );
                    let next = (retry * 2).min(RETRY_MAX);
                    std::mem::replace(&mut retry, next)
                }
                (true, 0) => LOOK,
                (true, _) => RETRY_MIN,
            };
            if failure.is_empty() {
                retry = RETRY_MIN;
            }
            self.told.send_modify(|told| told.state.failure = failure);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How far orders are carried out.
    pub(crate) fn state(&self) -> ErasureState {
        self.told.borrow().state.clone()
    }

    /// Records orders, and waits a while until they are carried out; answers whether they are.
    pub(crate) async fn order(
        &self,
        orders: Vec<Erasure>,
    ) -> Result<(bool, ErasureState), Problem> {
        let (mut first, mut last) = (u64::MAX, 0);
        for frames in in_pieces(orders)? {
            let count = frames.len() as u64;
            last = self.keep(frames).await.map_err(|error| {
                let text = match last {
                    0 => "the order could not be recorded, so nothing is erased",
                    _ => "only a part of the order could be recorded, and that is erased: order again",
                };
                Problem::new(503, format!("{text}: {error}"))
            })?;
            first = first.min(last + 1 - count);
            self.bell.notify_one();
        }
        let mut told = self.told.subscribe();
        let is_done =
            |told: &Told| told.read >= last && told.waiting.range(first..=last).next().is_none();
        let done = tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(ORDER_WAIT) => false,
            done = told.wait_for(is_done) => done.is_ok(),
        };
        Ok((done, self.state()))
    }

    async fn keep(&self, frames: Vec<Frame>) -> Result<u64, ledger::Error> {
        self.ledger.append(frames).await?.durable().await
    }

    /// Does what is ordered so far.
    fn carry_out(&self) -> anyhow::Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let is_all = self.read(&mut work)?;
            let open = if work.waiting.is_empty() { 0 } else { self.erase(&mut work)? };
            let up_to = work.done();
            self.parts.store.note_erased(up_to)?;
            self.ledger.release(CONSUMER, up_to + 1);
            self.tell(&work, open);
            if is_all || self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Reads orders; answers whether these are all.
    fn read(&self, work: &mut Work) -> anyhow::Result<bool> {
        let reader = match self.ledger.reader(work.read + 1) {
            Err(error) if error.kind() == ErrorKind::Released => {
                // At the first start with a version that erases there can be no order.
                if work.read > 0 {
                    let read = work.read;
                    tracing::error!(
                        read,
                        "the ledger gave up what was not looked through for orders"
                    );
                }
                self.ledger.reader(0)
            }
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
        let open = self.ledger.open_among(&interactions)?;
        self.tell(work, open.len() as u64);
        let ended: HashSet<_> = interactions.difference(&open).copied().collect();
        if ended.is_empty() {
            return Ok(open.len() as u64);
        }
        // Rows are on disk before, so that tokens and costs are, and none is made of what is erased.
        let is_settled = self.parts.pipeline.settle(SETTLE_WAIT);
        anyhow::ensure!(is_settled, "the tables are behind the ledger");
        self.parts.store.seal()?;
        let of_ledger = self.ledger.erase(&ended, &|| self.stop.is_cancelled());
        let of_tables = self.parts.store.erase(&ended.iter().copied().collect());
        let (payloads, rows) = (of_ledger?.frames, of_tables?.rows);
        work.waiting.retain(|_, interaction| open.contains(interaction));
        tracing::info!(interactions = ended.len(), payloads, rows, "content was erased");
        Ok(open.len() as u64)
    }

    fn tell(&self, work: &Work, open: u64) {
        self.told.send_modify(|told| {
            told.read = work.read;
            told.waiting = Arc::new(work.waiting.keys().copied().collect());
            told.state.carried_out_sequence = work.done();
            told.state.waiting = work.waiting.len() as u64;
            told.state.open = open;
        });
    }
}

impl Work {
    /// Sequence up to which every order is carried out.
    fn done(&self) -> u64 {
        self.waiting.keys().next().map_or(self.read, |first| first - 1)
    }
}

/// The frames of orders, in pieces that the ledger takes.
fn in_pieces(orders: Vec<Erasure>) -> Result<Vec<Vec<Frame>>, Problem> {
    let (mut pieces, mut bytes) = (vec![Vec::new()], 0);
    for order in orders {
        let id: InteractionId = order.correlation_id.parse().map_err(|_| {
            let text = format!("`{}` is no id of an interaction", order.correlation_id);
            Problem::new(422, text)
        })?;
        let frame = Record::Note(Box::new(Note::Erasure(order))).encode(id);
        bytes += frame.payload.len();
        if bytes > APPEND_BYTES {
            pieces.push(Vec::new());
            bytes = frame.payload.len();
        }
        pieces.last_mut().expect("there is one").push(frame);
    }
    pieces.retain(|piece| !piece.is_empty());
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_in_pieces_that_the_ledger_takes() {
        let order = |purpose: &str| Erasure {
            correlation_id: "0197a2c4-0000-7000-8000-000000000000".into(),
            purpose: purpose.into(),
            ..Erasure::default()
        };
        let orders = vec![order(&"ж".repeat(1_000)); 10_000];
        let pieces = in_pieces(orders).expect("ids");
        assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), 10_000);
        for piece in &pieces {
            let bytes: usize = piece.iter().map(|frame| frame.payload.len() + 36).sum();
            assert!(bytes < 16 << 20, "{bytes}");
        }
        assert!(in_pieces(Vec::new()).expect("none").is_empty());
    }
}

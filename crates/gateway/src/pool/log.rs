//! Changes of health on their way to the ledger, and from there into the table `BackendHealth`.
//!
//! Whoever notes a change never waits. What comes while the queue is full is counted and told with
//! the next; the periodic notes show how things stand all the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::{BackendState, Frame, InteractionId, Record};
use ledger::Ledger;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notes that wait for the ledger.
const NOTES_MAX: usize = 1_024;
/// Notes that one append carries.
const BATCH_MAX: usize = 64;
/// Pause before the ledger is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Where changes are noted; clones note in the same place.
#[derive(Clone)]
pub(crate) struct HealthLog {
    sender: mpsc::Sender<BackendState>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Notes that found no room.
    lost: AtomicU64,
    receiver: Mutex<Option<mpsc::Receiver<BackendState>>>,
}

impl HealthLog {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        let shared = Shared { lost: AtomicU64::new(0), receiver: Mutex::new(Some(receiver)) };
        Self { sender, shared: Arc::new(shared) }
    }

    /// Notes a state.
    pub(crate) fn note(&self, mut state: BackendState) {
        state.unnoted += self.shared.lost.swap(0, Ordering::Relaxed);
        let unnoted = state.unnoted;
        if self.sender.try_send(state).is_err() {
            self.shared.lost.fetch_add(unnoted + 1, Ordering::Relaxed);
        }
    }

    /// Writes what is noted until stopped, but for what comes later. Only the first call does.
    pub(crate) async fn write(self, ledger: Ledger, stop: CancellationToken) {
        let held = self.shared.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = held else { return };
        let mut states = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                _ = receiver.recv_many(&mut states, BATCH_MAX) => {}
                () = stop.cancelled() => return,
            }
            let frames: Vec<Frame> = states.drain(..).map(frame).collect();
            while ledger.append(frames.clone()).await.is_err() {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

fn frame(state: BackendState) -> Frame {
    let id = InteractionId::mint(state.noted_at, rand::random());
    Record::BackendState(Box::new(state)).encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_told_with_the_next() {
        let log = HealthLog::new();
        for _ in 0..NOTES_MAX + 5 {
            log.note(BackendState::default());
        }
        let mut receiver = log.shared.receiver.lock().unwrap().take().unwrap();
        for _ in 0..NOTES_MAX {
            assert_eq!(receiver.try_recv().unwrap().unnoted, 0);
        }
        log.note(BackendState::default());
        assert_eq!(receiver.try_recv().unwrap().unnoted, 5);
    }
}

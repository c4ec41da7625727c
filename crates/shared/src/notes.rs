//! Notes on their way to the ledger, and from there into a table.
//!
//! Whoever notes something never waits. What comes while the queue is full is counted and told with
//! the next. Not here: what must be on record before something happens; that is appended to the
//! ledger by whoever waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::{BackendState, Frame, InteractionId, Note, Record, SecurityEvent};
use ledger::Ledger;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notes that wait for the ledger.
pub(crate) const NOTES_MAX: usize = 1_024;
/// Notes that one append carries.
const BATCH_MAX: usize = 64;
/// Pause before the ledger is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Something that may be noted late, or only be counted.
pub trait Noted: Send + 'static {
    /// Like notes since the one before that are only counted.
    fn unnoted(&self) -> u64;
    /// Adds to them.
    fn add_unnoted(&mut self, count: u64);
    /// Its frame in the ledger.
    fn into_frame(self) -> Frame;
}

/// Where notes of one kind are taken; clones take them in the same place.
pub struct Notes<T> {
    sender: mpsc::Sender<T>,
    state: Arc<State<T>>,
}

struct State<T> {
    /// Notes that found no room.
    lost: AtomicU64,
    receiver: Mutex<Option<mpsc::Receiver<T>>>,
}

impl<T: Noted> Notes<T> {
    /// Notes it; what finds no room is told with the next.
    pub fn note(&self, mut note: T) {
        note.add_unnoted(self.state.lost.swap(0, Ordering::Relaxed));
        let unnoted = note.unnoted();
        if self.sender.try_send(note).is_err() {
            self.state.lost.fetch_add(unnoted + 1, Ordering::Relaxed);
        }
    }

    /// Writes what is noted until stopped, but for what comes later. Only the first call does.
    pub async fn write(self, ledger: Ledger, stop: CancellationToken) {
        let Some(mut receiver) = self.take_receiver() else { return };
        let mut notes = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                _ = receiver.recv_many(&mut notes, BATCH_MAX) => {}
                () = stop.cancelled() => return,
            }
            let frames: Vec<Frame> = notes.drain(..).map(T::into_frame).collect();
            while ledger.append(frames.clone()).await.is_err() {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    pub(crate) fn take_receiver(&self) -> Option<mpsc::Receiver<T>> {
        self.state.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Default for Notes<T> {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        let state = State { lost: AtomicU64::new(0), receiver: Mutex::new(Some(receiver)) };
        Self { sender, state: Arc::new(state) }
    }
}

impl<T> Clone for Notes<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), state: self.state.clone() }
    }
}

impl Noted for BackendState {
    fn unnoted(&self) -> u64 {
        self.unnoted
    }

    fn add_unnoted(&mut self, count: u64) {
        self.unnoted += count;
    }

    fn into_frame(self) -> Frame {
        let id = InteractionId::mint(self.noted_at, rand::random());
        Record::BackendState(Box::new(self)).encode(id)
    }
}

impl Noted for SecurityEvent {
    fn unnoted(&self) -> u64 {
        u64::try_from(self.unnoted).unwrap_or_default()
    }

    fn add_unnoted(&mut self, count: u64) {
        self.unnoted = self.unnoted.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn into_frame(self) -> Frame {
        let id = InteractionId::mint(self.time_generated, rand::random());
        Record::Note(Box::new(Note::SecurityEvent(self))).encode(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_told_with_the_next() {
        let notes = Notes::<BackendState>::default();
        for _ in 0..NOTES_MAX + 5 {
            notes.note(BackendState::default());
        }
        let mut receiver = notes.take_receiver().unwrap();
        for _ in 0..NOTES_MAX {
            assert_eq!(receiver.try_recv().unwrap().unnoted, 0);
        }
        notes.note(BackendState::default());
        assert_eq!(receiver.try_recv().unwrap().unnoted, 5);
    }
}

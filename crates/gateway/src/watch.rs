//! Whose bytes a connection is writing: an exchange's answer, or the HTTP library's own.

use std::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const FLUSHING: u8 = 2;

/// Shared by an HTTP/1.1 connection and its exchanges. What is written while no exchange has begun
/// can only be the library's own answer to a head that it could not read.
#[derive(Debug, Default)]
pub(crate) struct Watch(AtomicU8);

impl Watch {
    /// A request was read.
    pub(crate) fn exchange_began(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// The answer's body was handed over, or is not wanted any more.
    pub(crate) fn answer_handed_over(&self) {
        self.0.store(FLUSHING, Ordering::Relaxed);
    }

    /// Everything written has left.
    pub(crate) fn flushed(&self) {
        // The connection's task is the only one that flushes, and begins no exchange meanwhile.
        if self.0.load(Ordering::Relaxed) == FLUSHING {
            self.0.store(IDLE, Ordering::Relaxed);
        }
    }

    /// No exchange is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == IDLE
    }
}

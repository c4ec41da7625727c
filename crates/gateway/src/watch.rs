//! Where an HTTP/1.1 connection stands between two requests, shared by its stream and its exchanges.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const IDLE: u8 = 0;
const PASSED: u8 = 1;
const BUSY: u8 = 2;
const UPGRADED: u8 = 3;

/// Shared by an HTTP/1.1 connection's stream and its exchanges.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: AtomicU8,
    /// What followed HTTP is over.
    over: Notify,
}

impl Watch {
    /// A head was let pass to the library.
    pub(crate) fn head_passed(&self) {
        self.state.store(PASSED, Ordering::Relaxed);
    }

    /// The library read a request; false if no head was let pass for it.
    pub(crate) fn exchange_began(&self) -> bool {
        self.state.swap(BUSY, Ordering::Relaxed) == PASSED
    }

    /// The answer's body was handed over, or is not wanted any more.
    pub(crate) fn answer_handed_over(&self) {
        // What speaks another protocol now stays so.
        let _ = self.state.compare_exchange(BUSY, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What follows is no HTTP.
    pub(crate) fn upgraded(&self) {
        self.state.store(UPGRADED, Ordering::Relaxed);
    }

    /// The session that followed HTTP has ended.
    pub(crate) fn session_ended(&self) {
        self.over.notify_one();
    }

    /// Waits for that: until then the connection counts as open.
    pub(crate) async fn session_over(&self) {
        self.over.notified().await;
    }

    /// A head was let pass and no exchange has begun with it.
    pub(crate) fn has_passed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PASSED
    }

    /// An exchange is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.load(Ordering::Relaxed) == BUSY
    }

    /// The connection speaks another protocol now.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UPGRADED
    }
}

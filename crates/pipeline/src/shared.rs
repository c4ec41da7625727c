//! What the handle and the thread share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use policy::Prices;

use crate::status::Board;

/// See the module.
pub(crate) struct Shared {
    pub(crate) board: Board,
    prices: Mutex<Arc<Prices>>,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(prices: Arc<Prices>) -> Self {
        Self {
            board: Board::default(),
            prices: Mutex::new(prices),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn prices(&self) -> Arc<Prices> {
        self.prices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_prices(&self, prices: Arc<Prices>) {
        *self.prices.lock().unwrap_or_else(PoisonError::into_inner) = prices;
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

//! The memory that all bodies together may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes to be shared out.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    highest: AtomicU64,
    max: u64,
}

/// A share of a budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), highest: AtomicU64::new(0), max })
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was ever in use.
    #[cfg(test)]
    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// An empty share.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Takes more, if there is any.
    pub(crate) fn try_grow(&mut self, bytes: u64) -> bool {
        let max = self.budget.max;
        let taken = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= max)
        });
        let Ok(before) = taken else { return false };
        self.budget.highest.fetch_max(before + bytes, Ordering::Relaxed);
        self.bytes += bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_budget_and_come_back() {
        let budget = Budget::new(10);
        let mut first = budget.share();
        let mut second = budget.share();
        assert!(first.try_grow(6));
        assert!(!second.try_grow(5));
        assert!(second.try_grow(4));
        drop(first);
        assert_eq!(budget.used(), 4);
        assert_eq!(budget.highest(), 10);
    }
}

//! Tells long work that nobody waits for it any more: the query's time is over, or its caller is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kql::{QueryError, QueryErrorKind};

use crate::error::Outcome;

/// Whether somebody still waits. The work has one, and asks it between its steps.
#[derive(Default)]
pub(super) struct Abandoned(Arc<AtomicBool>);

/// Whoever waits: its end abandons the work.
pub(super) struct Waiting(Arc<AtomicBool>);

impl Abandoned {
    pub(super) fn waiting(&self) -> Waiting {
        Waiting(Arc::clone(&self.0))
    }

    /// An error once nobody waits.
    pub(super) fn check(&self) -> Outcome<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(QueryError::new(QueryErrorKind::Cancelled, "the query was cancelled"));
        }
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_abandoned_when_nobody_waits() {
        let abandoned = Abandoned::default();
        let waiting = abandoned.waiting();
        assert!(abandoned.check().is_ok());
        drop(waiting);
        assert_eq!(abandoned.check().expect_err("abandoned").kind(), QueryErrorKind::Cancelled);
    }
}

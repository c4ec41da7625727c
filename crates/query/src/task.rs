//! Tasks that queries run in, and how they end before their time.

use std::time::Duration;

use kql::{QueryError, QueryErrorKind};
use tokio::task::{JoinError, JoinHandle};

/// It took longer than it may.
pub(crate) fn timed_out(timeout: Duration) -> QueryError {
    let text = format!(
        "Request timed out: the query took longer than the {} seconds allowed (E_QUERY_TIMEOUT)",
        timeout.as_secs_f64()
    );
    QueryError::new(QueryErrorKind::Timeout, text)
}

/// Of a task that did not come to its end.
pub(crate) fn broken(failed: &JoinError) -> QueryError {
    if failed.is_panic() {
        return QueryError::new(QueryErrorKind::Internal, "the query failed unexpectedly");
    }
    QueryError::new(QueryErrorKind::Cancelled, "the query was cancelled")
}

/// A caller that goes away takes its query along.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in seconds since 1970, as tokens count.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

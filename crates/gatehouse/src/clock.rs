//! The wall clock.

use std::time::SystemTime;

use event::Timestamp;

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// The wall clock in seconds since 1970, as tokens count.
pub(crate) fn unix_seconds() -> i64 {
    now().unix_micros() / 1_000_000
}

//! How often a password may be tried.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Attempts of one address within the window.
const OF_ONE_MAX: u32 = 5;
/// Attempts of all within the window: somebody who has many addresses must not try them all.
const OF_ALL_MAX: u32 = 30;
/// The window, in seconds.
pub(crate) const WINDOW_S: i64 = 60;

/// Attempts of the last minute. At most [`OF_ALL_MAX`] addresses are remembered.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Window>);

#[derive(Default)]
struct Window {
    began_at: i64,
    all: u32,
    of: HashMap<String, u32>,
}

impl Attempts {
    /// One more attempt from this address; false if there were too many.
    pub(crate) fn try_one(&self, address: &str, now: i64) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < window.began_at || now - window.began_at >= WINDOW_S {
            *window = Window { began_at: now, ..Window::default() };
        }
        if window.all >= OF_ALL_MAX {
            return false;
        }
        let of_one = window.of.entry(address.to_owned()).or_default();
        if *of_one >= OF_ONE_MAX {
            return false;
        }
        *of_one += 1;
        window.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_five_attempts_a_minute_and_all_together_thirty() {
        let attempts = Attempts::default();
        let tried = |address: &str, now| (0..9).filter(|_| attempts.try_one(address, now)).count();
        assert_eq!(tried("10.0.0.1", 0), 5);
        assert_eq!(tried("10.0.0.1", 59), 0);
        assert_eq!(tried("10.0.0.1", 60), 5, "the next minute");
        let others: usize = (2..100).map(|last| tried(&format!("10.0.0.{last}"), 61)).sum();
        assert_eq!(others, 25);
        assert!(attempts.0.lock().unwrap().of.len() <= 30);
    }
}

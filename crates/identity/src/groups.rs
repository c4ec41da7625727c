//! Groups that were looked up, remembered for a while.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::Semaphore;

/// Members remembered.
const MEMBERS_MAX: usize = 10_000;
/// Look-ups under way at once.
const LOOKUPS_MAX: usize = 8;
/// How long an answer is believed, in seconds.
const ANSWER_S: i64 = 300;
/// How long a failure is, before Graph is asked again, in seconds.
const FAILURE_S: i64 = 10;

/// What is known of members' groups.
pub(crate) struct GroupCache {
    known: Mutex<HashMap<(String, String), Known>>,
    pub(crate) lookups: Semaphore,
}

#[derive(Clone)]
struct Known {
    groups: Option<Vec<String>>,
    until: i64,
}

impl GroupCache {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// What is known of a member; the inner none means that the look-up failed a moment ago.
    pub(crate) fn get(&self, provider: &str, id: &str, now: i64) -> Option<Option<Vec<String>>> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = known.get(&(provider.to_owned(), id.to_owned()))?;
        (now < found.until).then(|| found.groups.clone())
    }

    pub(crate) fn put(&self, provider: &str, id: &str, groups: Option<Vec<String>>, now: i64) {
        let until = now + if groups.is_some() { ANSWER_S } else { FAILURE_S };
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MEMBERS_MAX {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= MEMBERS_MAX {
            known.clear();
        }
        known.insert((provider.to_owned(), id.to_owned()), Known { groups, until });
    }
}

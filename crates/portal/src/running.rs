//! Queries that run now, by the id that their client gave, so that `.cancel query` finds them.

use std::sync::{Arc, Mutex, PoisonError};

use policy::{Principal, Role};
use tokio_util::sync::CancellationToken;

/// The running queries of Kusto's API that have an id. There are no more than may run at once.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Vec<Entry>>>);

struct Entry {
    owner: String,
    id: String,
    cancelled: CancellationToken,
    place: Arc<()>,
}

/// One of them; leaving the list when dropped.
pub(crate) struct Begun {
    all: Running,
    pub(crate) cancelled: CancellationToken,
    place: Arc<()>,
}

impl Running {
    /// Puts a query on the list.
    pub(crate) fn begin(&self, principal: &Principal, id: &str) -> Begun {
        let (cancelled, place) = (CancellationToken::new(), Arc::new(()));
        if !id.is_empty() {
            self.entries().push(Entry {
                owner: principal.id.clone(),
                id: id.to_owned(),
                cancelled: cancelled.clone(),
                place: place.clone(),
            });
        }
        Begun { all: self.clone(), cancelled, place }
    }

    /// Ends the queries with this id: own ones, or whoever's for who runs the gateway. Whether there was one.
    pub(crate) fn cancel(&self, principal: &Principal, id: &str) -> bool {
        let runs_gateway = [Role::Administrator, Role::Operator];
        let all = runs_gateway.into_iter().any(|role| principal.has(role));
        let entries = self.entries();
        let found = entries.iter().filter(|e| e.id == id && (all || e.owner == principal.id));
        found.inspect(|entry| entry.cancelled.cancel()).count() > 0
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.all.entries().retain(|entry| !Arc::ptr_eq(&entry.place, &self.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(id: &str, role: Role) -> Principal {
        Principal { id: id.into(), roles: [role].into(), ..Principal::default() }
    }

    #[test]
    fn a_query_is_cancelled_by_who_asked_it_or_runs_the_gateway() {
        let running = Running::default();
        let (ada, eve) = (principal("ada", Role::UsageReader), principal("eve", Role::UsageReader));
        let begun = running.begin(&ada, "q;1");
        assert!(!running.cancel(&eve, "q;1") && !begun.cancelled.is_cancelled());
        assert!(!running.cancel(&ada, "q;2"));
        assert!(running.cancel(&ada, "q;1") && begun.cancelled.is_cancelled());
        let other = running.begin(&ada, "q;2");
        assert!(running.cancel(&principal("root", Role::Operator), "q;2"));
        assert!(other.cancelled.is_cancelled());
        drop((begun, other));
        assert!(!running.cancel(&ada, "q;1") && running.entries().is_empty());
    }
}

//! Security events on their way to the ledger, and from there into the table `SecurityEvents`.
//!
//! Whoever is attacked sees thousands of like events: each kind has a row a second at most for one
//! target and one caller, the others are counted in the next (`Unnoted`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use event::{SecurityEvent, Timestamp};
use ledger::Ledger;
use net::{Denied, EgressConfig, EgressRules};
use tokio_util::sync::CancellationToken;

use crate::Notes;
use crate::notes::Noted;

/// Time between two rows of like events.
const PAUSE: Duration = Duration::from_secs(1);
/// Kinds of like events that are told apart.
const ALIKE_MAX: usize = 1_024;

/// Where security events are noted; clones note in the same place.
#[derive(Clone, Default)]
pub struct SecurityLog {
    notes: Notes<SecurityEvent>,
    alike: Arc<Mutex<HashMap<Likeness, Seen>>>,
}

/// What like events have in common.
#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    kind: String,
    reason: String,
    target: String,
    caller: String,
}

struct Seen {
    noted_at: Timestamp,
    /// The last one that has no row yet, with the number of those before it.
    held: Option<SecurityEvent>,
}

impl SecurityLog {
    /// Notes an event, and never waits.
    pub fn note(&self, event: SecurityEvent) {
        let at = event.time_generated;
        let mut alike = self.alike.lock().unwrap_or_else(PoisonError::into_inner);
        let mut likeness = Likeness::of(&event);
        if alike.len() >= ALIKE_MAX && !alike.contains_key(&likeness) {
            likeness.target.clear();
            likeness.caller.clear();
        }
        if let Some(seen) = alike.get_mut(&likeness) {
            if !is_over(seen.noted_at, at) {
                seen.hold(event);
                return;
            }
            let mut event = event;
            if let Some(held) = seen.held.take() {
                event.add_unnoted(held.unnoted() + 1);
            }
            seen.noted_at = at;
            self.notes.note(event);
            return;
        }
        alike.insert(likeness, Seen { noted_at: at, held: None });
        self.notes.note(event);
    }

    /// The rules of a configuration; what they forbid is noted here.
    pub fn egress(&self, config: &EgressConfig, region: &str) -> EgressRules {
        let (log, region) = (self.clone(), region.to_owned());
        EgressRules::new(config).watched(move |denied| log.note(denied_dial(denied, &region)))
    }

    /// Writes what is noted until stopped. Only the first call does.
    pub async fn write(self, ledger: Ledger, stop: CancellationToken) {
        let telling = async {
            loop {
                tokio::time::sleep(PAUSE).await;
                self.tell_held(Timestamp::from(SystemTime::now()));
            }
        };
        tokio::select! {
            () = self.notes.clone().write(ledger, stop) => {}
            () = telling => {}
        }
    }

    /// Notes what was held back long enough, and forgets what is over.
    fn tell_held(&self, now: Timestamp) {
        let mut alike = self.alike.lock().unwrap_or_else(PoisonError::into_inner);
        alike.retain(|_, seen| {
            if !is_over(seen.noted_at, now) {
                return true;
            }
            let Some(held) = seen.held.take() else { return false };
            seen.noted_at = now;
            self.notes.note(held);
            true
        });
    }
}

/// A dial that the egress rules forbade, as an event.
pub fn denied_dial(denied: &Denied, region: &str) -> SecurityEvent {
    SecurityEvent {
        time_generated: Timestamp::from(SystemTime::now()),
        kind: "egress_denied".to_owned(),
        severity: "warning".to_owned(),
        target: denied.host.clone(),
        target_address: denied.ip.to_string(),
        reason: denied.reason.to_owned(),
        message: denied.message.clone(),
        region: region.to_owned(),
        ..SecurityEvent::default()
    }
}

impl Likeness {
    fn of(event: &SecurityEvent) -> Self {
        Self {
            kind: event.kind.clone(),
            reason: event.reason.clone(),
            target: event.target.clone(),
            caller: event.caller_ip_address.clone(),
        }
    }
}

impl Seen {
    fn hold(&mut self, mut event: SecurityEvent) {
        if let Some(held) = &self.held {
            event.add_unnoted(held.unnoted() + 1);
        }
        self.held = Some(event);
    }
}

/// The time is up, or a clock was set back.
fn is_over(noted_at: Timestamp, now: Timestamp) -> bool {
    let pause = i64::try_from(PAUSE.as_micros()).unwrap_or(i64::MAX);
    now < noted_at || now.unix_micros() - noted_at.unix_micros() >= pause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, caller: &str, at_ms: i64) -> SecurityEvent {
        SecurityEvent {
            time_generated: Timestamp::from_unix_micros(at_ms * 1_000),
            kind: kind.to_owned(),
            caller_ip_address: caller.to_owned(),
            ..SecurityEvent::default()
        }
    }

    #[test]
    fn like_events_have_one_row_a_second_and_none_is_uncounted() {
        let log = SecurityLog::default();
        let mut receiver = log.notes.take_receiver().unwrap();
        for at_ms in 0..500 {
            log.note(event("address_denied", "10.0.0.1", at_ms));
        }
        log.note(event("address_denied", "10.0.0.2", 1));
        let mut rows = 0;
        let mut unnoted = 0;
        log.tell_held(Timestamp::from_unix_micros(1_000_000));
        log.note(event("address_denied", "10.0.0.1", 3_000));
        while let Ok(row) = receiver.try_recv() {
            rows += 1;
            unnoted += row.unnoted;
        }
        assert_eq!((rows, unnoted), (4, 498), "502 events");
    }

    #[test]
    fn ever_new_callers_take_no_more_memory_and_few_rows() {
        let log = SecurityLog::default();
        let mut receiver = log.notes.take_receiver().unwrap();
        for caller in 0..5_000 {
            log.note(event("address_denied", &caller.to_string(), 0));
            while receiver.try_recv().is_ok() {}
        }
        assert!(log.alike.lock().unwrap().len() <= ALIKE_MAX + 1);
        log.tell_held(Timestamp::from_unix_micros(2_000_000));
        let row = receiver.try_recv().unwrap();
        assert_eq!(row.unnoted, 5_000 - i64::try_from(ALIKE_MAX).unwrap() - 2);
    }
}

//! A backend chosen for one attempt: counted in flight while it is held, told how it fared.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use net::ErrorKind;

use crate::backend::breaker::{Away, Entry};
use crate::backend::standing::Lane;
use crate::backend::{Backend, Cause};
use crate::pool::wish::wish;

/// A backend for one attempt.
pub(crate) struct Chosen {
    pub(crate) backend: Arc<Backend>,
    lane: Arc<Lane>,
    connecting_entry: Entry,
    lane_entry: Entry,
    is_told: bool,
}

impl Chosen {
    pub(super) fn enter(
        backend: &Arc<Backend>,
        lane: &Arc<Lane>,
        now: Instant,
    ) -> Result<Self, Away> {
        let limits = &backend.origin.breaker;
        let connecting = backend.standing.connecting();
        let (connecting_entry, change) = connecting.breaker().enter(limits, now)?;
        backend.note(connecting, change, Cause::passed(), now);
        let entered = lane.breaker().enter(limits, now);
        let (lane_entry, change) = entered.inspect_err(|_| connecting.abandon(connecting_entry))?;
        backend.note(lane, change, Cause::passed(), now);
        backend.standing.takes_off();
        Ok(Self {
            backend: backend.clone(),
            lane: lane.clone(),
            connecting_entry,
            lane_entry,
            is_told: false,
        })
    }

    /// The head of an answer came.
    pub(crate) fn answered(&mut self, status: u16, headers: &HeaderMap, now: Instant) {
        self.is_told = true;
        let backend = &self.backend;
        let limits = &backend.origin.breaker;
        let connecting = backend.standing.connecting();
        let change = connecting.breaker().succeeded(self.connecting_entry, limits, now);
        backend.note(connecting, change, Cause::new("answered", Some(status), ""), now);
        let mut breaker = self.lane.breaker();
        let (change, reason) = match wish(status, headers, SystemTime::now()) {
            Some(wish) => {
                let most = Duration::from_millis(limits.retry_after_ms_max.max(1));
                let usual = Duration::from_millis(limits.open_ms.max(1));
                let wait = wish.wait.unwrap_or(usual).clamp(Duration::from_millis(1), most);
                (breaker.throttled(self.lane_entry, now + wait, now), wish.reason)
            }
            None if status >= 500 => (breaker.failed(self.lane_entry, limits, now), "server_error"),
            None => (breaker.succeeded(self.lane_entry, limits, now), "answered"),
        };
        drop(breaker);
        backend.note(&self.lane, change, Cause::new(reason, Some(status), ""), now);
    }

    /// There was no answer.
    pub(crate) fn failed(&mut self, error: &net::Error, now: Instant) {
        let reason = match error.kind() {
            ErrorKind::Connect => "connection_failed",
            ErrorKind::Denied => "address_forbidden",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Broken => "connection_broke",
            // The fault is the client's or our own.
            ErrorKind::Body | ErrorKind::Busy | ErrorKind::Config => return,
        };
        self.is_told = true;
        let backend = &self.backend;
        let story = error.story();
        backend.standing.set_last_failure(&story);
        let limits = &backend.origin.breaker;
        let connecting = backend.standing.connecting();
        let cause = Cause::new(reason, None, &story);
        if matches!(error.kind(), ErrorKind::Connect | ErrorKind::Denied) {
            self.lane.abandon(self.lane_entry);
            let change = connecting.breaker().failed(self.connecting_entry, limits, now);
            backend.note(connecting, change, cause, now);
            backend.standing.suspicion.notify_one();
            return;
        }
        connecting.abandon(self.connecting_entry);
        let change = self.lane.breaker().failed(self.lane_entry, limits, now);
        backend.note(&self.lane, change, cause, now);
    }

    /// The answer broke off after its head.
    pub(crate) fn broke_off(&self, why: &str, now: Instant) {
        let limits = &self.backend.origin.breaker;
        self.backend.standing.set_last_failure(why);
        let change = self.lane.breaker().failed(Entry::Normal, limits, now);
        self.backend.note(&self.lane, change, Cause::new("answer_broke_off", None, why), now);
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        if !self.is_told {
            self.backend.standing.connecting().abandon(self.connecting_entry);
            self.lane.abandon(self.lane_entry);
        }
        self.backend.standing.lands();
    }
}

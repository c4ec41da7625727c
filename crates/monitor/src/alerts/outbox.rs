//! What is to be delivered, and when it is tried again. Pure: time is an argument, the state can be
//! written down.

use std::collections::{HashSet, VecDeque};

use event::Timestamp;
use serde::{Deserialize, Serialize};

use super::engine::{Change, ChangeKind};

/// Deliveries that wait; the oldest are given up for further ones.
pub(crate) const DELIVERIES_MAX: usize = 5_000;
/// First pause after a failure; each further one doubles it.
const PAUSE_MIN_S: i64 = 5;
/// Longest pause.
const PAUSE_MAX_S: i64 = 300;
/// How long it is tried.
const GIVE_UP_S: i64 = 3 * 86_400;
/// Deliveries that are remembered once made, so that none is repeated.
const DONE_MAX: usize = 2_000;

/// One change on its way to one sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What makes it the same delivery: sink, alert, fired or resolved.
    pub key: String,
    /// Id of the sink.
    pub sink: String,
    /// What it tells.
    pub change: Change,
    /// Attempts that failed.
    pub failures: u32,
    /// When it was put in, in seconds since 1970.
    pub since_s: i64,
    /// When it is tried next.
    pub next_s: i64,
}

/// What became of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again.
    Retry,
    /// It was tried for long enough, or the sink refuses it for good.
    GivenUp,
}

/// The deliveries that wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outbox {
    waiting: VecDeque<Delivery>,
    done: VecDeque<String>,
}

impl Outbox {
    /// Puts a change in for a sink, unless it waits or was delivered already. Answers what had to go
    /// for it.
    pub fn put(&mut self, sink: &str, change: &Change, now: Timestamp) -> Option<Delivery> {
        let kind = match change.kind {
            ChangeKind::Fired => "fired",
            ChangeKind::Resolved => "resolved",
        };
        let key = format!("{sink}/{}/{kind}", change.alert_id);
        let is_known = self.done.contains(&key) || self.waiting.iter().any(|it| it.key == key);
        if is_known {
            return None;
        }
        let now_s = seconds(now);
        self.waiting.push_back(Delivery {
            key,
            sink: sink.to_owned(),
            change: change.clone(),
            failures: 0,
            since_s: now_s,
            next_s: now_s,
        });
        if self.waiting.len() > DELIVERIES_MAX { self.waiting.pop_front() } else { None }
    }

    /// What is to be tried now. Of one alert at one sink, the end waits for the beginning.
    pub fn due(&self, now: Timestamp) -> Vec<Delivery> {
        let now_s = seconds(now);
        let mut seen: HashSet<(&str, &str)> = HashSet::new();
        let mut due = Vec::new();
        for delivery in &self.waiting {
            let of = (delivery.sink.as_str(), delivery.change.alert_id.as_str());
            let is_first = seen.insert(of);
            // A clock that was set back by much must not silence it.
            let is_time = delivery.next_s <= now_s || delivery.next_s > now_s + PAUSE_MAX_S;
            if is_first && is_time {
                due.push(delivery.clone());
            }
        }
        due
    }

    /// It was delivered.
    pub fn delivered(&mut self, key: &str) {
        self.waiting.retain(|delivery| delivery.key != key);
        self.done.push_back(key.to_owned());
        while self.done.len() > DONE_MAX {
            self.done.pop_front();
        }
    }

    /// It was not delivered; `is_final` says that trying again is of no use.
    pub fn failed(&mut self, key: &str, now: Timestamp, is_final: bool) -> Fate {
        let now_s = seconds(now);
        let Some(delivery) = self.waiting.iter_mut().find(|delivery| delivery.key == key) else {
            return Fate::GivenUp;
        };
        delivery.failures += 1;
        let doubled = PAUSE_MIN_S << delivery.failures.saturating_sub(1).min(10);
        delivery.next_s = now_s + doubled.min(PAUSE_MAX_S);
        if is_final || now_s - delivery.since_s > GIVE_UP_S {
            self.waiting.retain(|delivery| delivery.key != key);
            return Fate::GivenUp;
        }
        Fate::Retry
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.unix_millis().div_euclid(1_000)
}

//! Which reports are to be made, what was tried, and what became of it. Pure: time is an argument, the
//! state can be written down.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use event::Timestamp;
use serde::{Deserialize, Serialize};

use super::schedule::{Period, Schedule};

/// Version of the format.
const VERSION: u32 = 1;
/// Periods of one report that are made up for after a pause; older ones are given up, which is said.
pub(super) const CATCH_UP_MAX: usize = 31;
/// First pause after a failure; each further one doubles it.
const PAUSE_MIN_S: i64 = 60;
/// Longest pause.
const PAUSE_MAX_S: i64 = 3_600;
/// How often one report is tried; with these pauses that takes three days.
pub(super) const ATTEMPTS_MAX: u32 = 78;

/// All reports' states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Agenda {
    version: u32,
    reports: BTreeMap<String, Standing>,
}

/// How one report stands. It is made in order, one period at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Standing {
    /// End of the last period that is done with, as a date.
    settled: String,
    /// What is tried again.
    attempt: Option<Attempt>,
    /// What became of the last period that is done with.
    pub(super) last: Option<Last>,
}

/// A report that was not delivered everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attempt {
    /// Where it has arrived.
    pub(super) delivered: Vec<String>,
    /// Attempts that failed.
    pub(super) failures: u32,
    /// Why the last one failed.
    pub(super) why: String,
    next_s: i64,
}

/// What became of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Last {
    /// Its period.
    pub(super) period: String,
    /// When, in seconds since 1970.
    pub(super) at_s: i64,
    /// Why it was given up; empty if it was delivered.
    pub(super) failure: String,
}

/// What became of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The first failure; it is tried again.
    Retry,
    /// A further one.
    RetryAgain,
    /// It was tried for long enough.
    GivenUp,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { version: VERSION, reports: BTreeMap::new() }
    }
}

impl Agenda {
    /// Reads a state back; the text names the fix.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let agenda: Self = serde_json::from_str(text).map_err(|error| {
            format!("the state of reports cannot be read ({error}): move it away to begin anew")
        })?;
        if agenda.version > VERSION {
            let newer = format!("the state of reports has version {}", agenda.version);
            return Err(format!("{newer}, which is newer than this Gatehouse: update it"));
        }
        Ok(agenda)
    }

    /// The period to be made now, with where it has arrived already, and how many had to be given up for
    /// being too old. A new report begins with the period that goes on now.
    pub(super) fn due(
        &mut self,
        id: &str,
        schedule: &Schedule,
        now: Timestamp,
    ) -> (Option<(Period, Vec<String>)>, usize) {
        let last = schedule.last_due(now);
        let standing = self.reports.entry(id.to_owned()).or_default();
        let Ok(mut settled) = standing.settled.parse::<NaiveDate>() else {
            standing.settled = last.end.to_string();
            return (None, 0);
        };
        if settled >= last.end {
            return (None, 0);
        }
        let mut waiting = Vec::new();
        while settled < last.end {
            let period = schedule.after(settled);
            settled = period.end;
            waiting.push(period);
        }
        let given_up = waiting.len().saturating_sub(CATCH_UP_MAX);
        if given_up > 0 {
            standing.settled = waiting[given_up].start.to_string();
            standing.attempt = None;
        }
        let attempt = standing.attempt.as_ref();
        let now_s = seconds(now);
        // A clock that was set back by much must not silence it.
        let waits = attempt
            .is_some_and(|attempt| attempt.next_s > now_s && attempt.next_s <= now_s + PAUSE_MAX_S);
        let arrived = attempt.map(|attempt| attempt.delivered.clone()).unwrap_or_default();
        let period = waiting[given_up];
        ((!waits).then_some((period, arrived)), given_up)
    }

    /// The period is delivered.
    pub(super) fn delivered(&mut self, id: &str, period: (Period, String), now: Timestamp) {
        self.settle(id, period, now, String::new());
    }

    /// An attempt failed, after it had arrived at these places.
    pub(super) fn failed(
        &mut self,
        id: &str,
        period: (Period, String),
        (delivered, why): (Vec<String>, &str),
        now: Timestamp,
    ) -> Fate {
        let standing = self.reports.entry(id.to_owned()).or_default();
        let now_s = seconds(now);
        let attempt = standing.attempt.get_or_insert_with(Attempt::default);
        attempt.failures += 1;
        attempt.delivered = delivered;
        why.clone_into(&mut attempt.why);
        let doubled = PAUSE_MIN_S << attempt.failures.saturating_sub(1).min(10);
        attempt.next_s = now_s + doubled.min(PAUSE_MAX_S);
        if attempt.failures >= ATTEMPTS_MAX {
            self.settle(id, period, now, why.to_owned());
            return Fate::GivenUp;
        }
        if attempt.failures == 1 { Fate::Retry } else { Fate::RetryAgain }
    }

    /// How a report stands.
    pub(super) fn standing(&self, id: &str) -> Option<&Standing> {
        self.reports.get(id)
    }

    /// Forgets reports that are gone.
    pub(super) fn keep_only<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        let ids: Vec<&str> = ids.collect();
        self.reports.retain(|id, _| ids.contains(&id.as_str()));
    }

    fn settle(
        &mut self,
        id: &str,
        (period, name): (Period, String),
        now: Timestamp,
        failure: String,
    ) {
        let standing = self.reports.entry(id.to_owned()).or_default();
        standing.settled = period.end.to_string();
        standing.attempt = None;
        standing.last = Some(Last { period: name, at_s: seconds(now), failure });
    }
}

impl Standing {
    /// What is tried again.
    pub(super) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// End of the last period that is done with.
    pub(super) fn settled(&self) -> Option<NaiveDate> {
        self.settled.parse().ok()
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.unix_millis().div_euclid(1_000)
}

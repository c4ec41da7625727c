//! The circuit breaker: whether calls may go to something that has failed lately. Pure: every method
//! is told the time.
//!
//! Closed, calls pass. Failures in a row, or too large a share of failures, open it: no call passes
//! for a while that doubles with every further trip. Then it is half-open: a few trial calls pass,
//! and their outcome closes or opens it. Apart from that a backend may ask to be left alone until a
//! moment (`Retry-After`, nothing remaining of a rate limit): throttled, and closed once it is over.

use std::time::{Duration, Instant};

use crate::config::BreakerConfig;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls pass.
    Closed,
    /// It failed: no call passes before this moment.
    Open(Instant),
    /// Trial calls pass.
    HalfOpen,
    /// It asked to be left alone until this moment.
    Throttled(Instant),
}

/// No call passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away {
    /// When to come back.
    pub(crate) until: Instant,
    /// It works but asked to be left alone.
    pub(crate) is_throttled: bool,
}

/// How a call was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Like any other.
    Normal,
    /// To find out whether it works again.
    Trial,
}

/// A breaker passed from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: State,
    pub(crate) to: State,
}

/// One circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    failures_in_a_row: u32,
    window: Window,
    /// Times it opened since it last closed.
    trips: u32,
    /// Trial calls on their way.
    trials: u32,
    trial_successes: u32,
}

/// Calls counted since a moment.
#[derive(Debug, Default)]
struct Window {
    began_at: Option<Instant>,
    calls: u32,
    failures: u32,
}

impl State {
    /// Its name in tables and status.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen => "half_open",
            Self::Throttled(_) => "throttled",
        }
    }

    /// Until when no call passes.
    pub(crate) const fn until(self) -> Option<Instant> {
        match self {
            Self::Open(until) | Self::Throttled(until) => Some(until),
            Self::Closed | Self::HalfOpen => None,
        }
    }
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Closed,
            failures_in_a_row: 0,
            window: Window { began_at: None, calls: 0, failures: 0 },
            trips: 0,
            trials: 0,
            trial_successes: 0,
        }
    }

    /// Where it stands; what a moment in the past held back is over.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.state {
            State::Open(until) if now >= until => State::HalfOpen,
            State::Throttled(until) if now >= until => State::Closed,
            state => state,
        }
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Whether a call would be let in.
    pub(crate) fn check(&self, limits: &BreakerConfig, now: Instant) -> Result<(), Away> {
        match self.state(now) {
            State::Closed => Ok(()),
            State::Open(until) => Err(Away { until, is_throttled: false }),
            State::Throttled(until) => Err(Away { until, is_throttled: true }),
            State::HalfOpen if self.trials < limits.trial_calls.max(1) => Ok(()),
            // A trial is on its way; how long it takes nobody knows.
            State::HalfOpen => {
                Err(Away { until: now + self.open_time(limits), is_throttled: false })
            }
        }
    }

    /// Lets a call in, if one may pass; its outcome is to be told. Tells what was over by now.
    pub(crate) fn enter(
        &mut self,
        limits: &BreakerConfig,
        now: Instant,
    ) -> Result<(Entry, Option<Change>), Away> {
        self.check(limits, now)?;
        let state = self.state(now);
        let change = if state == self.state { None } else { self.turn(state) };
        if state != State::HalfOpen {
            return Ok((Entry::Normal, change));
        }
        if change.is_some() {
            self.trials = 0;
            self.trial_successes = 0;
        }
        self.trials += 1;
        Ok((Entry::Trial, change))
    }

    /// A call was answered.
    pub(crate) fn succeeded(
        &mut self,
        entry: Entry,
        limits: &BreakerConfig,
        now: Instant,
    ) -> Option<Change> {
        self.count(limits, now, false);
        self.failures_in_a_row = 0;
        self.end_trial(entry);
        if entry != Entry::Trial || self.state != State::HalfOpen {
            return None;
        }
        self.trial_successes += 1;
        if self.trial_successes < limits.trial_successes.max(1) { None } else { self.close() }
    }

    /// A call failed.
    pub(crate) fn failed(
        &mut self,
        entry: Entry,
        limits: &BreakerConfig,
        now: Instant,
    ) -> Option<Change> {
        self.count(limits, now, true);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.end_trial(entry);
        let is_over = match self.state(now) {
            State::HalfOpen => entry == Entry::Trial,
            // A call that began before the breaker opened says nothing new.
            State::Open(_) => false,
            State::Closed | State::Throttled(_) => {
                let window = &self.window;
                let share = u64::from(window.failures) * 100;
                self.failures_in_a_row >= limits.failures_in_a_row.max(1)
                    || (window.calls >= limits.calls_min.max(1)
                        && share >= u64::from(window.calls) * u64::from(limits.failure_percent))
            }
        };
        if !is_over {
            return None;
        }
        let until = now + self.open_time(limits);
        self.trips = self.trips.saturating_add(1);
        self.window = Window::default();
        self.turn(State::Open(until))
    }

    /// A call was answered with the wish to be left alone until a moment, which is also a sign of
    /// life. A wish does not shorten what holds already.
    pub(crate) fn throttled(
        &mut self,
        entry: Entry,
        until: Instant,
        now: Instant,
    ) -> Option<Change> {
        self.failures_in_a_row = 0;
        self.end_trial(entry);
        if until <= now || self.state(now).until().is_some_and(|held| held >= until) {
            return None;
        }
        self.trips = 0;
        let was_throttled = matches!(self.state(now), State::Throttled(_));
        let change = self.turn(State::Throttled(until));
        // A longer wait is no other state.
        change.filter(|_| !was_throttled)
    }

    /// A call ended without telling anything about the backend.
    pub(crate) fn abandoned(&mut self, entry: Entry) {
        self.end_trial(entry);
    }

    /// It is known to work.
    pub(crate) fn close(&mut self) -> Option<Change> {
        self.trips = 0;
        self.failures_in_a_row = 0;
        self.window = Window::default();
        match self.state {
            State::Closed => None,
            _ => self.turn(State::Closed),
        }
    }

    fn end_trial(&mut self, entry: Entry) {
        if entry == Entry::Trial {
            self.trials = self.trials.saturating_sub(1);
        }
    }

    fn turn(&mut self, to: State) -> Option<Change> {
        let from = std::mem::replace(&mut self.state, to);
        Some(Change { from, to })
    }

    fn open_time(&self, limits: &BreakerConfig) -> Duration {
        let doubled = limits.open_ms.max(1).saturating_mul(1 << self.trips.min(20));
        Duration::from_millis(doubled.min(limits.open_ms_max.max(1)))
    }

    fn count(&mut self, limits: &BreakerConfig, now: Instant, is_failure: bool) {
        let length = Duration::from_millis(limits.window_ms.max(1));
        let is_over = self.window.began_at.is_none_or(|began| now >= began + length);
        if is_over {
            self.window = Window { began_at: Some(now), calls: 0, failures: 0 };
        }
        self.window.calls = self.window.calls.saturating_add(1);
        self.window.failures = self.window.failures.saturating_add(u32::from(is_failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        breaker: Breaker,
        limits: BreakerConfig,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let limits = BreakerConfig::default();
            Self { breaker: Breaker::new(), limits, start: now, now }
        }

        fn at(&mut self, ms: u64) {
            self.now = self.start + Duration::from_millis(ms);
        }

        fn enter(&mut self) -> Result<Entry, Away> {
            self.breaker.enter(&self.limits, self.now).map(|(entry, _)| entry)
        }

        fn fail(&mut self) -> Option<&'static str> {
            let entry = self.enter().expect("a call may pass");
            let change = self.breaker.failed(entry, &self.limits, self.now);
            change.map(|change| change.to.name())
        }

        fn succeed(&mut self) -> Option<&'static str> {
            let entry = self.enter().expect("a call may pass");
            let change = self.breaker.succeeded(entry, &self.limits, self.now);
            change.map(|change| change.to.name())
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_trial_closes_it() {
        let mut bench = Bench::new();
        assert_eq!(bench.fail(), None);
        assert_eq!(bench.fail(), None);
        assert_eq!(bench.succeed(), None, "a success breaks the row");
        assert_eq!(bench.fail(), None);
        assert_eq!(bench.fail(), None);
        assert_eq!(bench.fail(), Some("open"));
        let away = bench.enter().expect_err("open");
        assert_eq!(away.until, bench.start + Duration::from_millis(1_000));
        assert!(!away.is_throttled);
        bench.at(999);
        assert!(bench.enter().is_err());
        bench.at(1_000);
        assert_eq!(bench.breaker.state(bench.now), State::HalfOpen);
        assert_eq!(bench.enter(), Ok(Entry::Trial));
        assert!(bench.enter().is_err(), "one trial at a time");
        let change = bench.breaker.succeeded(Entry::Trial, &bench.limits, bench.now);
        assert_eq!(change, Some(Change { from: State::HalfOpen, to: State::Closed }));
        assert_eq!(bench.enter(), Ok(Entry::Normal));
    }

    #[test]
    fn a_failed_trial_opens_it_for_twice_as_long_up_to_the_limit() {
        let mut bench = Bench::new();
        bench.limits.open_ms_max = 3_000;
        for _ in 0..3 {
            bench.fail();
        }
        let mut at = 0;
        for wait in [1_000, 2_000, 3_000, 3_000] {
            let away = bench.enter().expect_err("open");
            assert_eq!(away.until, bench.start + Duration::from_millis(at + wait));
            at += wait;
            bench.at(at);
            assert_eq!(bench.fail(), Some("open"));
        }
        bench.at(at + 3_000);
        assert_eq!(bench.succeed(), Some("closed"));
        for _ in 0..2 {
            assert_eq!(bench.fail(), None);
        }
        assert_eq!(bench.fail(), Some("open"));
        let away = bench.enter().expect_err("open");
        assert_eq!(away.until, bench.now + Duration::from_millis(1_000), "it begins anew");
    }

    #[test]
    fn a_share_of_failures_opens_it_though_none_follow_each_other() {
        let mut bench = Bench::new();
        let mut opened = None;
        for call in 0..40 {
            let change = if call % 2 == 0 { bench.succeed() } else { bench.fail() };
            if change.is_some() {
                opened = Some((call, change));
                break;
            }
        }
        assert_eq!(opened, Some((19, Some("open"))), "half of twenty calls");
        let mut calm = Bench::new();
        for call in 0..400 {
            calm.at(call * 100);
            assert_eq!(if call % 3 == 0 { calm.fail() } else { calm.succeed() }, None);
        }
    }

    #[test]
    fn old_calls_do_not_count() {
        let mut bench = Bench::new();
        for _ in 0..9 {
            bench.succeed();
            bench.fail();
        }
        bench.at(10_000);
        bench.succeed();
        assert_eq!(bench.fail(), None, "a new window");
    }

    #[test]
    fn a_backend_that_asks_for_it_is_left_alone_and_needs_no_trial_after() {
        let mut bench = Bench::new();
        let entry = bench.enter().expect("closed");
        let until = bench.start + Duration::from_millis(500);
        let change = bench.breaker.throttled(entry, until, bench.now).expect("a change");
        assert_eq!((change.from, change.to), (State::Closed, State::Throttled(until)));
        let shorter = bench.start + Duration::from_millis(100);
        assert_eq!(bench.breaker.throttled(entry, shorter, bench.now), None);
        let longer = bench.start + Duration::from_millis(700);
        assert_eq!(bench.breaker.throttled(entry, longer, bench.now), None, "the same state");
        assert_eq!(bench.enter(), Err(Away { until: longer, is_throttled: true }));
        bench.at(700);
        assert_eq!((bench.enter(), bench.enter()), (Ok(Entry::Normal), Ok(Entry::Normal)));
    }

    #[test]
    fn what_began_before_it_opened_changes_nothing() {
        let mut bench = Bench::new();
        let early = bench.enter().expect("closed");
        for _ in 0..3 {
            bench.fail();
        }
        let state = bench.breaker.state(bench.now);
        assert_eq!(bench.breaker.failed(early, &bench.limits, bench.now), None);
        assert_eq!(bench.breaker.succeeded(early, &bench.limits, bench.now), None);
        assert_eq!(bench.breaker.state(bench.now), state);
        bench.at(1_000);
        assert_eq!(bench.enter(), Ok(Entry::Trial));
        assert_eq!(bench.breaker.failed(early, &bench.limits, bench.now), None);
        bench.breaker.abandoned(Entry::Trial);
        assert_eq!(bench.enter(), Ok(Entry::Trial), "a trial that told nothing leaves its place");
        assert_eq!(bench.breaker.close().map(|change| change.to), Some(State::Closed));
    }
}

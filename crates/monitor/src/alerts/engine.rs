//! What fires and what resolves. Pure: time is an argument, the state can be written down.
//!
//! A rule is looked at in slots: every multiple of its frequency since 1970 ends one. Slots that passed
//! while nobody looked (a restart, another node's lease that ran out) are looked at later, in order, as
//! the record is complete. A clock that is set back has the slots it passed looked at once more, when
//! their time comes, since rows may have come into them: what fails there and did not before fires, and
//! nothing resolves before the clock is where it was. The id of a firing is made of rule, dimensions and
//! slot, so that looking twice never fires twice.

use std::collections::{BTreeMap, BTreeSet};

use event::Timestamp;
use policy::{Aggregation, AlertRule};
use serde::{Deserialize, Serialize};

/// Slots of one rule that are made up for after a pause; older ones are given up, which is said.
pub(crate) const CATCH_UP_MAX: i64 = 1_500;
/// Combinations of dimensions that one rule follows; further ones are left out, which is said.
pub(crate) const SERIES_MAX: usize = 1_000;
/// Slots of one series that are remembered beside those that count, for a second look.
const REMEMBERED: i64 = 240;
/// Firings of one series that are remembered, so that none is repeated.
const FIRED_MAX: usize = 64;

/// Values by dimensions, as one evaluation found them: dimensions as JSON text.
pub type Measured = BTreeMap<String, f64>;

/// All rules' states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Engine {
    rules: BTreeMap<String, RuleState>,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct RuleState {
    /// The last slot looked at; its number.
    slot: Option<i64>,
    /// The highest slot ever looked at: those up to it are looked at once more after a clock was set back.
    highest: Option<i64>,
    /// Frequency in seconds that slots were numbered by.
    frequency_s: u64,
    series: BTreeMap<String, Series>,
}

/// What is known of one combination of dimensions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Series {
    /// Slots in which the threshold was passed: those that count, and some before.
    failing: BTreeSet<i64>,
    firing: Option<Firing>,
    /// Slots in which it fired.
    fired: BTreeSet<i64>,
    /// Until when it does not fire again, in seconds.
    muted_until_s: i64,
}

/// An alert that fires.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firing {
    /// Its id.
    pub alert_id: String,
    /// When it fired: the end of its slot, in seconds since 1970.
    pub fired_at_s: i64,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    /// It fires.
    Fired,
    /// It is over.
    Resolved,
}

/// A change of one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Fired or resolved.
    pub kind: ChangeKind,
    /// Id of the firing.
    pub alert_id: String,
    /// Its rule.
    pub rule_id: String,
    /// Values of its dimensions, as a JSON object.
    pub dimensions: String,
    /// What was measured; none if nothing was.
    pub value: Option<f64>,
    /// Start of the window, in seconds since 1970.
    pub window_start_s: i64,
    /// Its end.
    pub window_end_s: i64,
    /// When it fired, in seconds since 1970.
    pub fired_at_s: i64,
    /// Only tried out.
    #[serde(default)]
    pub is_test: bool,
}

/// Slots of one rule to look at: their ends, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// In order.
    pub ends_s: Vec<i64>,
    /// Slots that are given up, since too many had passed.
    pub given_up: i64,
}

impl Engine {
    /// The slots of a rule that have ended by `until` and were not looked at. A new rule begins with the
    /// slot that ended last. A clock set back makes the slots that it passed due again.
    pub fn due(&mut self, rule: &AlertRule, until: Timestamp) -> Due {
        let frequency = i64::try_from(rule.frequency_s.max(1)).unwrap_or(i64::MAX);
        let current = until.unix_millis().div_euclid(1_000).div_euclid(frequency);
        let state = self.rules.entry(rule.id.clone()).or_default();
        if state.frequency_s != rule.frequency_s {
            state.renumber(rule.frequency_s, current);
        }
        let last = state.slot.get_or_insert(current - 1);
        if *last > current {
            *last = current;
        }
        let first = (*last + 1).max(current - CATCH_UP_MAX + 1);
        let given_up = first - (*last + 1);
        Due { ends_s: (first..=current).map(|slot| slot * frequency).collect(), given_up }
    }

    /// Takes over what was measured for the slot that ends at `end_s`. Slots must come in order.
    pub fn evaluate(&mut self, rule: &AlertRule, end_s: i64, measured: &Measured) -> Vec<Change> {
        let state = self.rules.entry(rule.id.clone()).or_default();
        let frequency = i64::try_from(rule.frequency_s.max(1)).unwrap_or(i64::MAX);
        let slot = end_s.div_euclid(frequency);
        let is_second = state.highest.is_some_and(|highest| slot <= highest);
        state.slot = Some(slot);
        state.highest = state.highest.max(Some(slot));
        state.frequency_s = rule.frequency_s;
        for dimensions in measured.keys() {
            if state.series.len() < SERIES_MAX && !state.series.contains_key(dimensions) {
                state.series.insert(dimensions.clone(), Series::default());
            }
        }
        let counts_nothing = matches!(rule.aggregation, Aggregation::Count | Aggregation::Total);
        let nothing = counts_nothing.then_some(0.0);
        let mut changes = Vec::new();
        for (dimensions, series) in &mut state.series {
            let value = measured.get(dimensions).copied().or(nothing);
            let is_failing = value.is_some_and(|value| rule.operator.holds(value, rule.threshold));
            let look = Look { slot, end_s, is_second, is_failing };
            let change = series.step(rule, dimensions, look);
            changes.extend(change.map(|(kind, firing)| Change {
                kind,
                alert_id: firing.alert_id,
                rule_id: rule.id.clone(),
                dimensions: dimensions.clone(),
                value,
                window_start_s: end_s - i64::try_from(rule.window_s).unwrap_or(i64::MAX),
                window_end_s: end_s,
                fired_at_s: firing.fired_at_s,
                is_test: false,
            }));
        }
        state.series.retain(|_, series| !series.is_idle(slot));
        changes
    }

    /// More combinations of dimensions came than are followed.
    pub fn is_full(&self, rule: &AlertRule) -> bool {
        self.rules.get(&rule.id).is_some_and(|state| state.series.len() >= SERIES_MAX)
    }

    /// What fires, of one rule: dimensions and firing.
    pub fn firing(&self, rule_id: &str) -> Vec<(&str, &Firing)> {
        let series = self.rules.get(rule_id).into_iter().flat_map(|state| &state.series);
        let firing = series.filter_map(|(dimensions, series)| {
            series.firing.as_ref().map(|firing| (dimensions.as_str(), firing))
        });
        firing.collect()
    }

    /// Forgets the rules that nobody looks at any more; what fired of them is over at this moment.
    pub fn keep_only(&mut self, is_kept: impl Fn(&str) -> bool, now: Timestamp) -> Vec<Change> {
        let now_s = now.unix_millis().div_euclid(1_000);
        let mut over = Vec::new();
        self.rules.retain(|id, state| {
            if is_kept(id) {
                return true;
            }
            for (dimensions, series) in &mut state.series {
                let Some(firing) = series.firing.take() else { continue };
                over.push(Change {
                    kind: ChangeKind::Resolved,
                    alert_id: firing.alert_id,
                    rule_id: id.clone(),
                    dimensions: dimensions.clone(),
                    value: None,
                    window_start_s: firing.fired_at_s,
                    window_end_s: now_s,
                    fired_at_s: firing.fired_at_s,
                    is_test: false,
                });
            }
            false
        });
        over
    }
}

impl RuleState {
    /// Slots of another length have other numbers: what was counted before counts no more, what fires goes on.
    fn renumber(&mut self, frequency_s: u64, current: i64) {
        if self.frequency_s != 0 {
            self.slot = Some(current - 1);
            self.highest = None;
            for series in self.series.values_mut() {
                series.failing.clear();
                series.fired.clear();
            }
        }
        self.frequency_s = frequency_s;
    }
}

/// One look at one series.
#[derive(Clone, Copy)]
struct Look {
    slot: i64,
    end_s: i64,
    /// The slot was looked at before the clock was set back.
    is_second: bool,
    is_failing: bool,
}

impl Series {
    fn step(
        &mut self,
        rule: &AlertRule,
        dimensions: &str,
        look: Look,
    ) -> Option<(ChangeKind, Firing)> {
        let Look { slot, end_s, is_second, is_failing } = look;
        let was_failing = self.failing.contains(&slot);
        if is_failing {
            self.failing.insert(slot);
        } else if !is_second {
            self.failing.remove(&slot);
        }
        let periods = i64::from(rule.evaluation_periods);
        self.failing.retain(|at| *at > slot - periods - REMEMBERED);
        let counted = self.failing.range(slot - periods + 1..=slot).count();
        if counted < rule.failing_periods as usize {
            let over = self.firing.take_if(|_| !is_second)?;
            return Some((ChangeKind::Resolved, over));
        }
        let is_silent = self.firing.is_some()
            || self.fired.contains(&slot)
            || end_s < self.muted_until_s
            || (is_second && (was_failing || !is_failing))
            || (!rule.auto_resolve && !is_failing);
        if is_silent {
            return None;
        }
        self.fired.insert(slot);
        while self.fired.len() > FIRED_MAX {
            self.fired.pop_first();
        }
        self.muted_until_s = match rule.mute_s {
            0 => 0,
            mute => end_s.saturating_add(i64::try_from(mute).unwrap_or(i64::MAX)),
        };
        let firing = Firing { alert_id: alert_id(&rule.id, dimensions, slot), fired_at_s: end_s };
        if rule.auto_resolve {
            self.firing = Some(firing.clone());
        }
        Some((ChangeKind::Fired, firing))
    }

    /// Nothing of it matters any more.
    fn is_idle(&self, slot: i64) -> bool {
        let is_over = |at: Option<&i64>| at.is_none_or(|at| at + REMEMBERED < slot);
        self.firing.is_none() && self.failing.is_empty() && is_over(self.fired.last())
    }
}

/// The same firing has the same id wherever and however often it is found: 128 bits of FNV-1a.
fn alert_id(rule: &str, dimensions: &str, slot: i64) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let text = format!("{rule}\u{0}{dimensions}\u{0}{slot}");
    let hash =
        text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

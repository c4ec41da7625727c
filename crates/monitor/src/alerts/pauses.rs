//! When rules whose query failed are looked at again. Pure: time is an argument. It does not outlive the process,
//! as what failed does not: after a restart each rule is tried at once.

use std::collections::HashMap;

use event::Timestamp;
use policy::AlertRule;

/// First pause after a failure; each further one doubles it, up to the frequency of the rule.
const PAUSE_MIN_S: i64 = 1;

/// Rules that rest, by id; at most those in force.
#[derive(Debug, Default)]
pub(super) struct Pauses(HashMap<String, Pause>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    length_s: i64,
    until_s: i64,
}

impl Pauses {
    /// It failed at this moment.
    pub(super) fn failed(&mut self, rule: &AlertRule, now: Timestamp) {
        let frequency_s = i64::try_from(rule.frequency_s).unwrap_or(i64::MAX).max(PAUSE_MIN_S);
        let before = self.0.get(&rule.id).map_or(0, |pause| pause.length_s);
        let length_s = before.saturating_mul(2).clamp(PAUSE_MIN_S, frequency_s);
        let until_s = seconds(now).saturating_add(length_s);
        self.0.insert(rule.id.clone(), Pause { length_s, until_s });
    }

    /// It is not tried yet.
    pub(super) fn rests(&self, rule_id: &str, now: Timestamp) -> bool {
        let Some(pause) = self.0.get(rule_id) else { return false };
        let left_s = pause.until_s - seconds(now);
        // A clock that was set back by much must not silence it.
        left_s > 0 && left_s <= pause.length_s
    }

    /// It did not fail.
    pub(super) fn end(&mut self, rule_id: &str) {
        self.0.remove(rule_id);
    }

    /// Forgets the rules that nobody looks at any more.
    pub(super) fn keep_only(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_kept(id));
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.unix_millis().div_euclid(1_000)
}

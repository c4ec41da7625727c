//! The rules and sinks in force, and the rules that were.

use std::sync::Arc;

use policy::{ALERT_RULES_MAX, AlertRule};

use super::delivery::Courier;
use super::rule::{AlertsConfig, RuleInForce};
use super::sink::SinkConfig;

/// See the module.
pub(super) struct Settings {
    pub(super) config: AlertsConfig,
    pub(super) rules: Vec<RuleInForce>,
    /// Rules that were in force and are gone, newest first: their ends are still told.
    gone: Vec<AlertRule>,
    pub(super) courier: Arc<Courier>,
}

impl Settings {
    /// What follows settings of before.
    pub(super) fn new(config: AlertsConfig, courier: Courier, before: Option<&Self>) -> Self {
        let rules = config.in_force();
        let was = before.map_or(&[][..], |before| &before.rules);
        let were_gone = before.map_or(&[][..], |before| &before.gone);
        let gone = was.iter().map(|one| &one.rule).chain(were_gone);
        let is_gone = |rule: &&AlertRule| rules.iter().all(|one| one.rule.id != rule.id);
        let gone = gone.filter(is_gone).take(ALERT_RULES_MAX).cloned().collect();
        let settings = Self { rules, gone, config, courier: Arc::new(courier) };
        settings.tell_missing_sinks(before);
        settings
    }

    /// Says which sinks are not here that rules name, once for each.
    fn tell_missing_sinks(&self, before: Option<&Self>) {
        for RuleInForce { rule, .. } in &self.rules {
            let was = before.and_then(|before| Some((before, before.rule(&rule.id)?)));
            for sink in self.config.missing_sinks(rule) {
                let is_told = was.is_some_and(|(before, rule)| {
                    before.config.missing_sinks(rule).any(|missing| missing == sink)
                });
                if !is_told {
                    tracing::warn!(
                        rule = rule.id,
                        sink,
                        "an alert rule names a sink that this gateway does not have: add it under alerts.sinks"
                    );
                }
            }
        }
    }

    /// The rules that are looked at.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = &AlertRule> {
        self.rules.iter().map(|one| &one.rule).filter(|rule| rule.enabled)
    }

    /// A rule that is or was in force.
    pub(super) fn rule(&self, id: &str) -> Option<&AlertRule> {
        let all = self.rules.iter().map(|one| &one.rule).chain(&self.gone);
        all.into_iter().find(|rule| rule.id == id)
    }

    /// The sinks that a rule tells.
    pub(super) fn sinks_of<'a>(
        &'a self,
        rule: &'a AlertRule,
    ) -> impl Iterator<Item = &'a SinkConfig> {
        self.config.sinks.iter().filter(|sink| {
            let is_named = rule.sinks.is_empty() || rule.sinks.contains(&sink.id);
            is_named && rule.severity <= sink.severity_max
        })
    }
}

//! What alerts are and where they go, as an administrator writes it; which rules are in force.

use std::collections::HashSet;

use policy::{ALERT_RULES_MAX, AlertRule, AlertRuleOrigin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sink::SinkConfig;
use crate::metrics::{CATALOGUE, Definition, MetricKind};

const BUILTIN: &str = include_str!("../../data/alert_rules.json");

/// What alerts are, and where they go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Look at rules.
    pub enabled: bool,
    /// How long after the end of its window a rule is looked at, in seconds: rows need a moment.
    pub delay_s: u64,
    /// Rules beside the built-in ones; one with the id of a built-in rule replaces it. Rules of the desired
    /// state add to them, and replace those of the same id.
    pub rules: Vec<AlertRule>,
    /// Where alerts are delivered to.
    pub sinks: Vec<SinkConfig>,
    /// Address of the portal, for links in alerts; empty for none.
    pub portal_url: String,
    /// Rules of the desired state; no setting.
    #[serde(skip)]
    pub decreed: Vec<AlertRule>,
}

/// A rule in force, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInForce {
    /// The rule.
    pub rule: AlertRule,
    /// Whose it is.
    pub origin: AlertRuleOrigin,
    /// Whose rule would be in force without it; none if none would.
    pub replaces: Option<AlertRuleOrigin>,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            delay_s: 5,
            rules: Vec::new(),
            sinks: Vec::new(),
            portal_url: String::new(),
            decreed: Vec::new(),
        }
    }
}

impl AlertsConfig {
    /// The rules in force. Of those with the same id one is: that of the desired state before that of the file,
    /// and this one before that which ships.
    pub fn in_force(&self) -> Vec<RuleInForce> {
        let builtin = builtin_rules();
        let layers = [
            (AlertRuleOrigin::BuiltIn, &builtin),
            (AlertRuleOrigin::File, &self.rules),
            (AlertRuleOrigin::State, &self.decreed),
        ];
        let mut found: Vec<RuleInForce> = Vec::new();
        for (origin, rules) in layers {
            for rule in rules {
                match found.iter_mut().find(|before| before.rule.id == rule.id) {
                    Some(before) => {
                        let replaces = Some(before.origin);
                        *before = RuleInForce { rule: rule.clone(), origin, replaces };
                    }
                    None => {
                        found.push(RuleInForce { rule: rule.clone(), origin, replaces: None });
                    }
                }
            }
        }
        found
    }

    /// Refuses what contradicts itself; the text names the fix.
    pub fn validate(&self) -> Result<(), String> {
        let mut ids = HashSet::new();
        for rule in &self.rules {
            rule.validate().map_err(|why| format!("rule `{}`: {why}", rule.id))?;
            if !ids.insert(&rule.id) {
                return Err(format!("rule `{}` stands twice: rename one", rule.id));
            }
        }
        if self.rules.len() > ALERT_RULES_MAX {
            return Err(format!(
                "there are more than {ALERT_RULES_MAX} rules: use dimensions instead"
            ));
        }
        let mut sinks = HashSet::new();
        for sink in &self.sinks {
            sink.validate().map_err(|why| format!("sink `{}`: {why}", sink.id))?;
            if !sinks.insert(sink.id.as_str()) {
                return Err(format!("sink `{}` stands twice: rename one", sink.id));
            }
        }
        self.rules.iter().try_for_each(|rule| {
            self.check_known(rule).map_err(|why| format!("rule `{}` {why}", rule.id))
        })
    }

    /// Checks that the gauge and the sinks that a rule names are here; the text says which are.
    pub fn check_known(&self, rule: &AlertRule) -> Result<(), String> {
        if rule.query.is_empty() && gauge(rule).is_none() {
            let known: Vec<_> = gauges().map(|line| line.name).collect();
            return Err(format!(
                "looks at `{}`, which is no gauge of /metrics: there are {}",
                rule.metric,
                known.join(", ")
            ));
        }
        let Some(missing) = self.missing_sinks(rule).next() else { return Ok(()) };
        let known: Vec<_> = self.sinks.iter().map(|sink| sink.id.as_str()).collect();
        let known = match known.is_empty() {
            true => "there is none".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        Err(format!(
            "goes to sink `{missing}`, which is not there: add it under alerts.sinks, or name another ({known})"
        ))
    }

    /// The sinks that a rule names and that are not here.
    pub(super) fn missing_sinks<'a>(
        &'a self,
        rule: &'a AlertRule,
    ) -> impl Iterator<Item = &'a String> {
        rule.sinks.iter().filter(|id| self.sinks.iter().all(|sink| sink.id != **id))
    }
}

/// The gauges that a rule can look at.
pub fn gauges() -> impl Iterator<Item = &'static Definition> {
    CATALOGUE.iter().filter(|line| line.kind == MetricKind::Gauge)
}

/// The gauge that a rule looks at; none if there is none of that name.
pub(super) fn gauge(rule: &AlertRule) -> Option<&'static Definition> {
    gauges().find(|line| line.name == rule.metric)
}

/// The rules that ship with Gatehouse.
pub fn builtin_rules() -> Vec<AlertRule> {
    serde_json::from_str(BUILTIN).expect("a test reads the built-in rules")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, threshold: f64) -> AlertRule {
        AlertRule { id: id.into(), query: "Interactions".into(), threshold, ..AlertRule::default() }
    }

    #[test]
    fn a_rule_of_the_state_goes_before_one_of_the_file_and_that_before_one_that_ships() {
        let alone = AlertsConfig::default().in_force();
        assert_eq!(alone.len(), builtin_rules().len());
        let config = AlertsConfig {
            rules: vec![rule("audit-behind", 1.0), rule("both", 1.0), rule("of-the-file", 1.0)],
            decreed: vec![rule("error-ratio", 2.0), rule("both", 2.0), rule("of-the-state", 2.0)],
            ..AlertsConfig::default()
        };
        let found = config.in_force();
        assert_eq!(found.len(), alone.len() + 3);
        use AlertRuleOrigin::{BuiltIn, File, State};
        for (id, threshold, origin, replaces) in [
            ("audit-behind", 1.0, File, Some(BuiltIn)),
            ("error-ratio", 2.0, State, Some(BuiltIn)),
            ("both", 2.0, State, Some(File)),
            ("of-the-file", 1.0, File, None),
            ("of-the-state", 2.0, State, None),
        ] {
            let one = found.iter().find(|one| one.rule.id == id).expect(id);
            assert_eq!(
                (one.rule.threshold, one.origin, one.replaces),
                (threshold, origin, replaces)
            );
        }
    }

    #[test]
    fn what_is_not_here_is_refused_with_what_is() {
        let sink =
            |id: &str| SinkConfig { id: id.into(), url: "http://a".into(), ..Default::default() };
        let mut config = AlertsConfig::default();
        let lost = AlertRule { sinks: vec!["nowhere".into()], ..rule("a", 1.0) };
        let said = config.check_known(&lost).expect_err("is not there");
        assert!(said.contains("`nowhere`") && said.contains("(there is none)"), "{said}");
        config.sinks = vec![sink("on-call"), sink("team")];
        let said = config.check_known(&lost).expect_err("is not there");
        assert!(said.contains("(there are on-call, team)"), "{said}");
        let metric = "gatehouse_requests_total".into();
        let counter = AlertRule { query: String::new(), metric, ..rule("a", 1.0) };
        let said = config.check_known(&counter).expect_err("is no gauge");
        assert!(said.contains("no gauge of /metrics: there are gatehouse_"), "{said}");
        let known = gauges().next().expect("there is one").name.into();
        config.check_known(&AlertRule { metric: known, ..counter }).expect("it is there");
        // A state that names them does not keep a gateway from starting.
        config.decreed = vec![lost];
        config.validate().expect("holds");
    }
}

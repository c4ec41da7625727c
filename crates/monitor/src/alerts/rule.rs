//! Rules, as an administrator writes them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sink::SinkConfig;
use crate::metrics::{CATALOGUE, Definition, MetricKind};

const BUILTIN: &str = include_str!("../../data/alert_rules.json");
/// Most dimensions of a rule, as Azure has it.
const DIMENSIONS_MAX: usize = 6;
/// Most rules.
const RULES_MAX: usize = 500;
/// Most evaluations that failing periods may look back on.
const PERIODS_MAX: u32 = 6 * 24;

/// What alerts are, and where they go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Look at rules.
    pub enabled: bool,
    /// How long after the end of its window a rule is looked at, in seconds: rows need a moment.
    pub delay_s: u64,
    /// Rules beside the built-in ones; one with the id of a built-in rule replaces it.
    pub rules: Vec<AlertRule>,
    /// Where alerts are delivered to.
    pub sinks: Vec<SinkConfig>,
    /// Address of the portal, for links in alerts; empty for none.
    pub portal_url: String,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            delay_s: 5,
            rules: Vec::new(),
            sinks: Vec::new(),
            portal_url: String::new(),
        }
    }
}

/// One rule. It looks at KQL (`query`) or at a gauge (`metric`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRule {
    /// Id, for files and addresses.
    pub id: String,
    /// Name, for people.
    pub name: String,
    /// What it means and what to do.
    pub description: String,
    /// Look at it.
    pub enabled: bool,
    /// KQL; its rows of the window are aggregated.
    pub query: String,
    /// Gauge of `/metrics`, where there is no query.
    pub metric: String,
    /// Labels that series of the gauge must have.
    pub metric_labels: BTreeMap<String, String>,
    /// Column that is aggregated; empty counts rows.
    pub measure_column: String,
    /// How.
    pub aggregation: Aggregation,
    /// How the value is held against the threshold.
    pub operator: Operator,
    /// What it is held against.
    pub threshold: f64,
    /// Columns (of a gauge: labels) whose values are looked at apart; at most six.
    pub dimensions: Vec<String>,
    /// How often it is looked at, in seconds, from 5.
    pub frequency_s: u64,
    /// How far back it looks, in seconds; as long as the record is kept.
    pub window_s: u64,
    /// How many evaluations count.
    pub evaluation_periods: u32,
    /// In how many of them the threshold must be passed.
    pub failing_periods: u32,
    /// 0 critical, 1 error, 2 warning, 3 informational, 4 verbose.
    pub severity: u8,
    /// It fires once and resolves by itself. Otherwise it fires at each evaluation that fails.
    pub auto_resolve: bool,
    /// For how long after firing it does not fire again, in seconds.
    pub mute_s: u64,
    /// Ids of the sinks it goes to; empty for all.
    pub sinks: Vec<String>,
    /// Free values that go with it.
    pub custom_properties: BTreeMap<String, String>,
}

impl Default for AlertRule {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            description: String::new(),
            enabled: true,
            query: String::new(),
            metric: String::new(),
            metric_labels: BTreeMap::new(),
            measure_column: String::new(),
            aggregation: Aggregation::Count,
            operator: Operator::GreaterThan,
            threshold: 0.0,
            dimensions: Vec::new(),
            frequency_s: 60,
            window_s: 300,
            evaluation_periods: 1,
            failing_periods: 1,
            severity: 3,
            auto_resolve: true,
            mute_s: 0,
            sinks: Vec::new(),
            custom_properties: BTreeMap::new(),
        }
    }
}

/// How the rows of a window become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Aggregation {
    /// Number of rows.
    #[default]
    Count,
    /// Sum of the column.
    Total,
    /// Mean of the column.
    Average,
    /// Its smallest value.
    Minimum,
    /// Its largest.
    Maximum,
}

/// How a value is held against the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// `>`
    #[default]
    GreaterThan,
    /// `<`
    LessThan,
    /// `>=`
    GreaterThanOrEqual,
    /// `<=`
    LessThanOrEqual,
    /// `==`
    Equal,
}

impl Operator {
    /// The value is what the rule warns of.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThan => value > threshold,
            Self::LessThan => value < threshold,
            Self::GreaterThanOrEqual => value >= threshold,
            Self::LessThanOrEqual => value <= threshold,
            Self::Equal => value == threshold,
        }
    }
}

impl AlertsConfig {
    /// The rules in force: the built-in ones, as far as they are not replaced, and the others.
    pub fn all_rules(&self) -> Vec<AlertRule> {
        let own: HashSet<_> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        let builtin = builtin_rules().into_iter().filter(|rule| !own.contains(rule.id.as_str()));
        builtin.chain(self.rules.iter().cloned()).collect()
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
        if self.rules.len() > RULES_MAX {
            return Err(format!("there are more than {RULES_MAX} rules: use dimensions instead"));
        }
        let mut sinks = HashSet::new();
        for sink in &self.sinks {
            sink.validate().map_err(|why| format!("sink `{}`: {why}", sink.id))?;
            if !sinks.insert(sink.id.as_str()) {
                return Err(format!("sink `{}` stands twice: rename one", sink.id));
            }
        }
        for rule in &self.rules {
            if let Some(unknown) = rule.sinks.iter().find(|id| !sinks.contains(id.as_str())) {
                return Err(format!(
                    "rule `{}` goes to sink `{unknown}`, which is not there: add it under alerts.sinks",
                    rule.id
                ));
            }
        }
        Ok(())
    }
}

impl AlertRule {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.id.is_empty() || !self.id.bytes().all(is_plain) {
            return Err("give it an id of letters, digits, `-`, `_` and `.`".into());
        }
        match (self.query.is_empty(), self.gauge()) {
            (true, None) if self.metric.is_empty() => {
                return Err("it looks at nothing: give it a `query` or a `metric`".into());
            }
            (true, None) => return Err(format!("`{}` is no gauge of /metrics", self.metric)),
            (false, _) if !self.metric.is_empty() => {
                return Err("it has a `query` and a `metric`: give it one of them".into());
            }
            _ => {}
        }
        if self.measure_column.is_empty()
            && self.aggregation != Aggregation::Count
            && !self.query.is_empty()
        {
            return Err("its aggregation needs a `measure_column`".into());
        }
        if self.dimensions.len() > DIMENSIONS_MAX {
            return Err(format!("it has more than {DIMENSIONS_MAX} dimensions"));
        }
        if !(5..=86_400).contains(&self.frequency_s) {
            return Err("frequency_s may be 5 to 86400".into());
        }
        if self.window_s < self.frequency_s {
            let why = "window_s is shorter than frequency_s, so rows in between would be missed";
            return Err(format!("{why}: make it at least as long"));
        }
        if !(1..=PERIODS_MAX).contains(&self.evaluation_periods)
            || !(1..=self.evaluation_periods).contains(&self.failing_periods)
        {
            return Err(format!(
                "failing_periods may be 1 to evaluation_periods, and those 1 to {PERIODS_MAX}"
            ));
        }
        if self.severity > 4 || !self.threshold.is_finite() {
            return Err("severity may be 0 to 4, and threshold any finite number".into());
        }
        Ok(())
    }

    /// The gauge it looks at.
    pub(crate) fn gauge(&self) -> Option<&'static Definition> {
        let is_it = |line: &&Definition| line.kind == MetricKind::Gauge && line.name == self.metric;
        CATALOGUE.iter().find(is_it)
    }

    /// The query with its aggregation: one row for each combination of dimensions.
    pub fn aggregated(&self) -> String {
        let column = bracketed(&self.measure_column);
        let value = match self.aggregation {
            _ if self.measure_column.is_empty() => "count()".to_owned(),
            Aggregation::Count => format!("countif(isnotnull({column}))"),
            Aggregation::Total => format!("sum({column})"),
            Aggregation::Average => format!("avg({column})"),
            Aggregation::Minimum => format!("min({column})"),
            Aggregation::Maximum => format!("max({column})"),
        };
        let query = self.query.trim_end().trim_end_matches(';');
        let mut text = format!("{query}\n| summarize AggregatedValue = todouble({value})");
        for (position, dimension) in self.dimensions.iter().enumerate() {
            let between = if position == 0 { " by" } else { "," };
            write!(text, "{between} {}", bracketed(dimension)).expect("a String takes all");
        }
        text
    }

    /// Name for people.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}

fn bracketed(name: &str) -> String {
    format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The rules that ship with Gatehouse.
pub fn builtin_rules() -> Vec<AlertRule> {
    serde_json::from_str(BUILTIN).expect("a test reads the built-in rules")
}

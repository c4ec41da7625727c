//! Alert rules, as they stand in the configuration file and in the desired state. Which gauges and sinks there are
//! is not looked at here: only a running gateway knows.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::RulesError;

/// Most rules of the desired state, and of a file.
pub const ALERT_RULES_MAX: usize = 500;
/// Most dimensions of a rule, as Azure has it.
const DIMENSIONS_MAX: usize = 6;
/// Most evaluations that failing periods may look back on.
const PERIODS_MAX: u32 = 6 * 24;
/// Longest id.
const ID_BYTES_MAX: usize = 128;
/// Longest name.
const NAME_CHARS_MAX: usize = 200;
/// Longest description.
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// Longest query.
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Longest name of a column, a gauge, a label, a sink or a property.
const WORD_CHARS_MAX: usize = 128;
/// Longest value of a label or a property.
const VALUE_CHARS_MAX: usize = 1_000;
/// Most labels, sinks and properties of a rule, each.
const ITEMS_MAX: usize = 20;

/// One rule. It looks at KQL (`query`) or at a gauge (`metric`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRule {
    /// Id, for files and addresses: letters, digits, `-`, `_` and `.`.
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

/// Whose a rule is. Where ids are the same, the later one here is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertRuleOrigin {
    /// It ships with Gatehouse.
    BuiltIn,
    /// The configuration file has it.
    File,
    /// The desired state has it.
    State,
}

impl AlertRule {
    /// Refuses what contradicts itself; the text names the fix.
    pub fn validate(&self) -> Result<(), String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.id.is_empty() || !self.id.bytes().all(is_plain) {
            return Err("give it an id of letters, digits, `-`, `_` and `.`".into());
        }
        match (self.query.is_empty(), self.metric.is_empty()) {
            (true, true) => {
                return Err("it looks at nothing: give it a `query` or a `metric`".into());
            }
            (false, false) => {
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

    /// Refuses what is longer than the desired state takes.
    fn check_lengths(&self) -> Result<(), String> {
        if self.id.len() > ID_BYTES_MAX {
            return Err(format!("its id is longer than {ID_BYTES_MAX} bytes: shorten it"));
        }
        if self.id.bytes().all(|byte| byte == b'.') {
            return Err("an address cannot name it: give it an id with a letter or a digit".into());
        }
        if self.query.len() > QUERY_BYTES_MAX {
            return Err(format!("its query is longer than {QUERY_BYTES_MAX} bytes: shorten it"));
        }
        let is_short = |text: &str, most: usize| text.chars().count() <= most;
        for (what, text, most) in [
            ("name", &self.name, NAME_CHARS_MAX),
            ("description", &self.description, DESCRIPTION_CHARS_MAX),
            ("metric", &self.metric, WORD_CHARS_MAX),
            ("measure_column", &self.measure_column, WORD_CHARS_MAX),
        ] {
            if !is_short(text, most) {
                return Err(format!("its {what} is longer than {most} characters: shorten it"));
            }
        }
        let maps = [&self.metric_labels, &self.custom_properties];
        let is_many = |count: usize| count > ITEMS_MAX;
        if is_many(self.sinks.len()) || maps.iter().any(|map| is_many(map.len())) {
            return Err(format!(
                "it has more than {ITEMS_MAX} sinks, metric_labels or custom_properties: leave some out"
            ));
        }
        let names = maps.iter().flat_map(|map| map.keys());
        let mut words = names.chain(&self.sinks).chain(&self.dimensions);
        let mut values = maps.iter().flat_map(|map| map.values());
        if words.any(|word| word.is_empty() || !is_short(word, WORD_CHARS_MAX))
            || values.any(|value| !is_short(value, VALUE_CHARS_MAX))
        {
            return Err(format!(
                "dimensions, sinks and names have 1 to {WORD_CHARS_MAX} characters, values up to {VALUE_CHARS_MAX}"
            ));
        }
        Ok(())
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

/// Checks alert rules of the desired state; the text names the fix.
pub fn check_alert_rules(rules: &[AlertRule]) -> Result<(), RulesError> {
    if rules.len() > ALERT_RULES_MAX {
        let text =
            format!("there are more than {ALERT_RULES_MAX} alert rules: use dimensions instead");
        return Err(RulesError::new(text));
    }
    for (at, rule) in rules.iter().enumerate() {
        let id = &rule.id;
        if rules[..at].iter().any(|before| before.id == *id) {
            return Err(RulesError::new(format!("alert rule `{id}` stands twice: rename one")));
        }
        let checked = rule.validate().and_then(|()| rule.check_lengths());
        checked.map_err(|why| RulesError::new(format!("alert rule `{id}`: {why}")))?;
    }
    Ok(())
}

fn bracketed(name: &str) -> String {
    format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> AlertRule {
        AlertRule { id: "many-429".into(), query: "Interactions".into(), ..AlertRule::default() }
    }

    /// What is said of the good one after this change.
    fn refusal(change: impl FnOnce(&mut AlertRule)) -> String {
        let mut rule = good();
        change(&mut rule);
        check_alert_rules(&[rule]).expect_err("is refused").to_string()
    }

    #[test]
    fn ids_are_there_and_unique_and_there_is_a_bound() {
        check_alert_rules(&[]).expect("none");
        check_alert_rules(&[good()]).expect("a good one");
        let twice = check_alert_rules(&[good(), good()]).expect_err("twice").to_string();
        assert_eq!(twice, "alert rule `many-429` stands twice: rename one");
        let many: Vec<_> =
            (0..=ALERT_RULES_MAX).map(|at| AlertRule { id: at.to_string(), ..good() }).collect();
        check_alert_rules(&many[1..]).expect("as many as there may be");
        let many = check_alert_rules(&many).expect_err("too many").to_string();
        assert!(many.contains("more than 500 alert rules"), "{many}");
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_fix() {
        let said = refusal(|rule| rule.id = "a b".into());
        assert_eq!(said, "alert rule `a b`: give it an id of letters, digits, `-`, `_` and `.`");
        assert!(refusal(|rule| rule.query.clear()).contains("looks at nothing"));
        assert!(refusal(|rule| rule.metric = "up".into()).contains("give it one of them"));
        assert!(refusal(|rule| rule.window_s = 10).contains("would be missed"));
        assert!(refusal(|rule| rule.frequency_s = 1).contains("5 to 86400"));
        assert!(refusal(|rule| rule.failing_periods = 2).contains("evaluation_periods"));
        assert!(refusal(|rule| rule.severity = 5).contains("0 to 4"));
        assert!(refusal(|rule| rule.threshold = f64::NAN).contains("finite"));
        let said = refusal(|rule| rule.aggregation = Aggregation::Total);
        assert!(said.contains("measure_column"), "{said}");
        assert!(refusal(|rule| rule.dimensions = vec!["A".into(); 7]).contains("more than 6"));
    }

    #[test]
    fn everything_has_a_longest_length() {
        type Spoil = fn(&mut AlertRule);
        let cases: [(Spoil, &str); 10] = [
            (|rule| rule.id = "x".repeat(129), "its id is longer than 128 bytes"),
            (|rule| rule.id = "..".into(), "an id with a letter"),
            (|rule| rule.name = "ä".repeat(201), "its name is longer than 200 characters"),
            (|rule| rule.description = "x".repeat(2_001), "its description is longer than 2000"),
            (|rule| rule.query = "x".repeat(16_385), "its query is longer than 16384 bytes"),
            (|rule| rule.measure_column = "x".repeat(129), "its measure_column is longer"),
            (|rule| rule.sinks = vec!["x".into(); 21], "more than 20 sinks"),
            (|rule| rule.sinks = vec![String::new()], "1 to 128 characters"),
            (|rule| rule.dimensions = vec!["x".repeat(129)], "1 to 128 characters"),
            (
                |rule| drop(rule.custom_properties.insert("a".into(), "x".repeat(1_001))),
                "values up to 1000",
            ),
        ];
        for (spoil, why) in cases {
            let said = refusal(spoil);
            assert!(said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn a_query_is_aggregated_by_its_dimensions() {
        let rule = AlertRule {
            query: "Interactions | where 1 == 1 ;".into(),
            measure_column: "Cost'Usd".into(),
            aggregation: Aggregation::Total,
            dimensions: vec!["A".into(), "B".into()],
            ..good()
        };
        let expected = "Interactions | where 1 == 1 \n| summarize AggregatedValue = todouble(sum(['Cost\\'Usd'])) by ['A'], ['B']";
        assert_eq!(rule.aggregated(), expected);
    }

    #[test]
    fn json_has_azures_words_and_knows_nothing_else() {
        let text = r#"{"id":"a","query":"T","aggregation":"Average","operator":"LessThanOrEqual"}"#;
        let rule: AlertRule = serde_json::from_str(text).expect("a rule");
        let words = (rule.aggregation, rule.operator);
        assert_eq!(words, (Aggregation::Average, Operator::LessThanOrEqual));
        serde_json::from_str::<AlertRule>(r#"{"id":"a","treshold":1}"#).expect_err("no such field");
        assert_eq!(serde_json::to_string(&AlertRuleOrigin::BuiltIn).expect("text"), "\"built_in\"");
    }
}

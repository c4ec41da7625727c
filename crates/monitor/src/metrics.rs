//! Metrics: a table of definitions, and series with bounded labels.
//!
//! Nothing here is on the request path. Rows of the pipeline feed what is counted per interaction
//! ([`observe`](crate::observe)), and how things stand is asked at the moment of a scrape. Labels never hold
//! content or keys: only names that an administrator gave, names of models, and words of ours. Each
//! label has a written cap of values; further ones are counted under `other`.

pub(crate) mod catalogue;
mod exposition;
pub(crate) mod gen_ai;
mod standing;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use policy::Aggregation;

pub use catalogue::{CATALOGUE, Definition, Metric, MetricKind, label_values_max};
pub use gen_ai::Convention;
pub use standing::{BackendStanding, CircuitStanding, Standing, StreamJobStanding};

/// Stands for every value beyond a label's cap.
pub const OVERFLOW: &str = "other";
/// Series of one metric; further ones are counted under `other` in every label.
pub const SERIES_MAX: usize = 5_000;
/// Longest value of a label, in bytes; longer ones are cut.
const VALUE_BYTES_MAX: usize = 128;
/// Between the values of a key.
const BETWEEN: char = '\u{1f}';

/// All metrics of a node.
pub struct Metrics {
    state: Mutex<State>,
    convention: Convention,
}

#[derive(Default)]
struct State {
    /// By metric, then by the values of its labels.
    series: HashMap<Metric, HashMap<String, Value>>,
    /// Values seen, by label.
    values: HashMap<&'static str, HashSet<String>>,
    /// Where a key is put together.
    key: String,
}

/// What a series holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Distribution(Distribution),
}

/// Observations of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Their sum.
    pub sum: f64,
    /// How many.
    pub count: u64,
    /// How many in each bucket, and in the one above the last.
    pub buckets: Vec<u64>,
}

/// One metric with its series, as it was at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Name in Prometheus, such as `gatehouse_requests_total`.
    pub name: String,
    /// Name in OpenTelemetry, such as `gatehouse.requests`.
    pub otel_name: String,
    /// Its line of the table.
    pub definition: &'static Definition,
    /// Values by labels, in the order of their labels.
    pub series: Vec<(Vec<(String, String)>, Value)>,
}

impl Metrics {
    /// No series yet; `convention` names the `gen_ai.*` metrics.
    pub fn new(convention: Convention) -> Self {
        Self { state: Mutex::default(), convention }
    }

    /// How the `gen_ai` names are.
    pub fn convention(&self) -> &Convention {
        &self.convention
    }

    /// Counts.
    pub fn add(&self, metric: Metric, labels: &[&str], amount: f64) {
        self.update(metric, labels, |value| {
            if let Value::Number(number) = value {
                *number += amount;
            }
        });
    }

    /// Sets a gauge, or a counter that is counted elsewhere.
    pub fn set(&self, metric: Metric, labels: &[&str], to: f64) {
        self.update(metric, labels, |value| *value = Value::Number(to));
    }

    /// Observes a value of a histogram.
    pub fn observe(&self, metric: Metric, labels: &[&str], observed: f64) {
        let MetricKind::Histogram(bounds) = metric.definition().kind else { return };
        self.update(metric, labels, |value| {
            if let Value::Distribution(distribution) = value {
                let at = bounds.iter().position(|bound| observed <= *bound);
                distribution.buckets[at.unwrap_or(bounds.len())] += 1;
                distribution.sum += observed;
                distribution.count += 1;
            }
        });
    }

    /// Forgets the series of a gauge, before it is set anew.
    pub fn clear(&self, metric: Metric) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.series.remove(&metric);
    }

    /// The sum of a metric's series whose labels match; of a histogram, the count.
    pub fn total(&self, metric: Metric, matches: &[(&str, &str)]) -> f64 {
        let of = |value: &Value| match value {
            Value::Number(number) => *number,
            Value::Distribution(distribution) => distribution.count as f64,
        };
        let names = metric.definition().labels;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let series = state.series.get(&metric).into_iter().flatten();
        let fitting = series.filter(|(key, _)| {
            let labels = names.iter().copied().zip(key.split(BETWEEN));
            matches.iter().all(|wanted| labels.clone().any(|label| label == *wanted))
        });
        fitting.map(|(_, value)| of(value)).sum()
    }

    /// A gauge, aggregated by some of its labels: by label and value as JSON text.
    pub(crate) fn gauge(
        &self,
        metric: Metric,
        matches: &BTreeMap<String, String>,
        by: &[String],
        aggregation: Aggregation,
    ) -> BTreeMap<String, f64> {
        let names = metric.definition().labels;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (key, value) in state.series.get(&metric).into_iter().flatten() {
            let labels: BTreeMap<&str, &str> =
                names.iter().copied().zip(key.split(BETWEEN)).collect();
            let fits = matches.iter().all(|(label, wanted)| {
                labels.get(label.as_str()).is_some_and(|value| value == wanted)
            });
            if let (Value::Number(number), true) = (value, fits) {
                let by = by.iter().map(|label| {
                    let value = labels.get(label.as_str()).copied().unwrap_or_default();
                    (label.clone(), serde_json::Value::from(value))
                });
                let by: serde_json::Map<_, _> = by.collect();
                found.entry(serde_json::Value::Object(by).to_string()).or_default().push(*number);
            }
        }
        let one = |values: Vec<f64>| match aggregation {
            Aggregation::Count => values.len() as f64,
            Aggregation::Total => values.iter().sum(),
            Aggregation::Average => values.iter().sum::<f64>() / values.len() as f64,
            Aggregation::Minimum => values.into_iter().fold(f64::INFINITY, f64::min),
            Aggregation::Maximum => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
        };
        found.into_iter().map(|(by, values)| (by, one(values))).collect()
    }

    /// Everything, in the order of the table.
    pub fn families(&self) -> Vec<Family> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let family = |definition: &'static Definition| {
            let labels: Vec<String> = definition
                .labels
                .iter()
                .map(|label| self.convention.attribute(label).to_owned())
                .collect();
            let known = state.series.get(&definition.metric).into_iter().flatten();
            let mut series: Vec<_> = known
                .map(|(key, value)| {
                    let values = key.split(BETWEEN).map(str::to_owned);
                    (labels.iter().cloned().zip(values).collect::<Vec<_>>(), value.clone())
                })
                .collect();
            series.sort_by(|a, b| a.0.cmp(&b.0));
            let (name, otel_name) = self.convention.names(definition);
            Family { name, otel_name, definition, series }
        };
        CATALOGUE.iter().map(family).collect()
    }

    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        exposition::text(self.families())
    }

    fn update(&self, metric: Metric, labels: &[&str], change: impl FnOnce(&mut Value)) {
        let definition = metric.definition();
        debug_assert_eq!(labels.len(), definition.labels.len(), "{}", definition.name);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { series, values, key } = &mut *state;
        let series = series.entry(metric).or_default();
        join(key, labels, |key, _, value| key.push_str(value));
        // A series that is there has none but known values.
        if let Some(value) = series.get_mut(key.as_str()) {
            return change(value);
        }
        join(key, labels, |key, position, value| {
            push_bounded(key, definition.labels[position], value, values);
        });
        if !series.contains_key(key.as_str()) {
            if series.len() >= SERIES_MAX {
                *key = vec![OVERFLOW; definition.labels.len()].join(&BETWEEN.to_string());
            }
            series.entry(key.clone()).or_insert_with(|| definition.empty());
        }
        change(series.get_mut(key.as_str()).expect("it was just made"));
    }
}

/// Puts a key together from its values.
fn join(key: &mut String, values: &[&str], mut push: impl FnMut(&mut String, usize, &str)) {
    key.clear();
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            key.push(BETWEEN);
        }
        push(key, position, value);
    }
}

/// Adds a value to a key: the value itself while its label has room for it.
fn push_bounded(
    key: &mut String,
    label: &'static str,
    value: &str,
    values: &mut HashMap<&'static str, HashSet<String>>,
) {
    let value = match value.char_indices().find(|(at, _)| *at >= VALUE_BYTES_MAX) {
        Some((at, _)) => &value[..at],
        None => value,
    };
    let known = values.entry(label).or_default();
    if !known.contains(value) {
        if known.len() >= label_values_max(label) || value.contains(char::is_control) {
            return key.push_str(OVERFLOW);
        }
        known.insert(value.to_owned());
    }
    key.push_str(value);
}

#[cfg(test)]
mod tests;

//! Series, their bounds, and names.

mod shipped;

use super::gen_ai::GenAiVersion;
use super::*;

fn metrics() -> Metrics {
    Metrics::new(Convention::of(GenAiVersion::V1_37))
}

#[test]
fn counters_gauges_and_histograms_are_written_as_prometheus_reads_them() {
    let metrics = metrics();
    metrics.add(Metric::Unpriced, &["gpt-\"x\""], 2.0);
    metrics.set(Metric::InFlight, &[], 3.0);
    metrics.observe(Metric::Overhead, &["chat"], 0.0007);
    metrics.observe(Metric::Overhead, &["chat"], 99.0);
    let text = metrics.text();
    for line in [
        "# TYPE gatehouse_unpriced counter",
        "gatehouse_unpriced_total{model=\"gpt-\\\"x\\\"\"} 2.0",
        "gatehouse_exchanges_in_flight 3.0",
        "gatehouse_overhead_seconds_bucket{le=\"0.0005\",operation=\"chat\"} 0",
        "gatehouse_overhead_seconds_bucket{le=\"0.001\",operation=\"chat\"} 1",
        "gatehouse_overhead_seconds_bucket{le=\"+Inf\",operation=\"chat\"} 2",
        "gatehouse_overhead_seconds_count{operation=\"chat\"} 2",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

#[test]
fn a_label_beyond_its_cap_and_one_with_control_characters_are_counted_under_other() {
    let metrics = metrics();
    for number in 0..1_000 {
        metrics.add(Metric::Unpriced, &[&format!("model-{number}")], 1.0);
    }
    metrics.add(Metric::Unpriced, &["a\u{1f}b"], 1.0);
    let families = metrics.families();
    let family = families.iter().find(|family| family.name == "gatehouse_unpriced_total");
    let family = family.expect("it has series");
    assert_eq!(family.series.len(), 101);
    assert_eq!(metrics.total(Metric::Unpriced, &[("model", OVERFLOW)]), 901.0);
    assert_eq!(metrics.total(Metric::Unpriced, &[]), 1_001.0);
}

#[test]
fn no_metric_has_more_series_than_the_written_bound() {
    let metrics = metrics();
    for number in 0..200_000u32 {
        let (a, b) = ((number % 450).to_string(), (number / 450 % 95).to_string());
        metrics.add(Metric::Refusals, &[&b, &a], 1.0);
    }
    let families = metrics.families();
    assert!(families.iter().all(|family| family.series.len() <= SERIES_MAX + 1));
    assert_eq!(metrics.total(Metric::Refusals, &[]), 200_000.0);
}

#[test]
fn every_version_of_the_conventions_names_everything() {
    let (old, new) = (Convention::of(GenAiVersion::V1_36), Convention::of(GenAiVersion::V1_37));
    assert_eq!(old.attribute("provider"), "gen_ai.system");
    assert_eq!(new.attribute("provider"), "gen_ai.provider.name");
    for definition in CATALOGUE.iter().filter(|definition| definition.name.starts_with("gen_ai")) {
        for convention in [&old, &new] {
            for name in definition.labels.iter().chain([&definition.name]) {
                assert_ne!(convention.attribute(name), *name, "{name} has no name");
            }
        }
    }
}

#[test]
fn names_are_valid_and_stand_once() {
    let mut names = HashSet::new();
    for family in metrics().families() {
        assert!(names.insert(family.name.clone()), "{} twice", family.name);
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(family.name.bytes().all(is_plain), "{}", family.name);
        assert_eq!(family.definition.metric.definition(), family.definition);
    }
}

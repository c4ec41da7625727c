//! From families to the text that Prometheus reads, through prometheus-client's encoder.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Family, MetricKind, Value};

/// The whole text, its end mark included.
pub(super) fn text(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(families)));
    let mut text = String::with_capacity(16 << 10);
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("writing to a string does not fail");
    text
}

#[derive(Debug)]
struct Snapshot(Vec<Family>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for family in self.0.iter().filter(|family| !family.series.is_empty()) {
            let (kind, bounds) = match family.definition.kind {
                MetricKind::Counter => (MetricType::Counter, &[][..]),
                MetricKind::Gauge => (MetricType::Gauge, &[][..]),
                MetricKind::Histogram(bounds) => (MetricType::Histogram, bounds),
            };
            // The encoder writes `_total` itself.
            let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
            let help = family.definition.help;
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in &family.series {
                if labels.is_empty() {
                    number(&mut metric, kind, value, bounds)?;
                } else {
                    // Labels of the conventions have dots, which the text format does not know.
                    let labels: Vec<_> = labels
                        .iter()
                        .map(|(label, value)| (label.replace('.', "_"), value.as_str()))
                        .collect();
                    number(&mut metric.encode_family(&labels)?, kind, value, bounds)?;
                }
            }
        }
        Ok(())
    }
}

fn number(
    metric: &mut MetricEncoder<'_>,
    kind: MetricType,
    value: &Value,
    bounds: &[f64],
) -> Result<(), fmt::Error> {
    match value {
        Value::Number(number) if matches!(kind, MetricType::Counter) => {
            metric.encode_counter::<NoLabelSet, f64, f64>(number, None)
        }
        Value::Number(number) => metric.encode_gauge(number),
        Value::Distribution(distribution) => {
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(distribution.buckets.iter().copied()).collect();
            let (sum, count) = (distribution.sum, distribution.count);
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }
    }
}

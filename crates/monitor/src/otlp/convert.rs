//! Our metrics and notes in the words of OTLP.

use event::{Note, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::metrics::{Family, MetricKind, Value};

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    pair(key, Any::StringValue(value.to_owned()))
}

pub(super) fn number(key: &str, value: i64) -> KeyValue {
    pair(key, Any::IntValue(value))
}

pub(super) fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.unix_micros()).unwrap_or(0).saturating_mul(1_000)
}

pub(super) fn resource(service_name: &str) -> Resource {
    let attributes = vec![
        attribute("service.name", service_name),
        attribute("service.version", env!("CARGO_PKG_VERSION")),
    ];
    Resource { attributes, ..Resource::default() }
}

pub(super) fn of_spans(resource: Resource, spans: Vec<Span>) -> ResourceSpans {
    let scope = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() }
}

pub(super) fn of_logs(resource: Resource, log_records: Vec<LogRecord>) -> ResourceLogs {
    let scope = ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() };
    ResourceLogs { resource: Some(resource), scope_logs: vec![scope], ..ResourceLogs::default() }
}

/// Everything, cumulative from the start of the process.
pub(super) fn of_metrics(
    resource: Resource,
    families: Vec<Family>,
    (started_at, now): (Timestamp, Timestamp),
) -> ResourceMetrics {
    let times = (nanos(started_at), nanos(now));
    let with_series = families.into_iter().filter(|family| !family.series.is_empty());
    let metrics = with_series.map(|family| metric(family, times)).collect();
    let scope = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    }
}

fn severity_of_event(severity: &str) -> SeverityNumber {
    match severity {
        "critical" => SeverityNumber::Error,
        "warning" => SeverityNumber::Warn,
        _ => SeverityNumber::Info,
    }
}

fn severity_of_alert(severity: i32) -> SeverityNumber {
    match severity {
        0 | 1 => SeverityNumber::Error,
        2 => SeverityNumber::Warn,
        _ => SeverityNumber::Info,
    }
}

/// What belongs to no interaction, as a log record. It has names and ids, no content.
pub(super) fn log_record(note: &Note) -> LogRecord {
    let (body, severity, attributes) = match note {
        Note::AdminAction(note) => (
            format!("{} {}", note.operation_name, note.outcome),
            SeverityNumber::Info,
            vec![
                attribute("gatehouse.operation", &note.operation_name),
                attribute("gatehouse.target", &note.target_id),
                attribute("enduser.id", &note.principal_id),
            ],
        ),
        Note::ContentRead(note) => (
            "content was read".to_owned(),
            SeverityNumber::Info,
            vec![
                attribute("gatehouse.via", &note.via),
                attribute("enduser.id", &note.principal_id),
            ],
        ),
        Note::SecurityEvent(note) => (
            format!("{}: {}", note.kind, note.reason),
            severity_of_event(&note.severity),
            vec![
                attribute("gatehouse.security.kind", &note.kind),
                attribute("client.address", &note.caller_ip_address),
            ],
        ),
        Note::Alert(note) => (
            format!("{} {}", note.rule_name, note.state),
            severity_of_alert(note.severity),
            vec![
                attribute("gatehouse.alert.id", &note.alert_id),
                attribute("gatehouse.alert.rule", &note.rule_id),
                attribute("gatehouse.alert.state", &note.state),
            ],
        ),
        Note::CostAdjustment(note) => (
            "cost was rated anew".to_owned(),
            SeverityNumber::Info,
            vec![attribute("gatehouse.price.version", &note.price_version)],
        ),
        Note::LedgerCheckpoint(note) => (
            "the ledger was signed".to_owned(),
            SeverityNumber::Info,
            vec![
                attribute("gatehouse.ledger.id", &note.ledger_id),
                attribute("gatehouse.ledger.digest", &note.digest),
            ],
        ),
        Note::Erasure(note) => (
            "content is erased".to_owned(),
            SeverityNumber::Info,
            vec![
                attribute("gatehouse.interaction.id", &note.correlation_id),
                attribute("gatehouse.via", &note.via),
                attribute("enduser.id", &note.principal_id),
            ],
        ),
    };
    LogRecord {
        time_unix_nano: nanos(note.at()),
        observed_time_unix_nano: nanos(note.at()),
        severity_number: severity as i32,
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(body)) }),
        attributes,
        ..LogRecord::default()
    }
}

fn metric(family: Family, (start, now): (u64, u64)) -> Metric {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let points = |series: Vec<(Vec<(String, String)>, Value)>| -> Vec<NumberDataPoint> {
        let point = |(labels, value): (Vec<(String, String)>, Value)| {
            let Value::Number(number) = value else { return None };
            Some(NumberDataPoint {
                attributes: attributes(&labels),
                start_time_unix_nano: start,
                time_unix_nano: now,
                value: Some(Number::AsDouble(number)),
                ..NumberDataPoint::default()
            })
        };
        series.into_iter().filter_map(point).collect()
    };
    let data = match family.definition.kind {
        MetricKind::Counter => Data::Sum(Sum {
            data_points: points(family.series),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricKind::Gauge => Data::Gauge(Gauge { data_points: points(family.series) }),
        MetricKind::Histogram(bounds) => Data::Histogram(Histogram {
            data_points: family
                .series
                .into_iter()
                .filter_map(|(labels, value)| {
                    let Value::Distribution(distribution) = value else { return None };
                    Some(HistogramDataPoint {
                        attributes: attributes(&labels),
                        start_time_unix_nano: start,
                        time_unix_nano: now,
                        count: distribution.count,
                        sum: Some(distribution.sum),
                        bucket_counts: distribution.buckets,
                        explicit_bounds: bounds.to_vec(),
                        ..HistogramDataPoint::default()
                    })
                })
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    let is_seconds = family.name.contains("_seconds");
    Metric {
        name: family.otel_name,
        description: family.definition.help.to_owned(),
        unit: if is_seconds { "s".into() } else { String::new() },
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(labels: &[(String, String)]) -> Vec<KeyValue> {
    let named = labels.iter().filter(|(_, value)| !value.is_empty());
    named.map(|(key, value)| attribute(key, value)).collect()
}

fn scope() -> InstrumentationScope {
    let (name, version) = ("gatehouse".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    InstrumentationScope { name, version, ..InstrumentationScope::default() }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

//! What sinks are told: Azure Monitor's common alert schema, and short texts for chats and mail.

use event::Timestamp;
use kql::{TICKS_PER_SECOND, UNIX_EPOCH_TICKS};
use policy::{Aggregation, AlertRule};
use serde_json::{Map, Value, json};

use super::engine::{Change, ChangeKind};

/// The common alert schema of Azure Monitor, with the context of a log search alert (version 2).
pub fn common_schema(rule: &AlertRule, change: &Change, portal_url: &str, now: Timestamp) -> Value {
    let is_log = !rule.query.is_empty();
    let resolved_at = match change.kind {
        ChangeKind::Fired => Value::Null,
        ChangeKind::Resolved => json!(iso(now)),
    };
    let target = format!("/gatehouse/alertRules/{}", rule.id);
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": format!("/gatehouse/alerts/{}", change.alert_id),
                "alertRule": rule.title(),
                "alertRuleID": target,
                "severity": format!("Sev{}", rule.severity),
                "signalType": if is_log { "Log" } else { "Metric" },
                "monitorCondition": condition(change),
                "monitoringService": if is_log { "Log Alerts V2" } else { "Platform" },
                "alertTargetIDs": [target],
                "configurationItems": dimensions(change).values().collect::<Vec<_>>(),
                "originAlertId": change.alert_id,
                "firedDateTime": iso(at(change.fired_at_s)),
                "resolvedDateTime": resolved_at,
                "description": rule.description,
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
                "targetResourceType": "gatehouse",
                "investigationLink": link(rule, portal_url),
            },
            "alertContext": context(rule, change, portal_url),
            "customProperties": rule.custom_properties,
        },
    })
}

fn context(rule: &AlertRule, change: &Change, portal_url: &str) -> Value {
    let dimensions: Vec<Value> = dimensions(change)
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": text_of(&value) }))
        .collect();
    let aggregation = match rule.aggregation {
        Aggregation::Count => "Count",
        Aggregation::Total => "Total",
        Aggregation::Average => "Average",
        Aggregation::Minimum => "Minimum",
        Aggregation::Maximum => "Maximum",
    };
    let link = link(rule, portal_url);
    json!({
        "properties": { "isTest": change.is_test },
        "conditionType": if rule.query.is_empty() { "SingleResourceMultipleMetricCriteria" } else { "LogQueryCriteria" },
        "condition": {
            "windowSize": iso_duration(rule.window_s),
            "windowStartTime": iso(at(change.window_start_s)),
            "windowEndTime": iso(at(change.window_end_s)),
            "allOf": [{
                "searchQuery": if rule.query.is_empty() { &rule.metric } else { &rule.query },
                "metricMeasureColumn": rule.measure_column,
                "targetResourceTypes": "['gatehouse']",
                "operator": format!("{:?}", rule.operator),
                "threshold": rule.threshold.to_string(),
                "timeAggregation": aggregation,
                "dimensions": dimensions,
                "metricValue": change.value,
                "failingPeriods": {
                    "numberOfEvaluationPeriods": rule.evaluation_periods,
                    "minFailingPeriodsToAlert": rule.failing_periods,
                },
                "linkToSearchResultsUI": link,
                "linkToFilteredSearchResultsUI": link,
                "linkToSearchResultsAPI": Value::Null,
                "linkToFilteredSearchResultsAPI": Value::Null,
            }],
        },
    })
}

/// A line for a chat or a subject.
pub(super) fn headline(rule: &AlertRule, change: &Change) -> String {
    let test = if change.is_test { "TEST " } else { "" };
    let of: Vec<String> = dimensions(change)
        .into_iter()
        .map(|(name, value)| format!("{name} {}", text_of(&value)))
        .collect();
    let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
    let line = format!("{test}{} Sev{}: {}{of}", condition(change), rule.severity, rule.title());
    // Values come from callers: a line stays one line.
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

/// A few lines for a chat or a mail.
pub(super) fn text(rule: &AlertRule, change: &Change, portal_url: &str) -> String {
    let value = change.value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
    let mut lines = vec![headline(rule, change), rule.description.clone()];
    lines.push(format!(
        "Measured {value}, {:?} {}, from {} to {}.",
        rule.operator,
        rule.threshold,
        iso(at(change.window_start_s)),
        iso(at(change.window_end_s))
    ));
    lines.extend(link(rule, portal_url).as_str().map(str::to_owned));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// What Slack's incoming webhooks take, and what is compatible with them.
pub(super) fn slack(rule: &AlertRule, change: &Change, portal_url: &str) -> Value {
    let text = text(rule, change, portal_url);
    // The three characters that mean something there.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text })
}

/// What Teams' workflows take: a message with an adaptive card.
pub(super) fn teams(rule: &AlertRule, change: &Change, portal_url: &str) -> Value {
    let lines = text(rule, change, portal_url);
    let blocks: Vec<Value> = lines
        .lines()
        .enumerate()
        .map(|(position, line)| {
            let weight = if position == 0 { "Bolder" } else { "Default" };
            json!({ "type": "TextBlock", "text": line, "wrap": true, "weight": weight })
        })
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard", "version": "1.4", "body": blocks,
            },
        }],
    })
}

fn condition(change: &Change) -> &'static str {
    match change.kind {
        ChangeKind::Fired => "Fired",
        ChangeKind::Resolved => "Resolved",
    }
}

fn link(rule: &AlertRule, portal_url: &str) -> Value {
    match portal_url.trim_end_matches('/') {
        "" => Value::Null,
        url => json!(format!("{url}/#/alerts/{}", rule.id)),
    }
}

pub(super) fn dimensions(change: &Change) -> Map<String, Value> {
    serde_json::from_str(&change.dimensions).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds.saturating_mul(1_000_000))
}

/// `2026-11-28T15:00:00.0000000Z`, as Azure writes instants.
pub(crate) fn iso(at: Timestamp) -> String {
    let ticks = at.unix_micros().saturating_mul(TICKS_PER_SECOND / 1_000_000);
    kql::format_datetime(UNIX_EPOCH_TICKS.saturating_add(ticks))
}

/// `PT5M`, `P2D`.
pub(super) fn iso_duration(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s % 86_400 == 0 => format!("P{}D", s / 86_400),
        s if s > 0 && s % 3_600 == 0 => format!("PT{}H", s / 3_600),
        s if s > 0 && s % 60 == 0 => format!("PT{}M", s / 60),
        s => format!("PT{s}S"),
    }
}

//! What is told of alerts: rows of history, and changes on their way to sinks.

use event::{Alert, Json, Timestamp};
use policy::AlertRule;

use super::engine::Change;
use super::in_force::Settings;
use super::payload;
use super::state::State;

/// Rows of history that wait for the ledger; further ones are given up.
const UNRECORDED_MAX: usize = 10_000;

/// Puts a change on its way to the sinks of its rule.
pub(super) fn put(
    settings: &Settings,
    state: &mut State,
    rule: &AlertRule,
    change: &Change,
    now: Timestamp,
) {
    for sink in settings.sinks_of(rule) {
        if let Some(lost) = state.outbox.put(&sink.id, change, now) {
            let mut row = row(rule, &lost.change, "DeliveryFailed", now);
            row.target.clone_from(&lost.sink);
            row.message = "given up for newer ones: too many deliveries wait".into();
            push(state, row);
        }
    }
}

/// Adds a row; without room it is lost, which is told.
pub(super) fn push(state: &mut State, row: Alert) {
    if state.unrecorded.len() >= UNRECORDED_MAX {
        tracing::error!("history of alerts is lost: the ledger has taken none for too long");
        return;
    }
    state.unrecorded.push(row);
}

/// What became of an alert.
pub(super) fn row(rule: &AlertRule, change: &Change, kind: &str, now: Timestamp) -> Alert {
    Alert {
        time_generated: now,
        alert_id: change.alert_id.clone(),
        rule_id: rule.id.clone(),
        rule_name: rule.title().to_owned(),
        severity: i32::from(rule.severity),
        state: kind.to_owned(),
        dimensions: Json(change.dimensions.clone()),
        value: change.value,
        threshold: Some(rule.threshold),
        window_start: Some(payload::at(change.window_start_s)),
        window_end: Some(payload::at(change.window_end_s)),
        fired_at: Some(payload::at(change.fired_at_s)),
        target: String::new(),
        message: payload::headline(rule, change),
        ledger_sequence: 0,
    }
}

/// Ten bytes that tell rows of one millisecond apart (FNV-1a, 128 bits).
pub(super) fn digest(row: &Alert) -> [u8; 10] {
    let text = format!("{}\u{0}{}\u{0}{}\u{0}{}", row.alert_id, row.rule_id, row.state, row.target);
    let hash = text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B)
    });
    let bytes = hash.to_le_bytes();
    std::array::from_fn(|at| bytes[at])
}

//! The engine over simulated time; delivery to a sink that is down; what is sent.

mod failing;
pub(crate) mod mail;
mod sinks;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::Timestamp;
use policy::{AlertRule, Operator};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::engine::{Change, ChangeKind, Engine, Measured};
use super::outbox::{Fate, Outbox};
use super::payload::{common_schema, iso_duration};
use super::rule::{AlertsConfig, builtin_rules};
use super::state::State;

const START_S: i64 = 1_790_000_000 / 60 * 60;

/// Homes of secrets as they are without settings.
fn vault() -> vault::Vault {
    vault::Vault::new(&vault::VaultConfig::default(), |_| {}).expect("the defaults hold")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds * 1_000_000)
}

fn rule() -> AlertRule {
    AlertRule {
        id: "rule".into(),
        query: "Interactions".into(),
        window_s: 60,
        operator: Operator::GreaterThanOrEqual,
        threshold: 1.0,
        ..AlertRule::default()
    }
}

fn series(name: u32) -> String {
    format!("{{\"Series\":\"{name}\"}}")
}

/// What the slots that were looked at say, without an engine: failing periods counted anew each time.
fn oracle(
    rule: &AlertRule,
    signal: &BTreeMap<i64, BTreeSet<u32>>,
    name: u32,
) -> Vec<(i64, ChangeKind)> {
    let (mut is_firing, mut changes) = (false, Vec::new());
    let fails = |slot: i64| signal.get(&slot).is_some_and(|failing| failing.contains(&name));
    for &slot in signal.keys() {
        let of = slot - i64::from(rule.evaluation_periods) + 1..=slot;
        let failing = of.filter(|slot| fails(*slot)).count() >= rule.failing_periods as usize;
        if failing != is_firing {
            is_firing = failing;
            changes
                .push((slot * 60, if failing { ChangeKind::Fired } else { ChangeKind::Resolved }));
        }
    }
    changes
}

/// Restarts lose what was not kept; pauses let slots pass; the clock jumps ahead and back. What fires and
/// resolves is what an undisturbed engine would have said, each once.
#[test]
fn a_thousand_evaluations_with_restarts_and_clock_jumps_miss_and_repeat_nothing() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let periods = random.random_range(1..=5);
        let rule = AlertRule {
            evaluation_periods: periods,
            failing_periods: random.random_range(1..=periods),
            ..rule()
        };
        let first = START_S / 60;
        let mut signal: BTreeMap<i64, BTreeSet<u32>> = BTreeMap::new();
        for slot in first..first + 1_000 {
            let before = signal.get(&(slot - 1)).cloned().unwrap_or_default();
            // Mostly as before, so that alerts last a while.
            let fails = |name: &u32, random: &mut StdRng| match random.random_ratio(1, 6) {
                true => random.random_bool(0.4),
                false => before.contains(name),
            };
            let failing = (0..3).filter(|name| fails(name, &mut random)).collect();
            signal.insert(slot, failing);
        }
        let mut kept = serde_json::to_string(&State::default()).unwrap();
        let mut state = State::parse(&kept).unwrap();
        // By id, so that what a crash makes the engine say again counts once, as in the outbox.
        let mut said: BTreeMap<(i64, ChangeKind, String), String> = BTreeMap::new();
        let mut fired: HashMap<String, usize> = HashMap::new();
        let last_s = (first + 999) * 60;
        let (mut truth_s, mut evaluations, mut reached_s) = ((first - 1) * 60, 0, 0);
        state.engine.due(&rule, at(truth_s));
        state.engine.evaluate(&rule, truth_s, &Measured::new());
        while reached_s < last_s {
            // Seldom it sleeps for hours.
            truth_s += if random.random_ratio(1, 50) { random.random_range(60..9_000) } else { 20 };
            // The clock may be wrong by up to half an hour; the record is complete up to the truth only.
            let wrong =
                if random.random_ratio(1, 10) { random.random_range(-1_800..1_800) } else { 0 };
            let clock_s = (truth_s + wrong).min(truth_s);
            let due = state.engine.due(&rule, at(clock_s));
            assert_eq!(due.given_up, 0);
            for end_s in due.ends_s {
                let failing = signal.get(&(end_s / 60)).cloned().unwrap_or_default();
                let measured = failing.iter().map(|name| (series(*name), 1.0)).collect();
                evaluations += 1;
                reached_s = reached_s.max(end_s);
                for change in state.engine.evaluate(&rule, end_s, &measured) {
                    let name = change.dimensions.clone();
                    let known = said.insert((end_s, change.kind, name), change.alert_id.clone());
                    assert!(known.is_none_or(|id| id == change.alert_id), "one firing, two ids");
                    if change.kind == ChangeKind::Fired {
                        *fired.entry(change.alert_id).or_default() += 1;
                    }
                }
                if random.random_ratio(1, 25) {
                    // Killed: what was not kept is lost, and looked at once more.
                    state = State::parse(&kept).unwrap();
                    break;
                }
                kept = serde_json::to_string(&state).unwrap();
            }
        }
        assert!(evaluations >= 1_000, "{evaluations} evaluations");
        for name in 0..3 {
            let expected = oracle(&rule, &signal, name);
            let found: Vec<_> = said
                .keys()
                .filter(|(end_s, _, of)| *of == series(name) && *end_s <= last_s)
                .map(|(end_s, kind, _)| (*end_s, *kind))
                .collect();
            assert_eq!(found, expected, "seed {seed}, series {name}");
        }
        assert!(fired.len() > 20, "it fired only {} times", fired.len());
    }
}

/// Rows stamped by a clock that ran ahead and was set back come into windows that were looked at.
#[test]
fn a_clock_that_is_set_back_misses_nothing_that_comes_afterwards_and_repeats_no_firing() {
    let (rule, mut engine) = (rule(), Engine::default());
    let mut fired = Vec::new();
    let mut look = |engine: &mut Engine, now_s: i64, failing: &[i64]| {
        for end_s in engine.due(&rule, at(now_s)).ends_s {
            let measured = match failing.contains(&end_s) {
                true => Measured::from([(series(1), 1.0)]),
                false => Measured::new(),
            };
            let changes = engine.evaluate(&rule, end_s, &measured);
            let ids = changes.into_iter().filter(|change| change.kind == ChangeKind::Fired);
            fired.extend(ids.map(|change| change.alert_id));
        }
    };
    look(&mut engine, START_S, &[]);
    // It jumps two hours ahead; one alert fires and resolves there.
    look(&mut engine, START_S + 7_200, &[START_S + 3_600]);
    // It is set back; what comes now falls into minutes that were looked at.
    look(&mut engine, START_S + 60, &[]);
    look(&mut engine, START_S + 120, &[START_S + 120]);
    look(&mut engine, START_S + 180, &[]);
    // It goes on beyond the place of the alert that fired.
    look(&mut engine, START_S + 9_000, &[START_S + 3_600]);
    assert_eq!(fired.len(), 2, "{fired:?}");
    assert_eq!(fired.iter().collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn a_rule_that_does_not_resolve_fires_each_time_unless_it_is_muted() {
    for (mute_s, expected) in [(0, 10), (300, 2)] {
        let rule = AlertRule { auto_resolve: false, mute_s, ..rule() };
        let mut engine = Engine::default();
        let mut fired = 0;
        for minute in 0..10 {
            let end_s = START_S + minute * 60;
            engine.due(&rule, at(end_s));
            let measured = Measured::from([(series(1), 3.0)]);
            fired += engine.evaluate(&rule, end_s, &measured).len();
        }
        assert_eq!(fired, expected, "muted for {mute_s} s");
    }
}

#[test]
fn a_value_below_its_threshold_fires_also_where_there_are_no_rows() {
    let rule = AlertRule { operator: Operator::LessThan, ..rule() };
    let mut engine = Engine::default();
    let none = Measured::from([("{}".to_owned(), 0.0)]);
    assert_eq!(engine.evaluate(&rule, START_S, &none).len(), 1);
    let some = Measured::from([("{}".to_owned(), 5.0)]);
    assert_eq!(engine.evaluate(&rule, START_S + 60, &some)[0].kind, ChangeKind::Resolved);
}

#[test]
fn what_fires_is_over_when_its_rule_goes() {
    let (rule, mut engine) = (rule(), Engine::default());
    let measured = Measured::from([(series(1), 3.0)]);
    let fired = engine.evaluate(&rule, START_S, &measured);
    assert!(engine.keep_only(|id| id == "rule", at(START_S + 30)).is_empty());
    let over = engine.keep_only(|_| false, at(START_S + 30));
    let [change] = &over[..] else { panic!("{over:?}") };
    assert_eq!((change.kind, &change.alert_id), (ChangeKind::Resolved, &fired[0].alert_id));
    assert_eq!((change.window_end_s, change.value), (START_S + 30, None));
    assert_eq!(engine, Engine::default());
}

#[test]
fn combinations_beyond_the_bound_are_left_out_and_that_shows() {
    let (rule, mut engine) = (rule(), Engine::default());
    let many: Measured = (0..3_000).map(|name| (series(name), 1.0)).collect();
    assert_eq!(engine.evaluate(&rule, START_S, &many).len(), super::engine::SERIES_MAX);
    assert!(engine.is_full(&rule));
}

fn change(alert: usize, kind: ChangeKind) -> Change {
    Change {
        kind,
        alert_id: format!("{alert:032x}"),
        rule_id: "rule".into(),
        dimensions: "{\"CallerIpAddress\":\"10.0.0.1\"}".into(),
        value: Some(7.0),
        window_start_s: START_S - 300,
        window_end_s: START_S,
        fired_at_s: START_S,
        is_test: false,
    }
}

/// The sink is down for an hour, and the process restarts again and again meanwhile.
#[test]
fn deliveries_survive_a_sink_that_is_down_for_an_hour_and_restarts_and_come_once_in_order() {
    let mut state = State::default();
    let mut arrived: Vec<String> = Vec::new();
    let mut attempts = 0;
    for second in 0..7_200 {
        let now = at(START_S + second);
        if second < 1_800 && second % 60 == 0 {
            let alert = second as usize / 60;
            state.outbox.put("hook", &change(alert, ChangeKind::Fired), now);
            state.outbox.put("hook", &change(alert, ChangeKind::Resolved), now);
            // The same again is the same.
            state.outbox.put("hook", &change(alert, ChangeKind::Fired), now);
        }
        let is_up = second >= 3_600;
        for delivery in state.outbox.due(now) {
            attempts += 1;
            if is_up {
                arrived.push(delivery.key.clone());
                state.outbox.delivered(&delivery.key);
            } else {
                assert_eq!(state.outbox.failed(&delivery.key, now, false), Fate::Retry);
            }
        }
        if second % 97 == 0 {
            state = State::parse(&serde_json::to_string(&state).unwrap()).unwrap();
        }
    }
    assert!(state.outbox.is_empty());
    assert_eq!(arrived.len(), 60);
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), 60, "none came twice");
    for alert in 0..30 {
        let place = |kind: &str| {
            arrived.iter().position(|key| *key == format!("hook/{alert:032x}/{kind}")).unwrap()
        };
        assert!(place("fired") < place("resolved"));
    }
    // Doubling pauses: an hour of each alert's first delivery takes far fewer attempts than seconds.
    assert!(attempts < 30 * 25 + 60, "{attempts} attempts");
}

#[test]
fn the_outbox_is_bounded_gives_up_what_is_refused_and_what_is_too_old() {
    let mut outbox = Outbox::default();
    let mut lost = 0;
    for alert in 0..super::outbox::DELIVERIES_MAX + 10 {
        lost += usize::from(
            outbox.put("hook", &change(alert, ChangeKind::Fired), at(START_S)).is_some(),
        );
    }
    assert_eq!((outbox.len(), lost), (super::outbox::DELIVERIES_MAX, 10));
    let first = outbox.due(at(START_S))[0].key.clone();
    assert_eq!(outbox.failed(&first, at(START_S), true), Fate::GivenUp);
    let next = outbox.due(at(START_S))[0].key.clone();
    assert_eq!(outbox.failed(&next, at(START_S + 4 * 86_400), false), Fate::GivenUp);
}

#[test]
fn a_state_of_every_version_opens_and_a_newer_one_says_so() {
    let fixture = include_str!("../../testdata/alerts_v1.json");
    let state = State::parse(fixture).expect("version 1 opens");
    assert_eq!(state.engine.firing("rule").len(), 1);
    assert_eq!(state.outbox.len(), 1);
    let newer = State::parse("{\"version\":99}").expect_err("it is newer");
    assert!(newer.contains("update it"), "{newer}");
}

#[test]
fn the_common_alert_schema_has_every_field_that_receivers_read() {
    let rule = AlertRule { severity: 1, dimensions: vec!["CallerIpAddress".into()], ..rule() };
    let told =
        common_schema(&rule, &change(1, ChangeKind::Resolved), "https://p/", at(START_S + 60));
    assert_eq!(told["schemaId"], "azureMonitorCommonAlertSchema");
    let essentials = &told["data"]["essentials"];
    for field in [
        "alertId",
        "alertRule",
        "severity",
        "signalType",
        "monitorCondition",
        "monitoringService",
        "alertTargetIDs",
        "configurationItems",
        "originAlertId",
        "firedDateTime",
        "resolvedDateTime",
        "description",
        "essentialsVersion",
        "alertContextVersion",
        "targetResourceType",
        "investigationLink",
    ] {
        assert!(!essentials[field].is_null(), "{field}");
    }
    assert_eq!(essentials["severity"], "Sev1");
    assert_eq!(essentials["monitorCondition"], "Resolved");
    let condition = &told["data"]["alertContext"]["condition"];
    assert_eq!(condition["windowSize"], "PT1M");
    let criterion = &condition["allOf"][0];
    assert_eq!(criterion["threshold"], "1");
    assert_eq!(criterion["metricValue"], 7.0);
    assert_eq!(criterion["dimensions"][0]["value"], "10.0.0.1");
    assert_eq!(criterion["failingPeriods"]["minFailingPeriodsToAlert"], 1);
    assert!(told.to_string().len() < 262_144);
}

#[test]
fn lines_to_chats_stay_one_line_and_mean_nothing_to_them() {
    let mut hostile = change(1, ChangeKind::Fired);
    hostile.dimensions = "{\"User\":\"a\\r\\nBcc: x <!channel> & \"}".into();
    let line = super::payload::headline(&rule(), &hostile);
    assert!(!line.contains(['\r', '\n']), "{line}");
    let slack = super::payload::slack(&rule(), &hostile, "").to_string();
    assert!(!slack.contains("<!channel>"), "{slack}");
}

#[test]
fn built_in_rules_are_valid_and_have_what_was_asked_for() {
    let rules = builtin_rules();
    for rule in &rules {
        rule.validate().unwrap_or_else(|why| panic!("{}: {why}", rule.id));
        AlertsConfig::default()
            .check_known(rule)
            .unwrap_or_else(|why| panic!("{}: {why}", rule.id));
        assert!(!rule.description.is_empty(), "{} says nothing", rule.id);
    }
    for id in [
        "quota-50",
        "quota-80",
        "quota-100",
        "error-ratio",
        "backend-down",
        "audit-stopped",
        "audit-unsigned",
        "unusual-spend",
        "key-expiry",
        "certificate-expiry",
        "refused-callers",
    ] {
        assert!(rules.iter().any(|rule| rule.id == id), "no rule {id}");
    }
}

#[test]
fn rules_that_contradict_themselves_are_refused_with_the_fix() {
    let wrong = |change: fn(&mut AlertRule), expected: &str| {
        let mut config = AlertsConfig { rules: vec![rule()], ..AlertsConfig::default() };
        change(&mut config.rules[0]);
        let why = config.validate().expect_err(expected);
        assert!(why.contains(expected), "{why}");
    };
    wrong(|rule| rule.id = "a b".into(), "letters");
    wrong(|rule| rule.query.clear(), "looks at nothing");
    wrong(|rule| rule.metric = "gatehouse_backend_up".into(), "one of them");
    wrong(|rule| rule.window_s = 10, "would be missed");
    wrong(|rule| rule.failing_periods = 2, "evaluation_periods");
    wrong(|rule| rule.sinks = vec!["nowhere".into()], "add it under alerts.sinks");
    wrong(|rule| rule.severity = 9, "0 to 4");
    let metric = |rule: &mut AlertRule| {
        rule.query.clear();
        rule.metric = "gatehouse_nothing".into();
    };
    wrong(metric, "no gauge of /metrics");
}

#[test]
fn windows_are_written_as_iso_durations() {
    for (seconds, text) in [(60, "PT1M"), (3_600, "PT1H"), (172_800, "P2D"), (90, "PT90S")] {
        assert_eq!(iso_duration(seconds), text);
    }
}

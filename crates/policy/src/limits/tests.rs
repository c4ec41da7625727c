//! Windows against a model that remembers everything, and the words of refusals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{KeyHasher, ProductConfig, Rules, SubscriptionConfig};

const SECOND: i64 = 1_000_000;
/// Wednesday, 2026-11-25T14:30:00Z.
const NOON: i64 = 1_795_617_000 * SECOND;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.unix_micros()).expect("in range").to_string()
}

#[test]
fn periods_begin_and_end_with_the_calendar() {
    for (period, end) in [
        (QuotaPeriod::Hourly, "2026-11-25T15:00:00Z"),
        (QuotaPeriod::Daily, "2026-11-26T00:00:00Z"),
        (QuotaPeriod::Weekly, "2026-11-30T00:00:00Z"),
        (QuotaPeriod::Monthly, "2026-12-01T00:00:00Z"),
        (QuotaPeriod::Yearly, "2027-01-01T00:00:00Z"),
    ] {
        let window = Window::Fixed(period);
        assert_eq!(text(window.ends_at(at(NOON))), end);
        assert_eq!(Window::from_name(&window.to_string()), Some(window));
        let mut counter = Counter::new(window);
        counter.add(at(NOON), 7);
        let ends = window.ends_at(at(NOON));
        assert_eq!(counter.used(at(ends.unix_micros() - 1)), 7);
        assert_eq!(counter.used(ends), 0);
        assert!(counter.slots().is_empty());
    }
}

/// One thing that happens: so many microseconds later, so much.
fn steps() -> impl Strategy<Value = Vec<(i64, u64, u64)>> {
    prop::collection::vec((0..20 * SECOND, 0..1000u64, 0..2000u64), 1..80)
}

proptest! {
    #[test]
    fn a_sliding_window_never_forgets_early_and_at_most_a_sixtieth_late(
        seconds in 1..=300u32, steps in steps(),
    ) {
        let window = Window::Sliding(seconds);
        let length = i64::from(seconds) * SECOND;
        let mut counter = Counter::new(window);
        let mut all: Vec<(i64, u64)> = Vec::new();
        let mut now = NOON;
        for (later, amount, _) in steps {
            now += later;
            counter.add(at(now), amount);
            all.push((now, amount));
            let sum = |length: i64| -> u64 {
                all.iter().filter(|(when, _)| when + length > now).map(|(_, amount)| amount).sum()
            };
            let used = counter.used(at(now));
            prop_assert!(used >= sum(length));
            prop_assert!(used <= sum(length + length / 60 + 1));
            prop_assert!(counter.slots().len() <= 62);
            let room = used / 2;
            let free = counter.at_most_from(room, at(now));
            prop_assert!(counter.clone().used(free) <= room);
            if free > at(now) {
                prop_assert!(counter.clone().used(at(free.unix_micros() - 1)) > room);
            }
        }
    }

    #[test]
    fn a_fixed_window_is_the_sum_of_its_period(steps in steps(), speed in 1..5000i64) {
        let mut counter = Counter::new(Window::Fixed(QuotaPeriod::Daily));
        let mut days: BTreeMap<i64, u64> = BTreeMap::new();
        let mut now = NOON;
        for (later, reserved, used) in steps {
            now += later * speed;
            let day = |now: i64| now.div_euclid(86_400 * SECOND);
            let then = now;
            counter.add(at(then), reserved);
            now += later;
            counter.settle((at(then), reserved), at(now), used);
            *days.entry(day(then)).or_default() += reserved;
            if used < reserved {
                *days.entry(day(then)).or_default() -= reserved - used;
            } else {
                *days.entry(day(now)).or_default() += used - reserved;
            }
            days.entry(day(now)).or_default();
            prop_assert_eq!(counter.used(at(now)), days[&day(now)]);
        }
    }

    #[test]
    fn what_is_let_in_never_exceeds_the_limit_by_more_than_one_call_lacks(
        most in 1..5000u64,
        calls in prop::collection::vec((0..400u64, 0..400u64, any::<bool>()), 1..60),
    ) {
        let (mut used, mut in_flight) = (0u64, Vec::<(u64, u64, bool)>::new());
        let mut spent = 0;
        let mut lacking_max = 0;
        for (firm, soft, ends) in calls {
            let has_short = in_flight.iter().any(|(_, _, is_short)| *is_short);
            let need = Need { firm, soft };
            match need.fit(used, most, !has_short) {
                Fit::Whole(amount) => {
                    used += amount;
                    in_flight.push((amount, firm + soft, false));
                }
                Fit::Short(amount) => {
                    used += amount;
                    lacking_max = lacking_max.max(firm + soft - amount);
                    in_flight.push((amount, firm + soft, true));
                }
                Fit::No => {}
            }
            if ends && let Some((reserved, truth, _)) = in_flight.pop() {
                spent += truth;
                used = used + truth - reserved;
            }
        }
        spent += in_flight.iter().map(|(_, truth, _)| truth).sum::<u64>();
        // Every call used all that it may: still only what was short is over, one at a time.
        prop_assert!(spent <= most + lacking_max, "{} of {} and {}", spent, most, lacking_max);
    }
}

#[test]
fn counters_survive_their_slots() {
    let mut counter = Counter::new(Window::Sliding(60));
    for second in 0..90 {
        counter.add(at(NOON + second * SECOND), 5);
    }
    let stored = Counter::from_slots(Window::Sliding(60), counter.slots().to_vec());
    assert_eq!(stored, counter);
    assert_eq!(Applied::parse("tokens/60s|user=a"), Some((Measure::Tokens, Window::Sliding(60))));
    for other in ["", "tokens", "tokens/", "tokens/0s", "apples/daily", "calls/60"] {
        assert_eq!(Applied::parse(other), None, "{other}");
    }
}

fn exceeded(config: LimitConfig, seconds: Option<u64>) -> (u16, &'static str, String) {
    let limit = Limit::read(&config).expect("valid").remove(0);
    let wait = seconds.map(Duration::from_secs);
    let exceeded = Exceeded { counter: String::new(), limit: Arc::new(limit), wait };
    (exceeded.status(), exceeded.reason(), exceeded.message())
}

#[test]
fn refusals_speak_as_api_management_does() {
    let none = LimitConfig::default;
    let daily = Some(QuotaPeriod::Daily);
    let calls = exceeded(LimitConfig { calls: Some(1), ..none() }, Some(17));
    assert_eq!(calls.0, 429);
    assert_eq!(calls.1, "RateLimitExceeded");
    assert_eq!(calls.2, "Rate limit is exceeded. Try again in 17 seconds.");
    let tokens = exceeded(LimitConfig { tokens_per_minute: Some(100), ..none() }, Some(29));
    assert_eq!(tokens.0, 429);
    assert_eq!(tokens.1, "OpenAITokenLimitExceeded");
    assert_eq!(tokens.2, "Token limit is exceeded. Try again in 29 seconds.");
    let quota = LimitConfig { token_quota: Some(1), token_quota_period: daily, ..none() };
    let quota = exceeded(quota, Some(125));
    assert_eq!(quota.0, 403);
    assert_eq!(quota.1, "OpenAITokenLimitExceeded");
    assert_eq!(quota.2, "Token quota is exceeded. Try again in 2 minutes and 5 seconds.");
    let volume = LimitConfig { call_quota: Some(1), call_quota_period: daily, ..none() };
    let volume = exceeded(volume, Some(3_725));
    assert_eq!((volume.0, volume.1), (403, "QuotaExceeded"));
    assert_eq!(volume.2, "Out of call volume quota. Quota will be replenished in 01:02:05.");
}

fn rules(product: LimitConfig, own: LimitConfig) -> Result<Rules, String> {
    let hasher = KeyHasher::new(b"secret");
    let product = ProductConfig {
        id: "chat".into(),
        limits: vec![product],
        max_tokens: Some(500),
        ..ProductConfig::default()
    };
    let subscription = SubscriptionConfig {
        id: "team|a".into(),
        product: "chat".into(),
        primary_key_hash: hasher.hash("key").to_string(),
        limits: vec![own],
        max_tokens: Some(900),
        body_bytes_max: Some(10),
        ..SubscriptionConfig::default()
    };
    let rules = Rules::new(1, hasher, &[product], &[subscription]);
    rules.map_err(|error| error.to_string())
}

#[test]
fn several_limits_hold_at_once_and_the_strictest_on_one_counter() {
    let of_product = LimitConfig {
        tokens_per_minute: Some(100),
        calls: Some(10),
        counter_key: vec![KeyPart::Subscription, KeyPart::Deployment],
        ..LimitConfig::default()
    };
    let own = LimitConfig { tokens_per_minute: Some(70), ..of_product.clone() };
    let user = LimitConfig {
        money_quota_usd: Some(Usd { nanos: 5 }),
        money_quota_period: Some(QuotaPeriod::Monthly),
        counter_key: vec![KeyPart::User],
        ..LimitConfig::default()
    };
    let rules = rules(of_product, own).expect("valid").limited(&[user]).expect("valid");
    assert!(rules.count_tokens());
    let request = crate::Request { key: Some("key"), ..Default::default() };
    let allowance = crate::admit(&rules, &request).expect("admitted").allowance;
    assert_eq!((allowance.max_tokens, allowance.body_bytes_max), (Some(500), Some(10)));
    let call = CallKey { subscription: "team|a", deployment: "gpt-4o", ..CallKey::default() };
    let shown = |call: &CallKey<'_>, spends: bool| -> Vec<String> {
        let applied = allowance.applied(call, spends);
        let mut shown: Vec<String> = applied
            .iter()
            .map(|applied| format!("{} {}", applied.counter, applied.limit.amount))
            .collect();
        shown.sort();
        shown
    };
    assert_eq!(
        shown(&call, true),
        [
            "calls/60s|subscription=team%7Ca|deployment=gpt-4o 10",
            "nanodollars/monthly|no-user-subscription=team%7Ca 5",
            "tokens/60s|subscription=team%7Ca|deployment=gpt-4o 70",
        ]
    );
    assert_eq!(shown(&call, false).len(), 1, "what spends no tokens is counted in calls only");
    let lists = CallKey { subscription: "team|a", user: "ann", ..CallKey::default() };
    assert_eq!(shown(&lists, true), ["nanodollars/monthly|user=ann 5"]);
}

#[test]
fn a_limit_that_makes_no_sense_is_refused_with_the_fix() {
    let none = LimitConfig::default;
    for (config, fix) in [
        (none(), "it limits nothing"),
        (LimitConfig { calls: Some(0), ..none() }, "suspend the subscription"),
        (LimitConfig { token_quota: Some(5), ..none() }, "add its `…_period`"),
        (
            LimitConfig { money_quota_period: Some(QuotaPeriod::Daily), ..none() },
            "add `money_quota_usd`",
        ),
        (LimitConfig { calls: Some(1), renewal_period_s: 301, ..none() }, "use `call_quota`"),
        (
            LimitConfig { calls: Some(1), deployments: vec!["a".into()], ..none() },
            "needs `deployment` in `counter_key`",
        ),
        (
            LimitConfig {
                calls: Some(1),
                counter_key: vec![KeyPart::User, KeyPart::User],
                ..none()
            },
            "leave one out",
        ),
        (
            LimitConfig { calls: Some(1), retry_after_header_name: "a b".into(), ..none() },
            "cannot be a header's name",
        ),
    ] {
        let fine = LimitConfig { calls: Some(1), ..none() };
        let error = rules(config, fine).expect_err("refused");
        assert!(error.starts_with("product `chat`: limit 1: ") && error.contains(fix), "{error}");
    }
}

#[test]
fn dollars_are_read_exactly_and_within_bounds() {
    let read = |text: &str| serde_json::from_str::<Usd>(text).map(|usd| usd.nanos);
    assert_eq!(read("12.5").expect("dollars"), 12_500_000_000);
    assert_eq!(read("3").expect("dollars"), 3_000_000_000);
    assert_eq!(read("0.000000001").expect("dollars"), 1);
    for wrong in ["-1", "9000001", "1e300"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

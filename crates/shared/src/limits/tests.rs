//! Counters under many callers, over restarts, back from the ledger, and over two nodes.

mod nodes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event::{Charges, InteractionId, Record, Timestamp};
use ledger::{Ledger, LedgerConfig};
use policy::{Allowance, CallKey, Estimate, KeyHasher, LimitConfig, ProductConfig, Rules};
use policy::{QuotaPeriod, SubscriptionConfig, Used};
use proptest::prelude::*;

use super::*;
use crate::{Follower, Snapshot};

const SOON: Duration = Duration::from_secs(20);
const SECOND: i64 = 1_000_000;
const NOON: i64 = 1_795_617_000 * SECOND;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(NOON + seconds * SECOND)
}

fn allowance(limits: &[LimitConfig]) -> Arc<Allowance> {
    let hasher = KeyHasher::new(b"secret");
    let subscription = SubscriptionConfig {
        id: "team".into(),
        primary_key_hash: hasher.hash("key").to_string(),
        limits: limits.to_vec(),
        ..SubscriptionConfig::default()
    };
    let products: [ProductConfig; 0] = [];
    let rules = Rules::new(1, hasher, &products, &[subscription]).unwrap();
    let request = policy::Request { key: Some("key"), ..Default::default() };
    policy::admit(&rules, &request).unwrap().allowance
}

fn applied(limits: &[LimitConfig]) -> Vec<policy::Applied> {
    allowance(limits).applied(&CallKey { subscription: "team", ..CallKey::default() }, true)
}

fn quota(tokens: u64) -> LimitConfig {
    LimitConfig {
        token_quota: Some(tokens),
        token_quota_period: Some(QuotaPeriod::Daily),
        ..LimitConfig::default()
    }
}

fn asks(prompt_tokens: u64, completion_tokens: u64) -> Estimate {
    Estimate {
        prompt_tokens,
        completion_tokens_max: Some(completion_tokens),
        choices: 1,
        ..Estimate::default()
    }
}

fn spent(tokens: u64) -> Used {
    Used { calls: 1, tokens, ..Used::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_spend_no_more_than_the_budget_and_one_short_reservation() {
    const BUDGET: u64 = 50_000;
    const COMPLETION: u64 = 200;
    let limiter = Limiter::new();
    let limits = Arc::new(applied(&[quota(BUDGET)]));
    let total = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..64u64)
        .map(|caller| {
            let (limiter, limits) = (limiter.clone(), limits.clone());
            let (total, refused) = (total.clone(), refused.clone());
            tokio::spawn(async move {
                for call in 0..40 {
                    let prompt = 10 + (caller * 7 + call * 13) % 90;
                    let reserved =
                        limiter.reserve(limits.to_vec(), &asks(prompt, COMPLETION), at(0)).await;
                    let Ok(reservation) = reserved else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    tokio::task::yield_now().await;
                    // The worst case every third time, so that little is given back.
                    let answer =
                        if call % 3 == 0 { COMPLETION } else { (caller * call) % COMPLETION };
                    total.fetch_add(prompt + answer, Ordering::Relaxed);
                    reservation.settle(&spent(prompt + answer), at(1));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let total = total.load(Ordering::Relaxed);
    assert!(total <= BUDGET + COMPLETION, "{total}");
    assert!(total > BUDGET - 2 * COMPLETION, "the budget can be used up: {total}");
    assert!(refused.load(Ordering::Relaxed) > 0);
    assert_eq!(limiter.counters(at(2))[0].used, total, "what was spent is what is counted");
}

#[tokio::test]
async fn all_limits_let_a_call_in_or_none_counts_it() {
    let limiter = Limiter::new();
    let minute = LimitConfig { tokens_per_minute: Some(100), calls: Some(2), ..Default::default() };
    let limits = applied(&[minute, quota(150)]);
    let first = limiter.reserve(limits.clone(), &asks(50, 30), at(0)).await.unwrap();
    let mut settled = first.settle(&spent(60), at(1));
    settled.headers.sort();
    let shown: Vec<_> = settled.headers.iter().map(|(name, n)| format!("{name} {n}")).collect();
    assert_eq!(
        shown,
        [
            "remaining-calls 1",
            "remaining-quota-tokens 90",
            "remaining-tokens 40",
            "tokens-consumed 60"
        ]
    );
    // It fits the quota but not the minute: nothing is counted anywhere.
    let before = limiter.counters(at(2));
    let refused = limiter.reserve(limits.clone(), &asks(50, 30), at(2)).await.unwrap_err();
    assert_eq!((refused.status(), refused.seconds()), (429, 59));
    assert_eq!(limiter.counters(at(2)), before);
    // A minute later it fits, though only with what is left of the quota; then the quota is gone.
    let second = limiter.reserve(limits.clone(), &asks(50, 80), at(62)).await.unwrap();
    second.settle(&spent(95), at(63));
    let refused = limiter.reserve(limits, &asks(1, 1), at(200)).await.unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (403, "OpenAITokenLimitExceeded"));
    assert_eq!(limiter.counters(at(200))[0].used, 155, "over by what the short one lacked");
}

#[tokio::test]
async fn a_session_is_exhausted_by_tokens_and_not_by_calls() {
    let limiter = Limiter::new();
    let calls = LimitConfig { calls: Some(1), ..Default::default() };
    let limits = applied(&[calls, quota(100)]);
    let mut session = limiter.reserve(limits.clone(), &asks(0, 0), at(0)).await.unwrap();
    session.add(&Used { calls: 0, ..spent(99) }, at(1)).unwrap();
    assert!(!session.is_exhausted(at(1)));
    session.add(&Used { calls: 0, ..spent(30) }, at(2)).unwrap();
    assert!(session.is_exhausted(at(2)));
    session.settle(&spent(0), at(3));
    assert_eq!(
        limiter.counters(at(3)).iter().map(|state| state.used).collect::<Vec<_>>(),
        [1, 129]
    );
}

#[tokio::test]
async fn the_longest_wait_answers_and_a_prompt_above_the_limit_never_fits() {
    let limiter = Limiter::new();
    let minute = LimitConfig { tokens_per_minute: Some(10), ..Default::default() };
    let limits = applied(&[minute, quota(10)]);
    limiter.reserve(limits.clone(), &asks(10, 0), at(0)).await.unwrap().settle(&spent(10), at(0));
    let refused = limiter.reserve(limits.clone(), &asks(1, 0), at(1)).await.unwrap_err();
    assert!(refused.is_quota(), "the day lasts longer than the minute: {refused:?}");
    let never = limiter.reserve(limits, &asks(11, 0), at(1)).await.unwrap_err();
    assert_eq!(never.wait, None);
}

#[tokio::test]
async fn calls_in_flight_are_let_go_whatever_happens() {
    let limiter = Limiter::new();
    let limits = applied(&[LimitConfig { concurrency: Some(2), ..Default::default() }]);
    let nothing = asks(0, 0);
    let reserve = || limiter.reserve(limits.clone(), &nothing, at(0));
    let (one, two) = (reserve().await.unwrap(), reserve().await.unwrap());
    assert!(one.charges().is_none(), "what is in flight is not kept");
    let refused = reserve().await.unwrap_err();
    assert_eq!((refused.status(), refused.seconds()), (429, 1));
    assert!(refused.message().contains("2 calls are in flight"), "{}", refused.message());
    drop(one);
    two.settle(&spent(0), at(1));
    let _three = reserve().await.unwrap();
    let _four = reserve().await.unwrap();
    assert!(reserve().await.is_err());
}

#[tokio::test]
async fn a_dropped_reservation_counts_and_lets_the_next_short_one_in() {
    let limiter = Limiter::new();
    let limits = applied(&[quota(100)]);
    drop(limiter.reserve(limits.clone(), &asks(10, 20), at(0)).await.unwrap());
    assert_eq!(limiter.counters(at(0))[0].used, 30);
    let short = limiter.reserve(limits.clone(), &asks(10, 500), at(0)).await.unwrap();
    assert!(limiter.reserve(limits.clone(), &asks(10, 500), at(0)).await.is_err());
    short.settle(&spent(20), at(1));
    limiter.reserve(limits, &asks(10, 500), at(1)).await.unwrap();
}

fn open(dir: &Path) -> Ledger {
    let config = LedgerConfig { segment_bytes: 64 << 10, ..LedgerConfig::default() };
    Ledger::open(&dir.join("ledger"), config, || at(0)).unwrap().0
}

fn follow(ledger: &Ledger, dir: &Path, now: Timestamp) -> (Follower, Limiter) {
    let snapshot = Arc::new(Snapshot::open(dir.join("shared.redb")).unwrap());
    let projections: Vec<Box<dyn crate::Projection>> = vec![Box::new(LimitProjection::new())];
    let follower = Follower::start(ledger, snapshot.clone(), projections).unwrap();
    let limiter = Limiter::load(&snapshot, None, now).unwrap();
    (follower, limiter)
}

async fn keep(ledger: &Ledger, id: u8, charges: Option<Charges>) {
    let id = InteractionId::from_bytes([id; 16]);
    let frame = Record::Charges(Box::new(charges.unwrap())).encode(id);
    ledger.append([frame]).await.unwrap().durable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_forgets_nor_doubles_and_what_was_open_stays_counted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = applied(&[quota(10_000)]);
    let ledger = open(dir.path());
    let (follower, limiter) = follow(&ledger, dir.path(), at(0));
    let first = limiter.reserve(limits.clone(), &asks(100, 200), at(1)).await.unwrap();
    keep(&ledger, 1, first.charges()).await;
    // One is settled after the restart of the snapshot's follower, one never.
    let mut second = limiter.reserve(limits.clone(), &asks(10, 20), at(2)).await.unwrap();
    keep(&ledger, 2, second.charges()).await;
    assert!(follower.settle(SOON));
    drop(follower);
    let third = limiter.reserve(limits.clone(), &asks(1, 2), at(3)).await.unwrap();
    keep(&ledger, 3, third.charges()).await;
    keep(&ledger, 1, first.settle(&spent(150), at(4)).charges).await;
    keep(&ledger, 2, second.add(&spent(7), at(5))).await;
    assert_eq!(limiter.counters(at(5))[0].used, 150 + 30 + 7 + 3);
    drop((second, third));
    for _ in 0..2 {
        let (follower, limiter) = follow(&ledger, dir.path(), at(6));
        assert_eq!(limiter.counters(at(6))[0].used, 150 + 30 + 7 + 3);
        drop(follower);
    }
    let tomorrow = at(86_400);
    let (_follower, limiter) = follow(&ledger, dir.path(), tomorrow);
    assert!(limiter.counters(tomorrow).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_without_its_reservation_counts_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let limits = applied(&[quota(1_000)]);
    let ledger = open(dir.path());
    let (_follower, limiter) = follow(&ledger, dir.path(), at(0));
    // Its reservation never came to be kept.
    let lost = limiter.reserve(limits.clone(), &asks(100, 200), at(1)).await.unwrap();
    keep(&ledger, 1, lost.settle(&spent(40), at(2)).charges).await;
    drop((_follower, limiter));
    let (_follower, limiter) = follow(&ledger, dir.path(), at(3));
    assert_eq!(limiter.counters(at(3))[0].used, 40);
}

/// What happens to a call: how long it lasts, what it uses, whether its process dies first.
fn calls() -> impl Strategy<Value = Vec<(i64, u64, u64, bool)>> {
    prop::collection::vec((0..90i64, 1..50u64, 0..120u64, any::<bool>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_projection_counts_what_the_book_counts(calls in calls()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::open(dir.path().join("shared.redb")).unwrap();
        let minute = LimitConfig { tokens_per_minute: Some(100_000), ..Default::default() };
        let limits = applied(&[minute, quota(1_000_000)]);
        let limiter = Limiter::new();
        let mut now = 0;
        let mut frames = Vec::new();
        for (place, (lasts, prompt, used, dies)) in calls.iter().enumerate() {
            let estimate = asks(*prompt, 60);
            let reserved = runtime.block_on(limiter.reserve(limits.clone(), &estimate, at(now)));
            let reservation = reserved.unwrap();
            let mut all = vec![reservation.charges()];
            now += lasts;
            if !dies {
                all.push(reservation.settle(&spent(*used), at(now)).charges);
            }
            for charges in all {
                let id = InteractionId::from_bytes([place as u8; 16]);
                let frame = Record::Charges(Box::new(charges.unwrap())).encode(id);
                let (sequence, written_at) = (frames.len() as u64 + 1, at(now));
                frames.push(ledger::Entry::new(sequence, written_at, frame));
            }
        }
        let mut projection = LimitProjection::new();
        // In two batches, as a follower does.
        let (one, two) = frames.split_at(frames.len() / 2);
        for (cursor, batch) in [(1, one), (2, two)] {
            snapshot.write(cursor, |to| crate::Projection::apply(&mut projection, batch, to)).unwrap();
        }
        let loaded = Limiter::load(&snapshot, None, at(now)).unwrap();
        prop_assert_eq!(loaded.counters(at(now)), limiter.counters(at(now)));
    }
}

//! What a subscription may use: what it is told, what it is refused, and what is counted.

use std::sync::Arc;
use std::time::Duration;

use event::{ChargeStep, Outcome};
use gateway::ErrorShape;
use policy::{
    KeyHasher, KeyPart, LimitConfig, Prices, QuotaPeriod, Rules, SubscriptionConfig, Usd,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::support::{Answer, CHAT, HELLO, KEY, Setup, World, post, scripted, simulator};

/// Rules under which the only subscription has these limits.
fn limited(change: impl FnOnce(&mut SubscriptionConfig)) -> Option<Rules> {
    let hasher = KeyHasher::new(b"a secret of thirty-two bytes.....");
    let mut subscription = SubscriptionConfig {
        id: "team".into(),
        primary_key_hash: hasher.hash(KEY).to_string(),
        ..SubscriptionConfig::default()
    };
    change(&mut subscription);
    let rules = Rules::new(3, hasher, &[], &[subscription]).unwrap();
    Some(rules.priced(Arc::new(Prices::builtin())))
}

fn by(limit: LimitConfig) -> Option<Rules> {
    limited(|subscription| subscription.limits = vec![limit])
}

async fn world(urls: &[String], rules: Option<Rules>) -> World {
    let mut setup = Setup::before(urls);
    setup.rules = rules;
    setup.start().await
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.headers[name].to_str().unwrap().parse().unwrap()
}

fn total_tokens(answer: &Answer) -> u64 {
    answer.json()["usage"]["total_tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_rate_get_429_in_api_managements_words_and_are_records() {
    let backend = simulator().await;
    let rate = LimitConfig { calls: Some(2), renewal_period_s: 300, ..LimitConfig::default() };
    for shape in [ErrorShape::Openai, ErrorShape::ApiManagement] {
        let mut setup =
            Setup::before(&[backend.url()]).with(|config| config.edge.error_shape = shape);
        setup.rules = by(rate.clone());
        let world = setup.start().await;
        for left in [1, 0] {
            let answer = world.post(CHAT, HELLO).await;
            assert_eq!((answer.status, number(&answer, "remaining-calls")), (200, left));
        }
        let sent = backend.requests();
        let answer = world.post(CHAT, HELLO).await;
        assert_eq!(answer.status, 429);
        let wait = number(&answer, "retry-after");
        assert!((290..=305).contains(&wait), "{wait}");
        let wait_ms = number(&answer, "retry-after-ms");
        assert!(wait_ms <= wait * 1000 && wait_ms > (wait - 1) * 1000, "{wait} {wait_ms}");
        assert!(!answer.headers.contains_key("x-should-retry"), "coming back helps");
        let said = format!("Rate limit is exceeded. Try again in {wait} seconds.");
        let json = answer.json();
        let (message, code) = match shape {
            ErrorShape::Openai => (&json["error"]["message"], &json["error"]["code"]),
            ErrorShape::ApiManagement => {
                (&json["message"], &serde_json::json!("RateLimitExceeded"))
            }
        };
        assert_eq!((message, code), (&said.into(), &"RateLimitExceeded".into()));
        assert_eq!(backend.requests(), sent, "it went nowhere");
        let stories = world.ended(3).await;
        let (end, charges) = (stories[2].end(), &stories[2].charges);
        assert_eq!((end.outcome, end.status, charges.len()), (Outcome::Refused, 429, 0));
        assert_eq!(end.errors[0].reason, "RateLimitExceeded");
        assert!(end.errors[0].message.contains("calls/300s|subscription=team"), "{:?}", end.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_settled_by_the_answer_and_a_used_up_quota_gets_403() {
    let backend = simulator().await;
    let quota = LimitConfig {
        tokens_per_minute: Some(100_000),
        token_quota: Some(60),
        token_quota_period: Some(QuotaPeriod::Yearly),
        retry_after_header_name: "x-wait".into(),
        ..LimitConfig::default()
    };
    let world = world(&[backend.url()], by(quota)).await;
    let mut used = 0;
    let refused = loop {
        let answer = world.post(CHAT, HELLO).await;
        if answer.status != 200 {
            break answer;
        }
        used += total_tokens(&answer);
        assert_eq!(number(&answer, "tokens-consumed"), total_tokens(&answer));
        assert_eq!(number(&answer, "remaining-quota-tokens"), 60u64.saturating_sub(used));
        assert_eq!(number(&answer, "remaining-tokens"), 100_000 - used);
    };
    assert!(used > 30, "{used}");
    assert_eq!((refused.status, refused.code().as_str()), (403, "OpenAITokenLimitExceeded"));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Token quota is exceeded. Try again in "), "{message}");
    assert!(message.ends_with(" seconds."), "{message}");
    assert_eq!(refused.headers["x-should-retry"], "false");
    assert_eq!(number(&refused, "retry-after"), number(&refused, "x-wait"));
    let stories = world.stories();
    let settled: u64 = stories
        .iter()
        .flat_map(|story| &story.charges)
        .filter(|charges| charges.step == ChargeStep::Settled)
        .flat_map(|charges| charges.charges.iter())
        .filter(|charge| charge.counter == "tokens/yearly|subscription=team")
        .map(|charge| charge.amount)
        .sum();
    assert_eq!(settled, used, "what was charged stands in the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_spend_no_more_than_their_budget_and_one_short_reservation() {
    const BUDGET: u64 = 2_000;
    const ANSWER: u64 = 40;
    let backend = simulator().await;
    let quota = LimitConfig {
        token_quota: Some(BUDGET),
        token_quota_period: Some(QuotaPeriod::Yearly),
        ..LimitConfig::default()
    };
    let world = Arc::new(world(&[backend.url()], by(quota)).await);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let world = world.clone();
            tokio::spawn(async move {
                let (mut used, mut refused) = (0, 0);
                for call in 0..6 {
                    let is_stream = (caller + call) % 2 == 0;
                    let body = serde_json::json!({
                        "messages": [{"role": "user", "content": format!("hello {caller} {call}")}],
                        "max_tokens": ANSWER, "stream": is_stream,
                        "stream_options": is_stream.then(|| serde_json::json!({"include_usage": true})),
                    });
                    let answer = world.post(CHAT, &body.to_string()).await;
                    match (answer.status, is_stream) {
                        (200, false) => used += total_tokens(&answer),
                        (200, true) => used += usage_of_stream(&answer.text()),
                        (403, _) => refused += 1,
                        other => panic!("{other:?}: {}", answer.text()),
                    }
                }
                (used, refused)
            })
        })
        .collect();
    let (mut used, mut refused) = (0, 0);
    for caller in callers {
        let (more, no) = caller.await.unwrap();
        used += more;
        refused += no;
    }
    assert!(used <= BUDGET + ANSWER, "{used}");
    assert!(used > BUDGET - 3 * ANSWER && refused > 0, "the budget is used up: {used} {refused}");
}

fn usage_of_stream(text: &str) -> u64 {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let json = events.filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok());
    json.filter_map(|event| event["usage"]["total_tokens"].as_u64()).next_back().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_gives_back_what_it_had_set_aside() {
    let failing = scripted(|_, mut stream| async move {
        let answer = "HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let limit =
        LimitConfig { calls: Some(10), tokens_per_minute: Some(100_000), ..LimitConfig::default() };
    let world = world(&[failing.await], by(limit)).await;
    for call in 1..=2 {
        let answer = world.post(CHAT, HELLO).await;
        assert_eq!((answer.status, number(&answer, "remaining-tokens")), (500, 100_000));
        assert_eq!(number(&answer, "remaining-calls"), 10 - call, "the backend was called");
    }
    let stories = world.ended(2).await;
    let steps: Vec<_> = stories[0].charges.iter().map(|charges| charges.step).collect();
    assert_eq!(steps, [ChargeStep::Reserved, ChargeStep::Settled]);
    assert!(stories[0].charges[0].charges.iter().any(|charge| charge.amount > 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_usage_is_estimated_and_marked_so() {
    let streaming = scripted(|_, mut stream| async move {
        let mut answer =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                .to_owned();
        for _ in 0..20 {
            answer.push_str("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        }
        answer.push_str("data: [DONE]\n\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let limit = LimitConfig { tokens_per_minute: Some(100_000), ..LimitConfig::default() };
    let world = world(&[streaming.await], by(limit)).await;
    let body = r#"{"stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
    let answer = world.post(CHAT, body).await;
    assert_eq!(answer.status, 200);
    assert!(number(&answer, "remaining-tokens") < 99_000, "what is set aside is gone meanwhile");
    assert!(!answer.headers.contains_key("tokens-consumed"), "nobody knows yet");
    let story = world.ended(1).await.remove(0);
    let settled = &story.charges[1];
    assert!(settled.is_estimated && settled.step == ChargeStep::Settled);
    let tokens = settled.charges[0].amount;
    assert!((20..=40).contains(&tokens), "a prompt of 8 and some 20 events: {tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_counted_beforehand_only_where_room_is_scarce_or_it_holds_more_than_text() {
    let backend = simulator().await;
    let picture = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}]}"#;
    let bytes = u64::try_from(HELLO.len()).unwrap();
    for (per_minute, body, want) in [
        (100_000, HELLO, bytes..=bytes),
        (bytes * 64 - 1, HELLO, 8..=10),
        (100_000, picture, 765..=800),
    ] {
        let limit = LimitConfig {
            tokens_per_minute: Some(per_minute),
            completion_tokens_assumed: 100,
            ..LimitConfig::default()
        };
        let world = world(&[backend.url()], by(limit)).await;
        let answer = world.post(CHAT, body).await;
        assert_eq!(answer.status, 200);
        let story = world.ended(1).await.remove(0);
        let [reserved, settled] = &story.charges[..] else { panic!("{:?}", story.charges) };
        let prompt = reserved.charges[0].amount - 100;
        assert!(want.contains(&prompt), "{prompt} of {per_minute}: {body}");
        assert_eq!(settled.charges[0].amount, total_tokens(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_limited_and_let_go_when_they_end_or_are_left() {
    let go = Arc::new(Semaphore::new(0));
    let waiting = {
        let go = go.clone();
        scripted(move |_, mut stream| {
            let go = go.clone();
            async move {
                go.acquire().await.unwrap().forget();
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                // The client may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
    };
    let limit = LimitConfig { concurrency: Some(1), ..LimitConfig::default() };
    let world = Arc::new(world(&[waiting.await], by(limit)).await);
    for is_left in [false, true] {
        let first = {
            let world = world.clone();
            tokio::spawn(async move { world.post(CHAT, HELLO).await.status })
        };
        let refused = loop {
            let in_flight = world.gateway.status().in_flight;
            if in_flight > 0 {
                let answer = tokio::time::timeout(Duration::from_secs(1), world.post(CHAT, HELLO));
                match answer.await {
                    Ok(answer) => break answer,
                    // Ours came first, and waits: let it end, and try again.
                    Err(_) => go.add_permits(1),
                }
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((refused.status, refused.code().as_str()), (429, "RateLimitExceeded"));
        assert_eq!(number(&refused, "retry-after"), 1);
        if is_left {
            first.abort();
        }
        go.add_permits(1);
        let _ = first.await;
        while world.gateway.status().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    }
    go.add_permits(1);
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_counted_by_the_price_list() {
    let backend = simulator().await;
    let limit = LimitConfig {
        money_quota_usd: Some(Usd { nanos: 40_000 }),
        money_quota_period: Some(QuotaPeriod::Monthly),
        counter_key: vec![KeyPart::Subscription, KeyPart::Deployment],
        ..LimitConfig::default()
    };
    let world = world(&[backend.url()], by(limit)).await;
    let body = r#"{"max_tokens":1,"messages":[{"role":"user","content":"hello"}]}"#;
    let first = world.post(CHAT, body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let usage = &first.json()["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap();
    // Dollars per million: 2.50 for input, 10.00 for output.
    let want = tokens("prompt_tokens") * 2_500 + tokens("completion_tokens") * 10_000;
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.charges[1].charges[0].amount, want);
    assert_eq!(
        story.charges[1].charges[0].counter,
        "nanodollars/monthly|subscription=team|deployment=gpt-4o"
    );
    let second = world.post(CHAT, body).await;
    assert_eq!((second.status, second.code().as_str()), (403, "QuotaExceeded"), "{want}");
    let message = second.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Out of cost quota. Quota will be replenished in "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_answer_tokens_too_long_bodies_and_other_models_are_refused() {
    let backend = simulator().await;
    let rules = limited(|subscription| {
        subscription.max_tokens = Some(50);
        subscription.body_bytes_max = Some(200);
        subscription.deployments = vec!["gpt-4o".into()];
    });
    let world = world(&[backend.url()], rules).await;
    let ask = |most: u32| {
        format!(r#"{{"max_tokens":{most},"messages":[{{"role":"user","content":"hi"}}]}}"#)
    };
    assert_eq!(world.post(CHAT, &ask(50)).await.status, 200);
    let refused = world.post(CHAT, &ask(51)).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "MaxTokensTooLarge"));
    assert!(refused.text().contains("at most 50"), "{}", refused.text());
    let long = world.post(CHAT, &format!("{}{}", ask(1), " ".repeat(200))).await;
    assert_eq!((long.status, long.code().as_str()), (413, "RequestBodyTooLarge"));
    let other = CHAT.replace("gpt-4o", "gpt-4o-mini");
    let denied = world.post(&other, &ask(1)).await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "DeploymentNotAllowed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_no_tokens_passes_although_they_are_used_up() {
    let backend = simulator().await;
    let limit = LimitConfig {
        token_quota: Some(1),
        token_quota_period: Some(QuotaPeriod::Yearly),
        ..LimitConfig::default()
    };
    let world = world(&[backend.url()], by(limit)).await;
    let never = world.post(CHAT, HELLO).await;
    assert_eq!(never.status, 403);
    assert!(never.text().contains("The prompt alone has more tokens"), "{}", never.text());
    let mut list = post("/openai/v1/models", "");
    *list.method_mut() = http::Method::GET;
    assert_eq!(world.call(list).await.status, 200);
}

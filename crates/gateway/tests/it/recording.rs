//! The invariants of the record.

use std::io::ErrorKind;
use std::time::Duration;

use event::Outcome;
use http_body_util::BodyExt;
use ledger::Durability;
use ledger::fault::Call;
use tokio::io::AsyncWriteExt;

use crate::support::{
    CHAT, HELLO, HELLO_STREAM, LIMIT, Setup, post, scripted, simulator, with_header,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_whole_and_the_backend_sees_the_bytes_unchanged() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let answer = world.post(CHAT, HELLO).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let story = world.story();
    let opened = story.start();
    assert_eq!(opened.target.operation_id, "ChatCompletions_Create");
    assert_eq!(
        (opened.target.deployment.as_str(), opened.target.kind.as_str()),
        ("gpt-4o", "chat")
    );
    assert_eq!((opened.subscription_id.as_str(), opened.user_id.as_str()), ("team", "ann"));
    assert_eq!(opened.url, format!("http://gateway.test{CHAT}"));
    assert_eq!((opened.rules_version, opened.protocol.as_str()), (7, "HTTP/1.1"));
    assert_eq!(opened.caller.caller_ip, "127.0.0.1");
    assert_eq!(story.request, HELLO.as_bytes());
    assert_eq!(story.response, answer.body);
    assert_eq!((story.answered.len(), story.answered[0].status), (1, 200));
    assert_eq!(story.dispatched[0].backend_id, "b0");
    assert_eq!(story.dispatched[0].url, format!("{}{CHAT}", backend.url()));
    let end = story.end();
    assert_eq!((end.outcome, end.status), (Outcome::Complete, 200));
    assert!(end.first_byte_ms.is_some() && end.request_bytes > HELLO.len() as u64);
    assert!(end.response_bytes > answer.body.len() as u64);
    let received = &backend.received()[0];
    assert_eq!(received.body_start, HELLO.as_bytes());
    assert_eq!(received.target, CHAT);
    assert_eq!(received.headers["api-key"], "the-backends-own-key");
    let id = answer.headers["x-gatehouse-correlation-id"].to_str().unwrap();
    assert!(id.parse::<event::InteractionId>().is_ok(), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_a_backend_while_the_ledger_is_down_and_it_recovers_by_itself() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    world.disk.fail(Call::Sync, ErrorKind::Other);
    world.disk.fail(Call::Create, ErrorKind::Other);
    for _ in 0..2 {
        let answer = world.post(CHAT, HELLO).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "AuditLogUnavailable"));
        assert!(answer.headers.contains_key("retry-after"));
        assert!(answer.headers.contains_key("retry-after-ms"));
    }
    assert_eq!(backend.requests(), 0, "the start record is not durable");
    let (status, body) = world.gateway.health().answer("/readyz").unwrap();
    assert_eq!(status.as_u16(), 503);
    assert!(body.contains("ledger"), "{body}");
    world.disk.heal();
    let recovered = async {
        while world.post(CHAT, HELLO).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, recovered).await.expect("it recovers without a restart");
    for story in world.stories() {
        story.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_answer_waits_for_its_end_record() {
    let backend = simulator().await;
    for durability in [Durability::Strict, Durability::Overlap, Durability::Relaxed] {
        let mut setup = Setup::before(&[backend.url()]);
        setup.ledger.durability = durability;
        let world = setup.start().await;
        for (place, body) in [HELLO, HELLO_STREAM, HELLO, HELLO_STREAM].into_iter().enumerate() {
            let answer = world.post(CHAT, body).await;
            assert!(!answer.is_broken && answer.status == 200);
            // The answer is here, so the end record is kept: no waiting, but for `relaxed`.
            let stories = match durability {
                Durability::Relaxed => world.ended(place + 1).await,
                _ => world.stories(),
            };
            assert_eq!(stories.len(), place + 1, "{durability:?}");
            assert_eq!(stories[place].end().outcome, Outcome::Complete);
            assert_eq!(stories[place].response, answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_overlap_the_call_starts_before_its_record_is_kept_but_no_byte_of_the_answer_leaves() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(2);
    let url = scripted(move |_, mut stream| {
        let arrived = arrived.clone();
        async move {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(b"data: {}\n\ndata: [DONE]\n\n").await.unwrap();
            arrived.send(()).await.unwrap();
        }
    })
    .await;
    let mut setup = Setup::before(&[url]);
    setup.ledger.durability = Durability::Overlap;
    let world = setup.start().await;
    world.disk.hold(Call::Sync);
    let mut open = Box::pin(world.open(post(CHAT, HELLO_STREAM)));
    tokio::select! {
        answer = &mut open => panic!("its start is not kept, and yet: {answer:?}"),
        arrival = arrivals.recv() => arrival.unwrap(),
    }
    // The backend has answered in full; what the gateway does with it takes far less than this.
    let early = tokio::time::timeout(Duration::from_millis(300), &mut open).await;
    assert!(early.is_err(), "its start is not kept, and yet: {early:?}");
    world.disk.heal();
    let answer = tokio::time::timeout(LIMIT, open).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"data: {}\n\ndata: [DONE]\n\n");
    assert_eq!(world.stories()[0].end().outcome, Outcome::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_end_cannot_be_recorded_is_never_seen_as_complete() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "stall=300");
    let mut answer = world.open(request).await.into_body();
    let first = answer.frame().await.unwrap().unwrap();
    assert!(first.data_ref().is_some_and(|data| !data.is_empty()));
    world.disk.fail(Call::Sync, ErrorKind::Other);
    world.disk.fail(Call::Create, ErrorKind::Other);
    let mut text = Vec::new();
    let is_broken = loop {
        match answer.frame().await {
            Some(Ok(frame)) => text.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(is_broken, "the end was not withheld");
    assert!(!String::from_utf8_lossy(&text).contains("[DONE]"), "the last event was not withheld");
    world.disk.heal();
    let stories = world.ended(1).await;
    assert_ne!(stories[0].end().outcome, Outcome::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_pieces_may_be_lost_is_never_seen_as_complete() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "drip=200/50");
    let mut answer = world.open(request).await.into_body();
    answer.frame().await.unwrap().unwrap();
    // The disk fails once and is well again before the answer ends.
    world.disk.fail(Call::Sync, ErrorKind::Other);
    let is_broken = loop {
        if world.ledger.failures() > 0 {
            world.disk.heal();
        }
        match answer.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    world.disk.heal();
    assert!(is_broken, "the end was not withheld");
    let stories = world.ended(1).await;
    assert_eq!(stories[0].end().outcome, Outcome::GatewayFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_changes_the_outcome_and_not_the_recording() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "drip=200/5");
    let mut answer = world.open(request).await.into_body();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    let stories = world.ended(1).await;
    let story = &stories[0];
    assert_eq!(story.end().outcome, Outcome::ClientGone);
    let text = String::from_utf8_lossy(&story.response);
    assert!(text.trim_end().ends_with("[DONE]"), "the answer was read to its end: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_is_recorded_with_the_answer() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO), "x-sim-fault", "slow-head=300");
    let early = tokio::time::timeout(Duration::from_millis(100), world.open(request)).await;
    assert!(early.is_err(), "the head is slow");
    let stories = world.ended(1).await;
    let story = &stories[0];
    assert_eq!(story.end().outcome, Outcome::ClientGone);
    assert_eq!(story.answered.len(), 1);
    assert!(!story.response.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_read_on_within_limits_only() {
    let url = scripted(|_, mut stream| async move {
        use tokio::io::AsyncWriteExt;
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[7; 1000]).await.is_ok() {}
    })
    .await;
    let setup = Setup::before(&[url]).with(|config| config.capture.drain_bytes_max = 100_000);
    let world = setup.start().await;
    let mut answer = world.open(post(CHAT, HELLO)).await.into_body();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    let stories = world.ended(1).await;
    assert_eq!(stories[0].end().outcome, Outcome::ClientGone);
    // What was under way to the client when it left lay in the buffers of the sockets.
    assert!(stories[0].response.len() < 32 << 20, "{}", stories[0].response.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_streams_finish() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "stall=200");
    let mut answer = world.open(request).await.into_body();
    answer.frame().await.unwrap().unwrap();
    let address = world.address();
    let stopping = tokio::spawn(async move { world.gateway.shutdown().await });
    let rest = answer.collect().await.expect("the stream ends cleanly").to_bytes();
    assert!(rest.trim_ascii_end().ends_with(b"[DONE]"));
    tokio::time::timeout(LIMIT, stopping).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nothing new is accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_nowhere_in_the_record() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let target = format!("{CHAT}&subscription-key={}", crate::support::KEY);
    let request = with_header(post(&target, HELLO), "authorization", "Bearer another-secret");
    assert_eq!(world.call(request).await.status, 200);
    world.raw(format!("GET /x?api-key={} HTTP/9.9\r\n\r\n", crate::support::KEY).as_bytes()).await;
    let mut reader = world.ledger.reader(1).unwrap();
    let mut frames = 0;
    while let Some(entry) = reader.next(Duration::ZERO).unwrap() {
        frames += 1;
        let text = String::from_utf8_lossy(&entry.frame.payload).into_owned();
        for secret in [crate::support::KEY, "another-secret", "the-backends-own-key"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert!(frames >= 5);
    assert!(!backend.received()[0].target.contains("subscription-key"), "and not upstream");
}

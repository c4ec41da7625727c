//! Clients that break the rules of HTTP, or are too slow, or too many: refused, recorded, and others
//! are unhurt.

use event::Outcome;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{CHAT, HELLO, KEY, LIMIT, Setup, World, post, simulator};

/// A good call's head and body, without the line that says how long the body is.
fn call(lines: &str, body: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\ncontent-type: application/json\r\n{lines}\r\n{body}"
    )
}

fn good() -> String {
    call(&format!("content-length: {}\r\n", HELLO.len()), HELLO)
}

/// Reads until the connection closes.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    read.expect("the connection closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_right_behind_good_ones_is_answered_after_them() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let chunked = call(
        "transfer-encoding: chunked\r\n",
        &format!("{:x}\r\n{HELLO}\r\n0\r\nx-trailer: 1\r\n\r\n", HELLO.len()),
    );
    let all = [good(), chunked, good(), "GET nonsense\r\n\r\n".into()].concat();
    let answers = world.raw(all.as_bytes()).await;
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "200", "400"], "{answers}");
    let stories = world.stories();
    assert_eq!(stories.len(), 4);
    assert_eq!(stories[3].end().status, 400);
    assert_eq!(stories[3].start().url, "nonsense");
    assert_eq!(backend.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lengths_are_refused_even_if_they_agree() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let length = format!("content-length: {}\r\n", HELLO.len());
    let both = format!("{length}transfer-encoding: chunked\r\n");
    for lines in [format!("{length}{length}"), both] {
        let answer = world.raw(call(&lines, HELLO).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let story = world.stories().pop().unwrap();
        assert_eq!((story.end().status, story.end().outcome), (400, Outcome::Refused));
        let headers = &story.start().headers;
        let key = headers.read().first("api-key").unwrap();
        assert!(!key.contains(KEY), "keys are redacted");
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_that_is_none_is_refused_with_the_reason() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let answer =
        world.raw(call("transfer-encoding: chunked\r\n", "0x5\r\nhello\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("chunk's size"), "{answer}");
    assert_eq!(world.story().end().outcome, Outcome::Refused);
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_too_slowly_is_refused_and_recorded_and_rest_is_no_request() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.head_timeout_ms = 300;
            config.edge.idle_timeout_ms = 400;
        })
        .start()
        .await;
    let mut slow = TcpStream::connect(world.address()).await.unwrap();
    slow.write_all(&good().as_bytes()[..100]).await.unwrap();
    let answer = rest_of(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("edge.head_timeout_ms"), "{answer}");
    let story = world.story();
    assert_eq!((story.end().status, story.start().method.as_str()), (408, "POST"));
    let mut silent = TcpStream::connect(world.address()).await.unwrap();
    assert_eq!(rest_of(&mut silent).await, "");
    let mut resting = TcpStream::connect(world.address()).await.unwrap();
    resting.write_all(good().as_bytes()).await.unwrap();
    let answer = rest_of(&mut resting).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(world.stories().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_crumbs_is_refused_and_recorded() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.body_gap_timeout_ms = 400;
            config.edge.body_rate_min = 10_000;
        })
        .start()
        .await;
    let mut slow = TcpStream::connect(world.address()).await.unwrap();
    slow.write_all(call("content-length: 100000\r\n", "").as_bytes()).await.unwrap();
    // Each crumb comes well within the gap, but all of them together are too slow.
    let mut crumbs = tokio::time::interval(Duration::from_millis(40));
    let mut answer = [0; 12];
    let refused = tokio::time::timeout(LIMIT, async {
        loop {
            tokio::select! {
                read = slow.read_exact(&mut answer) => return read.unwrap(),
                _ = crumbs.tick() => slow.write_all(b" ").await.unwrap(),
            };
        }
    });
    refused.await.expect("it is refused in time");
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(world.story().end().status, 408);
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_do_not_hold_up_the_end() {
    let backend = simulator().await;
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = crate::transports::certificate(dir.path());
    for tls in [
        None,
        Some(gateway::TlsConfig { certificate_file, key_file, ..gateway::TlsConfig::default() }),
    ] {
        let world = Setup::before(&[backend.url()])
            .with(|config| config.edge.listeners[0].tls = tls)
            .start()
            .await;
        let address = world.address();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut begun = TcpStream::connect(address).await.unwrap();
        begun.write_all(b"\x16\x03\x01").await.unwrap();
        while world.gateway.status().connections < 2 {
            tokio::task::yield_now().await;
        }
        let World { gateway, .. } = world;
        let ended = tokio::time::timeout(Duration::from_secs(5), gateway.shutdown()).await;
        ended.expect("long before the drain timeout");
        drop((rest_of(&mut silent).await, begun.read(&mut [0; 1]).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_leave_a_good_caller_unhurt() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.head_timeout_ms = 3_000;
            config.edge.body_gap_timeout_ms = 3_000;
        })
        .start()
        .await;
    let mut slow = tokio::task::JoinSet::new();
    for place in 0..200 {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        let start = match place % 2 {
            0 => "POST /openai HTTP/1.1\r\nx: ".to_owned(),
            _ => call("content-length: 100000\r\n", "{"),
        };
        stream.write_all(start.as_bytes()).await.unwrap();
        slow.spawn(async move { rest_of(&mut stream).await });
    }
    for _ in 0..50 {
        assert_eq!(world.call(post(CHAT, HELLO)).await.status, 200);
    }
    for answer in slow.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let stories = world.ended(250).await;
    let late = stories.iter().filter(|story| story.end().status == 408).count();
    assert_eq!((late, stories.len()), (200, 250));
    assert_eq!(backend.requests(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.connections_per_address_max = 3;
            config.edge.trusted_proxies = vec!["127.0.0.9/32".parse().unwrap()];
        })
        .start()
        .await;
    let connect = async |ip: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((ip, 0).into()).unwrap();
        socket.connect(world.address()).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect([127, 0, 0, 5]).await);
    }
    let mut fourth = connect([127, 0, 0, 5]).await;
    // Nothing was written, so it is an end and no reset.
    assert_eq!(rest_of(&mut fourth).await, "");
    assert_eq!(world.gateway.status().connections_refused, 1);
    assert_eq!(world.call(post(CHAT, HELLO)).await.status, 200, "another address is served");
    for _ in 0..5 {
        held.push(connect([127, 0, 0, 9]).await);
    }
    held[0].write_all(good().as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    held[0].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK", "what is open is served");
    held[7].write_all(good().as_bytes()).await.unwrap();
    held[7].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK", "a trusted proxy has no such limit");
    drop(held);
    while world.gateway.status().connections > 1 {
        tokio::task::yield_now().await;
    }
    let mut again = connect([127, 0, 0, 5]).await;
    again.write_all(good().as_bytes()).await.unwrap();
    again.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

//! Answers pass unchanged and at once, but for their end.

use std::time::{Duration, Instant};

use event::Outcome;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use crate::support::{
    Answer, CHAT, HELLO, HELLO_STREAM, LIMIT, Setup, post, scripted, simulator, with_header,
};

#[tokio::test(flavor = "multi_thread")]
async fn no_piece_of_a_stream_waits_for_the_next() {
    // The backend sends a piece only after the client has seen the one before.
    let (seen, seen_by_backend) = tokio::sync::mpsc::channel::<()>(1);
    let seen_by_backend = std::sync::Arc::new(tokio::sync::Mutex::new(seen_by_backend));
    let url = scripted(move |_, mut stream| {
        let seen = seen_by_backend.clone();
        async move {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..5 {
                stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
                seen.lock().await.recv().await.unwrap();
            }
            stream.write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let mut body = world.open(post(CHAT, HELLO_STREAM)).await.into_body();
    for _ in 0..5 {
        let piece = tokio::time::timeout(LIMIT, body.frame()).await.expect("it passes at once");
        assert_eq!(piece.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
        seen.send(()).await.unwrap();
    }
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(rest, "data: [DONE]\n\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_event_does_not_wait_for_a_slow_close() {
    let url = scripted(|_, mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: [DONE]\n\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(LIMIT).await;
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let began = Instant::now();
    let mut body = world.open(post(CHAT, HELLO_STREAM)).await.into_body();
    let piece = tokio::time::timeout(LIMIT, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap(), "data: [DONE]\n\n");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_off_ends_a_stream_with_an_error_event() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "cut-after=1500");
    let answer = world.call(request).await;
    assert!(!answer.is_broken, "the stream ends cleanly");
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let event: serde_json::Value =
        serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(event["error"]["code"], "BackendConnectionFailure");
    let story = world.story();
    assert_eq!(story.end().outcome, Outcome::BackendFailed);
    assert_eq!(story.response.len(), 1500, "the backend's bytes, and nothing of ours");
    // The client got the whole events of it: SDKs give up at half an event, and never see the error.
    let response = String::from_utf8(story.response.clone()).unwrap();
    let whole = response.rfind("\n\n").unwrap() + 2;
    assert!(whole < response.len(), "it broke within an event");
    assert_eq!(format!("{}{}", &response[..whole], story.end().own_body), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_off_another_answer_breaks_it_for_the_client() {
    let url = scripted(|_, mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[1; 50_000]).await.unwrap();
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let answer = world.post(CHAT, HELLO).await;
    assert!(answer.is_broken);
    let stories = world.ended(1).await;
    assert_eq!(stories[0].end().outcome, Outcome::BackendFailed);
    assert_eq!(stories[0].response.len(), 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_that_breaks_off_is_a_clear_error() {
    let url = scripted(|_, mut stream| async move {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let answer = world.post(CHAT, HELLO).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "BackendConnectionFailure"));
    let story = world.story();
    assert_eq!((story.end().outcome, story.end().status), (Outcome::BackendFailed, 502));
    assert_eq!(story.response, b"{");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_pass_without_the_hop_by_hop_ones_and_encoded_bodies_as_they_are() {
    let url = scripted(|head, mut stream| async move {
        assert!(head.contains("accept-encoding: gzip\r\n"), "{head}");
        assert!(head.contains("x-ms-client-request-id: 77\r\n"), "{head}");
        assert!(!head.contains("expect"), "{head}");
        let answer = "HTTP/1.1 201 Created\r\ncontent-encoding: gzip\r\nconnection: close, x-hop\r\nx-hop: 1\r\napim-request-id: 9\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x01";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let request = with_header(post(CHAT, HELLO), "accept-encoding", "gzip");
    let answer = world.call(with_header(request, "x-ms-client-request-id", "77")).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body, "\x1f\x0b\x08\x01");
    assert_eq!(answer.headers["apim-request-id"], "9");
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!answer.headers.contains_key("x-hop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_pass_in_flat_memory() {
    const MEGABYTES: usize = 128;
    let url = scripted(|_, mut stream| async move {
        let length = MEGABYTES << 20;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![3; 1 << 16];
        for _ in 0..length / piece.len() {
            stream.write_all(&piece).await.unwrap();
        }
    })
    .await;
    let mut setup = Setup::before(&[url]);
    setup.ledger.queue_bytes_max = 4 << 20;
    let world = setup.start().await;
    let before = resident_bytes();
    let mut body = world.open(post(CHAT, HELLO)).await.into_body();
    let mut passed = 0;
    let mut most = 0;
    while let Some(frame) = body.frame().await {
        passed += frame.unwrap().data_ref().map_or(0, |data| data.len());
        most = most.max(resident_bytes());
    }
    assert_eq!(passed, MEGABYTES << 20);
    // Other tests of this binary run at the same time.
    assert!(most < before + (64 << 20), "{} MiB more", (most - before) >> 20);
    assert_eq!(world.story().response.len(), MEGABYTES << 20);
}

/// Memory of this process now.
pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_end() {
    let url = scripted(|_, mut stream| async move {
        stream.write_all(b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n").await.unwrap();
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let answer: Answer = world.post(CHAT, HELLO).await;
    assert_eq!(
        (answer.status, answer.body.len(), &answer.headers["x-a"]),
        (204, 0, &"b".parse().unwrap())
    );
    assert_eq!(world.story().end().outcome, Outcome::Complete);
}

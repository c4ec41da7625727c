//! Request bodies: long, chunked, in forms, abandoned.

use event::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answers::resident_bytes;
use simulator::Simulator;

use crate::support::{CHAT, KEY, Setup, read_head, simulator};

const FILES: &str = "/openai/files?api-version=2024-10-21";
const TRANSCRIPTIONS: &str =
    "/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21";

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_form_are_streamed_through() {
    const PIECES: usize = 2048;
    let backend = simulator().await;
    let mut setup = Setup::before(&[backend.url()]);
    setup.ledger.queue_bytes_max = 4 << 20;
    let world = setup.start().await;
    let before = resident_bytes();
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary=xyz\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut total = 0;
    let start = "--xyz\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--xyz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let piece = "\u{1}".repeat(1 << 16);
    let mut most = 0;
    for place in 0..PIECES + 2 {
        let data = match place {
            0 => start,
            place if place <= PIECES => &piece,
            _ => "\r\n--xyz--\r\n",
        };
        total += data.len();
        stream.write_all(format!("{:x}\r\n", data.len()).as_bytes()).await.unwrap();
        stream.write_all(data.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        most = most.max(resident_bytes());
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    // The simulator keeps 16 MiB of it, and other tests of this binary run at the same time.
    assert!(most < before + (96 << 20), "{} MiB more", (most - before) >> 20);
    let received = &backend.received()[0];
    assert_eq!((received.body_bytes, received.complete), (total as u64, true));
    let story = world.story();
    assert_eq!(story.request.len(), total);
    assert!(story.request.starts_with(start.as_bytes()));
    assert!(story.end().request_bytes >= total as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_longer_than_memory_goes_through_a_file_and_can_be_sent_twice() {
    let first = crate::support::named_simulator("first").await;
    let second = crate::support::named_simulator("second").await;
    for fault in ["status=503", "refuse", "reset-before-head"] {
        first.set_fault(Some(fault.parse().unwrap()));
        sent_twice(&first, &second).await;
    }
    first.set_fault(Some("status=503".parse().unwrap()));
    let before = second.requests();
    sent_twice(&first, &second).await;
    let (one, other) = (first.received().pop().unwrap(), second.received().pop().unwrap());
    assert_eq!(one.body_sha256, other.body_sha256);
    assert_eq!(second.requests(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_does_not_read_is_recorded_all_the_same() {
    let only = crate::support::simulator().await;
    only.set_fault(Some(simulator::Fault::Refuse));
    let world = Setup::before(&[only.url()]).start().await;
    let filler = "word ".repeat(100_000);
    let body =
        format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{filler}"}}]}}"#);
    assert_eq!(world.post("/openai/v1/chat/completions", &body).await.status, 502);
    let story = world.story();
    assert_eq!(story.dispatched.len(), 3);
    assert_eq!(story.request.len(), body.len());
    assert_eq!(story.request, body.as_bytes());
}

/// A long body whose first backend fails.
async fn sent_twice(first: &Simulator, second: &Simulator) {
    let world = Setup::before(&[first.url(), second.url()]).start().await;
    let filler = "word ".repeat(100_000);
    let body =
        format!(r#"{{"messages":[{{"role":"user","content":"{filler}"}}],"model":"gpt-4o"}}"#);
    let answer = world.post("/openai/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let story = world.story();
    assert_eq!(story.request.len(), body.len());
    assert_eq!(story.request, body.as_bytes());
    assert_eq!(story.dispatched.len(), 2);
    assert_eq!(story.start().target.model, "gpt-4o", "although it stands at the end");
    assert_eq!(second.received().last().unwrap().body_bytes, body.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_during_its_upload_is_recorded_with_what_it_sent() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    for (target, content_type, start) in [
        (CHAT, "application/json", "{\"messages\":["),
        (TRANSCRIPTIONS, "multipart/form-data; boundary=xyz", "--xyz\r\ncontent-disp"),
    ] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\ncontent-type: {content_type}\r\ncontent-length: 1000\r\n\r\n{start}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let head = read_head(&mut stream).await;
        assert_eq!(head, "", "nobody is there to be answered");
    }
    let stories = world.ended(2).await;
    for story in &stories {
        assert_eq!((story.end().outcome, story.end().status), (Outcome::ClientGone, 0));
    }
    let mut requests: Vec<_> = stories.iter().map(|story| story.request.clone()).collect();
    requests.sort();
    assert_eq!(requests, [b"--xyz\r\ncontent-disp".to_vec(), b"{\"messages\":[".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stalls_is_given_up() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| config.edge.body_gap_timeout_ms = 50)
        .start()
        .await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\ncontent-length: 1000\r\n\r\n{{"
    );
    let answer = world.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("RequestTimeout"));
    assert_eq!(world.story().request, b"{");
}

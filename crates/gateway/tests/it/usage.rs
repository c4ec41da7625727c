//! Streams are asked for their usage, and nobody but the record sees a difference.

use std::sync::Arc;

use event::Outcome;
use gateway::BackendKind;
use http_body_util::BodyExt;
use simulator::{Simulator, SimulatorConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, mpsc};

use crate::support::{Answer, LIMIT, Setup, World, post, scripted, with_header};

const KEY: &str = "the-backends-own-key";
const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const ASKED: &str = "stream_options.include_usage";

/// Two of these answer the same to the same requests.
async fn twin() -> Simulator {
    let config = SimulatorConfig {
        name: "twin".into(),
        api_keys: vec![KEY.into()],
        created_at_unix_s: Some(1_700_000_000),
        ..SimulatorConfig::default()
    };
    Simulator::start(config).await.unwrap()
}

async fn world(backend: &Simulator, kind: BackendKind) -> World {
    Setup::before(&[backend.url()]).with(|config| config.backends[0].kind = kind).start().await
}

/// What the backend answers without the gateway.
async fn direct(backend: &Simulator, target: &str, body: &str) -> Answer {
    let stream = tokio::net::TcpStream::connect(backend.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = with_header(post(target, body), "api-key", KEY);
    let request = with_header(request, "authorization", &format!("Bearer {KEY}"));
    Answer::read(sender.send_request(request).await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_asked_for_its_usage_and_the_client_sees_no_difference() {
    let messages = r#""messages":[{"role":"user","content":"say \"usage\":null and go on"}]"#;
    let v1 = "/openai/v1/chat/completions";
    let openai = "/v1/chat/completions";
    let legacy = "/openai/deployments/gpt-35-turbo-instruct/completions?api-version=2024-10-21";
    let long = "so it goes ".repeat(8_000);
    let cases = [
        (CHAT, BackendKind::Azure, format!(r#"{{"stream":true,{messages}}}"#)),
        (CHAT, BackendKind::Azure, format!(r#"{{{messages},"n":2, "stream" : true}}"#)),
        (
            CHAT,
            BackendKind::Azure,
            format!(r#"{{{messages},"stream":true,"stream_options":null}}"#),
        ),
        (v1, BackendKind::Azure, format!(r#"{{"model":"gpt-4o","stream":true,{messages}}}"#)),
        (
            v1,
            BackendKind::Azure,
            format!(
                r#"{{"model":"gpt-4o","stream_options":{{"include_usage":false}},"stream":true,{messages}}}"#
            ),
        ),
        (openai, BackendKind::Openai, format!(r#"{{"model":"gpt-4o","stream":true,{messages}}}"#)),
        (legacy, BackendKind::Azure, r#"{"prompt":"once upon","stream":true}"#.to_owned()),
        // Too long for memory: spliced on its way from the file.
        (
            CHAT,
            BackendKind::Azure,
            format!(r#"{{"messages":[{{"role":"user","content":"{long}"}}],"stream":true}}"#),
        ),
    ];
    for (target, kind, body) in cases {
        let (backend, other) = (twin().await, twin().await);
        let world = world(&backend, kind).await;
        let want = direct(&other, target, &body).await;
        let answer = world.post(target, &body).await;
        assert_eq!((answer.status, want.status), (200, 200), "{}", want.text());
        assert_eq!(answer.text(), want.text());
        assert!(!answer.headers.contains_key("content-length"));
        let story = world.story();
        assert_eq!(story.request, body.as_bytes(), "recorded as the client sent it");
        let recorded = String::from_utf8_lossy(&story.response);
        assert!(recorded.contains(r#""usage":{"#), "recorded as the backend sent it: {recorded}");
        assert_eq!(story.dispatched[0].body_changes, [ASKED]);
        let received = backend.received();
        let received = received.last().unwrap();
        assert_eq!(received.headers["accept-encoding"], "identity");
        assert_eq!(received.headers["content-length"], received.body_bytes.to_string().as_str());
        assert_ne!(received.body_bytes, body.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_where_it_was_asked_for_or_is_not_known() {
    let asked = r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#;
    let unasked = r#"{"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let unary = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let early = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01";
    for (target, body, shows_usage) in
        [(CHAT, asked, true), (early, unasked, false), (CHAT, unary, true)]
    {
        let (backend, other) = (twin().await, twin().await);
        let world = world(&backend, BackendKind::Azure).await;
        let answer = world.call(with_header(post(target, body), "accept-encoding", "br")).await;
        assert_eq!(answer.text(), direct(&other, target, body).await.text());
        assert_eq!(answer.text().contains(r#""usage":{"#), shows_usage);
        let story = world.story();
        assert_eq!(story.response, answer.body);
        assert!(story.dispatched[0].body_changes.is_empty());
        let received = &backend.received()[0];
        assert_eq!(received.body_start, body);
        assert_eq!(received.headers["accept-encoding"], "br");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_can_be_spared_the_question() {
    let backend = twin().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| config.backends[0].ask_for_usage = false)
        .start()
        .await;
    let body = r#"{"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(world.post(CHAT, body).await.status, 200);
    assert_eq!(backend.received()[0].body_start, body);
    assert!(world.story().dispatched[0].body_changes.is_empty());
}

/// Sends each piece once the client has taken the one before.
async fn in_turns(pieces: Vec<&'static str>) -> (String, mpsc::Sender<()>) {
    let (seen, seen_by_backend) = mpsc::channel::<()>(1);
    let seen_by_backend = Arc::new(Mutex::new(seen_by_backend));
    let url = scripted(move |_, mut stream| {
        let (seen, pieces) = (seen_by_backend.clone(), pieces.clone());
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for piece in pieces {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
                seen.lock().await.recv().await.unwrap();
            }
            // No last chunk: it breaks off.
        }
    })
    .await;
    (url, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_events_pass_at_once_and_a_broken_one_is_recorded_only() {
    let events = [
        ("data: {\"choices\":[{}],\"usage\":null}\n\nda", "data: {\"choices\":[{}]}\n\n"),
        ("ta: {\"choices\":[{\"a\":1}],\"usage\":nu", ""),
        ("ll}\n\n", "data: {\"choices\":[{\"a\":1}]}\n\n"),
        ("data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}", ""),
        ("\n\ndata: {\"half", ""),
    ];
    let (url, seen) = in_turns(events.iter().map(|(sent, _)| *sent).collect()).await;
    let world = Setup::before(&[url]).start().await;
    let body = r#"{"stream":true,"messages":[]}"#;
    let mut answer = world.open(post(CHAT, body)).await.into_body();
    for (_, want) in events {
        if !want.is_empty() {
            let piece = tokio::time::timeout(LIMIT, answer.frame()).await.expect("at once");
            assert_eq!(piece.unwrap().unwrap().into_data().unwrap(), want);
        }
        seen.send(()).await.unwrap();
    }
    let rest = tokio::time::timeout(LIMIT, answer.collect()).await.unwrap().unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.starts_with("data: {\"error\":"), "{rest}");
    let story = &world.ended(1).await[0];
    assert_eq!(story.end().outcome, Outcome::BackendFailed);
    let sent: String = events.iter().map(|(sent, _)| *sent).collect();
    assert_eq!(story.response, sent.as_bytes());
}

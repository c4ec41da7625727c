//! Faults by header and by instance, and TLS with HTTP/2.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use simulator::{Fault, LatencyModel, SimulatorConfig, TlsIdentity};
use tokio::net::TcpStream;

use crate::client::{Answer, DATED, get, post, post_with, start, start_with};

fn chat() -> String {
    format!("/openai/deployments/gpt-4o/chat/completions?{DATED}")
}

fn ask(stream: bool) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}], "stream": stream});
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

async fn faulty(simulator: &simulator::Simulator, fault: &str, stream: bool) -> Answer {
    post_with(simulator, &chat(), &[("x-sim-fault", fault)], ask(stream)).await
}

#[tokio::test]
async fn faults_by_header_do_what_they_say() {
    let simulator = start("a").await;
    let sound = post(&simulator, &chat(), ask(false)).await;
    let cut = faulty(&simulator, "cut-after=100", false).await;
    assert!(cut.broken);
    assert_eq!(cut.body.len(), 100);
    let cut = faulty(&simulator, "cut-after=1000", true).await;
    assert!(cut.broken && cut.body.len() == 1000);
    let status = faulty(&simulator, "status=429;retry-after-ms=1500", false).await;
    assert_eq!(
        (status.status.as_u16(), status.header("retry-after"), status.header("retry-after-ms")),
        (429, "2", "1500")
    );
    assert_eq!(
        faulty(&simulator, "status=503", false).await.json()["error"]["code"],
        "ServiceUnavailable"
    );
    let half = faulty(&simulator, "malformed-json", false).await;
    assert!(!half.broken && serde_json::from_slice::<Value>(&half.body).is_err());
    assert!(sound.body.len() > half.body.len());
    assert!(
        faulty(&simulator, "malformed-sse", true).await.text().contains("nonsense without colon")
    );
    assert!(faulty(&simulator, "no-usage", false).await.json().get("usage").is_none());
    assert_eq!(
        faulty(&simulator, "no-usage", true).await.text().matches("total_tokens").count(),
        0
    );
    assert_eq!(
        faulty(&simulator, "duplicate-usage", true).await.text().matches("total_tokens").count(),
        2
    );
    let late = faulty(&simulator, "mid-stream-error", true).await;
    assert!(late.events().last().unwrap().1["error"]["message"].is_string());
    let reset = crate::client::send(
        &simulator,
        "POST",
        &chat(),
        &[("x-sim-fault", "reset-before-head")],
        ask(false).to_string(),
    )
    .await;
    assert!(reset.is_err());
    assert_eq!(faulty(&simulator, "boom", false).await.status, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn slow_faults_take_their_time_and_deliver_everything() {
    let simulator = start("a").await;
    for (fault, least) in [("slow-head=60", 60), ("stall=60", 60), ("drip=400/20", 60)] {
        let begin = Instant::now();
        let answer = faulty(&simulator, fault, false).await;
        assert!(begin.elapsed() >= Duration::from_millis(least), "{fault}");
        assert_eq!(answer.json()["object"], "chat.completion", "{fault}");
    }
    let begin = Instant::now();
    assert_eq!(faulty(&simulator, "stall=50", true).await.events().last().unwrap().1, "[DONE]");
    assert!(begin.elapsed() >= Duration::from_millis(50));
    simulator.stop().await;
}

#[tokio::test]
async fn latency_is_spent_before_the_head_and_between_tokens() {
    let latency = LatencyModel { first_byte_ms: 30.0, per_token_ms: 4.0, jitter: 0.0 };
    let simulator = start_with(SimulatorConfig { latency, ..SimulatorConfig::default() }).await;
    for stream in [false, true] {
        let begin = Instant::now();
        let answer = post_with(&simulator, &chat(), &[("x-sim-tokens", "10")], ask(stream)).await;
        assert!(
            begin.elapsed() >= Duration::from_millis(70),
            "stream {stream}: {:?}",
            begin.elapsed()
        );
        assert_eq!(answer.status, 200);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_whole_instance_can_fail_and_come_back() {
    let simulator = start("a").await;
    simulator.set_fault(Some(Fault::Status { status: 500, retry_after: None }));
    assert_eq!(get(&simulator, &format!("/openai/models?{DATED}")).await.status, 500);
    simulator.set_fault(Some(Fault::Reset));
    let reset = crate::client::send(&simulator, "GET", "/status", &[], Bytes::new()).await;
    assert!(reset.is_err());
    simulator.set_fault(Some(Fault::Refuse));
    // The port closes as soon as the accept loop has seen the order.
    while TcpStream::connect(simulator.addr()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    simulator.set_fault(None);
    while TcpStream::connect(simulator.addr()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&simulator, "/status").await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_over_tls() {
    let simulator = start("a").await;
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    assert_eq!(models_over_http2(TokioIo::new(stream)).await["object"], "list");
    assert_eq!(simulator.received()[0].version, hyper::Version::HTTP_2);
    simulator.stop().await;

    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let tls = Some(Arc::new(TlsIdentity { chain: chain.clone(), key }));
    let simulator = start_with(SimulatorConfig { tls, ..SimulatorConfig::default() }).await;
    assert!(simulator.url().starts_with("https://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(models_over_http2(TokioIo::new(stream)).await["object"], "list");
    simulator.stop().await;
}

async fn models_over_http2(
    io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> Value {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get("http://localhost/v1/models").body(Full::new(Bytes::new())).unwrap();
    let body =
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    drop(sender);
    driver.abort();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn stopping_ends_an_endless_answer() {
    let simulator = start("a").await;
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::post(chat())
        .header("content-type", "application/json")
        .header("x-sim-fault", "drip=1/60000")
        .body(Full::new(Bytes::from(ask(true).to_string())))
        .unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert!(response.frame().await.unwrap().is_ok());
    let begin = Instant::now();
    simulator.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(response.frame().await.is_none_or(|frame| frame.is_err()));
    driver.abort();
}

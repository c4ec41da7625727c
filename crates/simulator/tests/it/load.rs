//! Bodies larger than anything that is held.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::client::{DATED, start};

/// Peak resident memory of this process in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Runs one of the ignored tests alone in a process, where the peak is its own.
fn alone(name: &str) {
    let program = std::env::current_exe().unwrap();
    let done =
        std::process::Command::new(program).args(["--ignored", "--exact", name]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn memory_stays_flat_whatever_the_body() {
    alone("load::a_large_upload_is_hashed_in_flat_memory");
    alone("load::a_large_answer_is_written_as_it_goes");
}

#[tokio::test]
#[ignore = "run alone by memory_stays_flat_whatever_the_body"]
async fn a_large_upload_is_hashed_in_flat_memory() {
    const CHUNK: usize = 1 << 20;
    const CHUNKS: usize = 192;
    let simulator = start("a").await;
    let chunk = Bytes::from(vec![7u8; CHUNK]);
    let head = Bytes::from(
        "--XX\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n",
    );
    let tail = Bytes::from("\r\n--XX--\r\n");
    let mut whole = Sha256::new();
    whole.update(&head);
    (0..CHUNKS).for_each(|_| whole.update(&chunk));
    whole.update(&tail);
    let parts = std::iter::once(head)
        .chain(std::iter::repeat_n(chunk, CHUNKS))
        .chain(std::iter::once(tail));
    let body =
        StreamBody::new(stream::iter(parts.map(|part| Ok::<_, Infallible>(Frame::data(part)))));
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::post("/v1/files")
        .header("content-type", "multipart/form-data; boundary=XX")
        .body(body)
        .unwrap();
    let before = peak_kib();
    let answer =
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let value: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(value["bytes"], (CHUNK * CHUNKS) as u64);
    let digest: [u8; 32] = whole.finalize().into();
    assert_eq!(simulator.received()[0].body_sha256, digest);
    assert!(peak_kib() < before + 32 * 1024, "grew from {before} to {} KiB", peak_kib());
    driver.abort();
    simulator.stop().await;
}

#[tokio::test]
#[ignore = "run alone by memory_stays_flat_whatever_the_body"]
async fn a_large_answer_is_written_as_it_goes() {
    let simulator = start("a").await;
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let body = json!({"messages": [{"role": "user", "content": "x"}]}).to_string();
    let request = Request::post(format!("/openai/deployments/gpt-4o/chat/completions?{DATED}"))
        .header("content-type", "application/json")
        .header("x-sim-tokens", "10000000")
        .body(http_body_util::Full::new(Bytes::from(body)))
        .unwrap();
    let before = peak_kib();
    let mut response = sender.send_request(request).await.unwrap();
    let (mut bytes, mut last) = (0, Bytes::new());
    while let Some(frame) = response.frame().await {
        last = frame.unwrap().into_data().unwrap();
        bytes += last.len();
    }
    assert!(bytes > 40_000_000, "{bytes}");
    assert!(last.ends_with(b"}\n"));
    assert!(peak_kib() < before + 32 * 1024, "grew from {before} to {} KiB", peak_kib());
    driver.abort();
    simulator.stop().await;
}

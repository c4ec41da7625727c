//! Bad input gets a clear error in the shape the caller's SDK reads, a record, and loses nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::System;

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";

/// Sends bytes as they are; answers status and body.
fn raw(system: &System, request: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(system.address).expect("connects");
    stream.write_all(request).expect("sends");
    let mut answer = Vec::new();
    // The gateway may reset once it has refused; what came before that counts.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {text}")))
}

/// The error has OpenAI's shape and says what is wrong; the refusal is on record.
fn check(system: &System, status: u16, answer: (u16, Value), says: &str) {
    let (got, body) = answer;
    assert_eq!(got, status, "{body}");
    let message = body["error"]["message"].as_str().unwrap_or_else(|| panic!("shape: {body}"));
    assert!(message.to_lowercase().contains(&says.to_lowercase()), "{message}");
    assert!(body["error"].get("code").is_some(), "{body}");
    let query =
        format!("Interactions | where ResponseCode == {status} and isnotempty(LastErrorReason)");
    assert!(!system.rows(&query, 1).is_empty());
}

fn send(system: &System, target: &str, headers: &str, body: &[u8]) -> (u16, Value) {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    raw(system, &request)
}

#[test]
fn bad_input_is_refused_clearly_recorded_and_harmless() {
    let system = System::demo();
    let key = format!("api-key: {}\r\n", system.key);
    check(&system, 401, send(&system, CHAT, "", b"{}"), "key");
    check(&system, 401, send(&system, CHAT, "api-key: nonsense\r\n", b"{}"), "key");
    let unknown = CHAT.replace("gpt-4o", "no-such");
    check(&system, 404, send(&system, &unknown, &key, br#"{"messages":[]}"#), "deployment");
    check(&system, 400, send(&system, CHAT, &key, br#"{"messages": [,]}"#), "malformed at byte 14");
    check(&system, 400, send(&system, CHAT, &key, b"{\"messages\": \"\xff\"}"), "utf-8");
    let doubled = CHAT.replace("/openai/", "/openai/openai/");
    check(&system, 404, send(&system, &doubled, &key, b"{}"), "/openai");
    check(&system, 404, send(&system, "/no/such/path", &key, b"{}"), "base URL");
    let long = format!("X-Long: {}\r\n", "x".repeat(70_000));
    check(&system, 431, send(&system, CHAT, &format!("{key}{long}"), b"{}"), "head");
    let twice = format!("{key}Content-Length: 7\r\n");
    check(&system, 400, send(&system, CHAT, &twice, b"{}"), "request");
    check(&system, 400, raw(&system, b"NONSENSE\r\n\r\n"), "request");
    // Nothing broke: an ordinary call still passes.
    let body = br#"{"messages":[{"role":"user","content":"still there?"}]}"#;
    assert_eq!(system.call("POST", CHAT, &[], body).status, 200);
    assert!(system.verify().status.success());
}

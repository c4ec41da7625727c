//! Two of the invariants that only the whole system can show: the tables are no more than what the
//! ledger says, and the gateway's own log holds neither prompts nor answers nor keys.

use std::fs;
use std::fs::File;
use std::process::Stdio;

use serde_json::Value;

use crate::http::{self, Request};
use crate::support::{Backend, Gateway, Process, eventually, gatehouse};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const ROWS: &str =
    "Interactions | project-away LedgerSequence | sort by TimeGenerated asc, CorrelationId asc";

fn body(prompt: &str, is_stream: bool) -> Vec<u8> {
    let body = serde_json::json!({
        "messages": [{ "role": "user", "content": prompt }], "stream": is_stream,
    });
    body.to_string().into_bytes()
}

fn with_wrong_key(gateway: &Gateway, target: &str) -> u16 {
    let headers = [("api-key", "plugh-is-wrong"), ("Content-Type", "application/json")];
    let body = body("xyzzy", false);
    let request = Request { method: "POST", target, headers: &headers, body: &body };
    http::send(gateway.address(), &request).expect("the gateway answers").status
}

#[test]
fn tables_that_are_lost_are_rebuilt_from_the_ledger() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    let long = "a long prompt ".repeat(10_000);
    for (place, prompt) in ["first", "second", long.as_str()].into_iter().enumerate() {
        assert_eq!(gateway.call(CHAT, &[], &body(prompt, place == 1)).status, 200);
    }
    assert_eq!(with_wrong_key(&gateway, CHAT), 401);
    let all = |gateway: &Gateway| {
        eventually("every call has its row", || {
            Some(gateway.query(ROWS)).filter(|rows| rows.len() == 4)
        })
    };
    let before = all(&gateway);
    assert!(gateway.terminate());
    fs::remove_dir_all(gateway.folder.path().join("data/tables")).expect("there are tables");
    gateway.start();
    assert_eq!(all(&gateway), before);
    let prompts = gateway.query("Messages | where Direction == 'prompt' | distinct CorrelationId");
    assert_eq!(prompts.len(), 3);
}

#[test]
fn no_prompt_answer_or_key_is_in_the_gateways_own_log() {
    let backend = Backend::start();
    let gateway = Gateway::new(&backend, &[("GATEHOUSE__LOG__LEVEL", "trace")]);
    let log = gateway.folder.path().join("log");
    let mut serve = gatehouse();
    serve.args(["serve", "--config"]).arg(&gateway.config).envs(gateway.environment());
    serve.stdout(Stdio::null()).stderr(File::create(&log).expect("writable"));
    let mut process = Process::listening(&mut serve, gateway.address().port());
    let mut answers = Vec::new();
    for is_stream in [false, true] {
        let answer = gateway.call(CHAT, &[], &body("xyzzy is the secret word", is_stream));
        assert_eq!(answer.status, 200);
        answers.push(String::from_utf8_lossy(&answer.body).into_owned());
    }
    let with_key = format!("{CHAT}&subscription-key=plugh-is-wrong");
    assert_eq!(with_wrong_key(&gateway, &with_key), 401);
    let malformed = gateway.call(CHAT, &[], br#"{"messages": xyzzy}"#);
    assert_eq!(malformed.status, 400);
    eventually("the calls are rows", || {
        (gateway.query("Interactions | where Outcome == 'complete'").len() == 2).then_some(())
    });
    assert!(process.terminate());
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("request refused"), "the log is on: {log}");
    let answer: Value = serde_json::from_str(&answers[0]).expect("JSON");
    let answer = answer["choices"][0]["message"]["content"].as_str().expect("an answer");
    for secret in ["xyzzy", "plugh", answer, gateway.key.as_str(), Backend::KEY] {
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
}

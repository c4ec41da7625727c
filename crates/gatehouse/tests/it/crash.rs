//! The gateway is killed at random moments under load; nothing acknowledged may be missing or doubled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use serde_json::json;

use crate::http::{self, Request};
use crate::support::{Backend, Gateway, eventually, gatehouse, run};

/// How often the gateway is killed.
const KILLS: u32 = 50;
/// Callers at once.
const CALLERS: usize = 4;

/// What the callers know: the prompts whose answer arrived whole, and all that were sent.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<Vec<String>>,
    sent: AtomicU64,
    stop: AtomicBool,
}

#[test]
fn no_acknowledged_call_is_missing_or_doubled_after_fifty_kills() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    let seen = Arc::new(Seen::default());
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (seen, address, key) = (seen.clone(), gateway.address(), gateway.key.clone());
            std::thread::spawn(move || call_until_stopped(number, address, &key, &seen))
        })
        .collect();
    let mut random = rand::rng();
    for _ in 0..KILLS {
        std::thread::park_timeout(Duration::from_millis(random.random_range(20..250)));
        gateway.kill();
        gateway.start();
    }
    seen.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("callers do not panic");
    }
    let acknowledged = std::mem::take(&mut *seen.acknowledged.lock().expect("no panic"));
    assert!(acknowledged.len() > KILLS as usize, "only {} calls got through", acknowledged.len());
    check_tables(&gateway, &acknowledged);
    assert!(gateway.terminate(), "it ends in order");
    let report = run(gatehouse().args(["audit", "verify", "--config"]).arg(&gateway.config));
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success(), "{text}{}", String::from_utf8_lossy(&report.stderr));
}

fn call_until_stopped(caller: usize, address: std::net::SocketAddr, key: &str, seen: &Seen) {
    while !seen.stop.load(Ordering::Relaxed) {
        let number = seen.sent.fetch_add(1, Ordering::Relaxed);
        let prompt = format!("crash {caller} {number}");
        let body = json!({
            "messages": [{ "role": "user", "content": prompt }],
            "stream": number.is_multiple_of(2),
        })
        .to_string();
        let request = Request {
            method: "POST",
            target: "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            headers: &[("api-key", key), ("Content-Type", "application/json")],
            body: body.as_bytes(),
        };
        match http::send(address, &request) {
            Ok(answer)
                if answer.status == 200 && is_whole(&answer.body, number.is_multiple_of(2)) =>
            {
                seen.acknowledged.lock().expect("no panic").push(prompt);
            }
            // Killed in between, or not up yet: not acknowledged.
            _ => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
}

fn is_whole(body: &[u8], is_stream: bool) -> bool {
    if is_stream {
        return body.trim_ascii_end().ends_with(b"data: [DONE]");
    }
    serde_json::from_slice::<serde_json::Value>(body).is_ok()
}

fn check_tables(gateway: &Gateway, acknowledged: &[String]) {
    let last = acknowledged.last().expect("some got through");
    let ask = || gateway.query(&format!("Messages | where Content == '{last}'"));
    eventually("the tables catch up", || Some(ask()).filter(|rows| !rows.is_empty()));
    let rows = gateway.query(
        "Messages | where Direction == 'prompt' and Content startswith 'crash ' \
         | summarize Rows = count() by Content",
    );
    let counts: HashMap<&str, i64> = rows
        .iter()
        .map(|row| {
            (row["Content"].as_str().expect("text"), row["Rows"].as_i64().expect("a number"))
        })
        .collect();
    for prompt in acknowledged {
        assert_eq!(counts.get(prompt.as_str()), Some(&1), "{prompt}");
    }
    assert!(counts.values().all(|count| *count == 1), "a call is doubled: {counts:?}");
    let unfinished = gateway.query(
        "Interactions | where Outcome == 'interrupted' | summarize Rows = count() by CorrelationId \
         | where Rows != 1",
    );
    assert!(unfinished.is_empty(), "{unfinished:?}");
    let ids = gateway
        .query("Interactions | summarize Rows = count(), Ids = count_distinct(CorrelationId)");
    assert_eq!(ids[0]["Rows"], ids[0]["Ids"], "one row for each interaction");
}

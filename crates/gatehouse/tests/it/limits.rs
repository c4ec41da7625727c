//! Limits over kills, over restarts, and over two gateways with a Redis that dies.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use testing::RedisServer;

use crate::http::{self, Request, Response};
use crate::support::{Backend, Gateway, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const ANSWER: u64 = 40;

/// Adds a yearly quota of tokens to a gateway's configuration.
fn limit(gateway: &Gateway, tokens: u64) {
    let text = format!(
        "\nlimits:\n  - token_quota: {tokens}\n    token_quota_period: yearly\n    calls: 100000\n"
    );
    let mut file =
        std::fs::OpenOptions::new().append(true).open(&gateway.config).expect("init wrote it");
    file.write_all(text.as_bytes()).expect("the disk has room");
}

fn call(address: SocketAddr, key: &str) -> anyhow::Result<Response> {
    let body = json!({
        "messages": [{ "role": "user", "content": "hello" }], "max_tokens": ANSWER,
    })
    .to_string();
    let headers = &[("api-key", key), ("Content-Type", "application/json")];
    http::send(address, &Request { method: "POST", target: CHAT, headers, body: body.as_bytes() })
}

fn total_tokens(answer: &Response) -> u64 {
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    body["usage"]["total_tokens"].as_u64().expect("usage")
}

/// What `gatehouse quota` shows as used.
fn shown(gateway: &Gateway) -> Option<u64> {
    let mut command = gatehouse();
    command.args(["quota", "--config"]).arg(&gateway.config).envs(gateway.environment());
    let shown = String::from_utf8_lossy(&run(&mut command).stdout).into_owned();
    let line = shown.lines().find(|line| line.starts_with("tokens/yearly|subscription="))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_kill_and_a_restart_neither_forget_nor_double_what_was_used() {
    const QUOTA: u64 = 100_000;
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    limit(&gateway, QUOTA);
    let mut used = 0;
    for is_killed in [true, false, true] {
        gateway.start();
        for _ in 0..5 {
            let answer = call(gateway.address(), &gateway.key).expect("an answer");
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            used += total_tokens(&answer);
            assert_eq!(shown(&gateway), Some(used));
        }
        if is_killed {
            gateway.kill();
        } else {
            assert!(gateway.terminate(), "it ends in order");
        }
    }
    gateway.start();
    assert_eq!(shown(&gateway), Some(used));
}

#[test]
fn two_gateways_on_one_budget_never_overspend_though_redis_is_killed_midway() {
    const BUDGET: u64 = 6_000;
    let Some(mut redis) = RedisServer::start() else { return };
    let url = format!("redis://127.0.0.1:{}", redis.port());
    let backend = Backend::start();
    let gateways: Vec<Gateway> = (0..2)
        .map(|_| {
            let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__REDIS__URL", &url)]);
            limit(&gateway, BUDGET);
            gateway.start();
            gateway
        })
        .collect();
    let (used, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let is_killed = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let gateway = &gateways[caller % 2];
            let (address, key) = (gateway.address(), gateway.key.clone());
            let (used, refused, is_killed) = (used.clone(), refused.clone(), is_killed.clone());
            std::thread::spawn(move || {
                let mut after = 0;
                while after < 5 {
                    after += u32::from(is_killed.load(Ordering::Relaxed));
                    let answer = call(address, &key).expect("an answer");
                    match answer.status {
                        200 => used.fetch_add(total_tokens(&answer), Ordering::Relaxed),
                        // 429: a node that waits for its share is cautious.
                        403 | 429 => refused.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("{}", String::from_utf8_lossy(&answer.body)),
                    };
                }
            })
        })
        .collect();
    while used.load(Ordering::Relaxed) < BUDGET / 2 {
        std::thread::yield_now();
    }
    redis.kill();
    is_killed.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("callers do not panic");
    }
    let (used, refused) = (used.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    // One short reservation for each gateway.
    assert!(used <= BUDGET + 2 * ANSWER, "{used}");
    assert!(refused > 0, "nobody is unlimited");
}

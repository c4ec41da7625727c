//! Two nodes on one budget, through a real Redis that is killed on the way.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use net::{EgressConfig, EgressRules};
use policy::{Applied, LimitConfig};

use super::{applied, asks, at, quota, spent};
use crate::{Limiter, Redis, RedisSettings, Shares};

const LEASE: Duration = Duration::from_secs(300);

/// A Redis server that keeps nothing over its end.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// None if there is no `redis-server`, which is said.
    fn start(port: Option<u16>) -> Option<Self> {
        let free = || {
            let bound = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            bound.local_addr().unwrap().port()
        };
        let port = port.unwrap_or_else(free);
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no"]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: there is no redis-server; install Debian's package");
            }
            return None;
        };
        let server = Self { child, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Some(server)
    }

    fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(server: &Server, name: &str) -> Limiter {
    let settings = RedisSettings {
        url: format!("redis://127.0.0.1:{}/0", server.port),
        timeout: Duration::from_secs(5),
        ..RedisSettings::default()
    };
    let redis = Redis::new(&settings, EgressRules::new(&EgressConfig::default())).unwrap();
    Limiter::sharing(Shares::new(redis, name.into(), LEASE))
}

const ANSWER: u64 = 50;

/// So many callers spend until each was refused `patience` times in a row.
async fn spend(nodes: &[Limiter], limits: &[Applied], callers: u64, patience: u32) -> u64 {
    let total = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let limiter = nodes[caller as usize % nodes.len()].clone();
            let (limits, total) = (limits.to_vec(), total.clone());
            tokio::spawn(async move {
                let mut refused = 0;
                let mut call = 0;
                while refused < patience {
                    call += 1;
                    let prompt = 5 + (caller * 11 + call * 7) % 40;
                    let estimate = asks(prompt, ANSWER);
                    match limiter.reserve(limits.clone(), &estimate, at(1)).await {
                        Ok(reservation) => {
                            tokio::task::yield_now().await;
                            let answer =
                                if call % 2 == 0 { ANSWER } else { (caller * call) % ANSWER };
                            total.fetch_add(prompt + answer, Ordering::Relaxed);
                            reservation.settle(&spent(prompt + answer), at(1));
                            refused = 0;
                        }
                        Err(_) => refused += 1,
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    total.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_spend_one_budget_and_give_back_what_they_do_not_need() {
    const BUDGET: u64 = 20_000;
    let Some(server) = Server::start(None) else { return };
    let nodes = [node(&server, "a"), node(&server, "b")];
    let limits = applied(&[quota(BUDGET)]);
    let mut total = spend(&nodes, &limits, 64, 3).await;
    // One short reservation for each node.
    assert!(total <= BUDGET + 2 * ANSWER, "{total}");
    assert!(total > BUDGET - BUDGET / 20, "hardly anything lies idle: {total}");
    // What one node still has too much, the other gets.
    for limiter in &nodes {
        limiter.tend(at(3)).await;
    }
    total += spend(&nodes[..1], &limits, 1, 1).await;
    assert!(total <= BUDGET + 2 * ANSWER, "{total}");
    assert!(total > BUDGET - 2 * ANSWER, "the budget can be used up: {total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_redis_nobody_spends_more_than_its_share_and_a_lost_store_doubles_nothing() {
    const BUDGET: u64 = 20_000;
    let Some(server) = Server::start(None) else { return };
    let nodes = [node(&server, "a"), node(&server, "b")];
    let limits = applied(&[quota(BUDGET)]);
    let mut total = 0;
    for limiter in &nodes {
        let one = limiter.reserve(limits.clone(), &asks(3_000, 0), at(0)).await.unwrap();
        one.settle(&spent(3_000), at(0));
        total += 3_000;
    }
    let port = server.kill();
    let meanwhile = spend(&nodes, &limits, 64, 3).await;
    assert!(meanwhile <= 2 * (BUDGET / 20 + ANSWER), "only what was leased: {meanwhile}");
    assert!(meanwhile > 0, "a share outlives Redis");
    total += meanwhile;
    // It comes back, and has forgotten everything; the nodes have not.
    let _server = Server::start(Some(port)).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let mut last = 0;
    while std::time::Instant::now() < until && (last == 0 || total < BUDGET - 3 * ANSWER) {
        for limiter in &nodes {
            limiter.tend(at(1)).await;
        }
        last = spend(&nodes, &limits, 8, 1).await;
        total += last;
    }
    assert!(total <= BUDGET + 2 * ANSWER, "{total}");
    assert!(total > BUDGET - BUDGET / 10, "service goes on: {total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sliding_window_and_calls_in_flight_are_shared_too() {
    let Some(server) = Server::start(None) else { return };
    let nodes = [node(&server, "a"), node(&server, "b")];
    let limit = LimitConfig { calls: Some(40), concurrency: Some(6), ..LimitConfig::default() };
    let limits = applied(&[limit]);
    let mut held = Vec::new();
    for call in 0..20 {
        let limiter = &nodes[call % 2];
        held.extend(limiter.reserve(limits.clone(), &asks(0, 0), at(0)).await.ok());
    }
    assert_eq!(held.len(), 6, "six in flight, whoever has them");
    for reservation in held {
        reservation.settle(&spent(0), at(1));
    }
    let mut calls = 6;
    for call in 0..200 {
        for limiter in &nodes {
            limiter.tend(at(2 + call / 10)).await;
        }
        let limiter = &nodes[call as usize % 2];
        if let Ok(one) = limiter.reserve(limits.clone(), &asks(0, 0), at(2 + call / 10)).await {
            one.settle(&spent(0), at(2 + call / 10));
            calls += 1;
        }
    }
    assert_eq!(calls, 40);
    // Two minutes later the window is empty again.
    for limiter in &nodes {
        limiter.tend(at(120)).await;
    }
    assert!(nodes[0].reserve(limits, &asks(0, 0), at(121)).await.is_ok());
}

#[test]
fn a_url_that_makes_no_sense_is_refused_with_the_fix() {
    for (url, why) in [
        ("http://h", "neither redis nor rediss"),
        ("redis://user:secret@h:1", "fields of their own"),
        ("redis://h/none", "no number"),
        ("::", "is no URL"),
    ] {
        let settings = RedisSettings { url: url.into(), ..RedisSettings::default() };
        let rules = EgressRules::new(&EgressConfig::default());
        let error = Redis::new(&settings, rules).err().expect("refused").to_string();
        assert!(error.contains(why) && error.contains("redis://host:6379/0"), "{error}");
    }
}

//! Two nodes on one budget, through a real Redis that is killed on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use net::{EgressConfig, EgressRules};
use policy::{Applied, LimitConfig};
use testing::RedisServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{applied, asks, at, quota, spent};
use crate::tests::server::redis;
use crate::{Limiter, Redis, RedisSettings, Shares};

const LEASE: Duration = Duration::from_secs(300);
/// Longest wait for Redis.
const LIMIT: Duration = Duration::from_secs(5);

fn node(server: &RedisServer, name: &str) -> Limiter {
    Limiter::sharing(Shares::new(redis(server.port(), LIMIT), name.into(), LEASE))
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
    let Some(server) = RedisServer::start() else { return };
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
    let Some(mut server) = RedisServer::start() else { return };
    let nodes = [node(&server, "a"), node(&server, "b")];
    let limits = applied(&[quota(BUDGET)]);
    let mut total = 0;
    for limiter in &nodes {
        let one = limiter.reserve(limits.clone(), &asks(3_000, 0), at(0)).await.unwrap();
        one.settle(&spent(3_000), at(0));
        total += 3_000;
    }
    server.kill();
    let meanwhile = spend(&nodes, &limits, 64, 3).await;
    assert!(meanwhile <= 2 * (BUDGET / 20 + ANSWER), "only what was leased: {meanwhile}");
    assert!(meanwhile > 0, "a share outlives Redis");
    total += meanwhile;
    // It comes back, and has forgotten everything; the nodes have not.
    server.restart();
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
    let Some(server) = RedisServer::start() else { return };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_that_reaches_redis_after_it_was_given_up_changes_nothing() {
    const BUDGET: u64 = 10_000;
    let Some(server) = RedisServer::start() else { return };
    let road = Road::to(server.port()).await;
    let late = Shares::new(redis(road.port, Duration::from_millis(300)), "a".into(), LEASE);
    let (a, b) = (Limiter::sharing(late), node(&server, "b"));
    let limits = applied(&[quota(BUDGET)]);
    let call = |tokens| asks(tokens, 0);
    let mut total = 0;
    let one = a.reserve(limits.clone(), &call(1_000), at(0)).await.unwrap();
    one.settle(&spent(1_000), at(0));
    total += 1_000;
    // This claim stays on the road. The node gives it up.
    road.hold();
    assert!(a.reserve(limits.clone(), &call(2_000), at(0)).await.is_err(), "it was not answered");
    road.let_new_ones_pass();
    // Over another connection it gets what it asks for.
    let until = std::time::Instant::now() + LIMIT;
    loop {
        match a.reserve(limits.clone(), &call(6_000), at(0)).await {
            Ok(one) => break drop(one.settle(&spent(6_000), at(0))),
            Err(refused) => assert!(std::time::Instant::now() < until, "{refused:?}"),
        }
    }
    total += 6_000;
    // Now the claim of before arrives, which says that the node has less than it has.
    road.release().await;
    total += spend(std::slice::from_ref(&b), &limits, 8, 3).await;
    a.tend(at(1)).await;
    total += spend(&[a, b], &limits, 8, 3).await;
    assert!(total <= BUDGET + 2 * ANSWER, "{total}");
    assert!(total > BUDGET - BUDGET / 10, "the budget can be used: {total}");
}

/// A way to Redis on which what is sent can be held up, even after its sender has gone.
struct Road {
    port: u16,
    /// Connections made while it is held are held for as long.
    held: Arc<AtomicBool>,
    released: tokio::sync::watch::Sender<bool>,
    arrived: tokio::sync::watch::Receiver<u32>,
}

impl Road {
    async fn to(port: u16) -> Self {
        let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = bound.local_addr().unwrap().port();
        let held = Arc::new(AtomicBool::new(false));
        let (released, wait) = tokio::sync::watch::channel(false);
        let (arrive, arrived) = tokio::sync::watch::channel(0);
        let (is_held, arrive) = (held.clone(), Arc::new(arrive));
        tokio::spawn(async move {
            while let Ok((client, _)) = bound.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, is_held.clone(), wait.clone(), arrive.clone()));
            }
        });
        Self { port: own_port, held, released, arrived }
    }

    fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    fn let_new_ones_pass(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    /// What was held up goes on; on return Redis has answered it.
    async fn release(mut self) {
        self.released.send(true).unwrap();
        let arrived = self.arrived.wait_for(|count| *count > 0);
        tokio::time::timeout(LIMIT, arrived).await.expect("it arrives").unwrap();
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    held: Arc<AtomicBool>,
    mut released: tokio::sync::watch::Receiver<bool>,
    arrived: Arc<tokio::sync::watch::Sender<u32>>,
) {
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), server.into_split());
    let answering = tokio::spawn(async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = answers.read(&mut bytes).await {
            // Whoever asked may have gone.
            let _ = back.write_all(&bytes[..count]).await;
        }
    });
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let is_held = held.load(Ordering::SeqCst);
        if is_held {
            released.wait_for(|released| *released).await.unwrap();
        }
        to.write_all(&bytes[..count]).await.unwrap();
        if is_held {
            // Redis closes the connection once it has answered all that came before.
            to.write_all(b"QUIT\r\n").await.unwrap();
            answering.await.unwrap();
            arrived.send_modify(|count| *count += 1);
            return;
        }
    }
    answering.abort();
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
        let rules = EgressRules::new(&EgressConfig::loopback());
        let error = Redis::new(&settings, rules).err().expect("refused").to_string();
        assert!(error.contains(why) && error.contains("redis://host:6379/0"), "{error}");
    }
}

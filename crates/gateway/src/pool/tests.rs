//! Choosing: groups, weights, circuits, homes, drains; time is an argument.

use super::*;
use crate::asked::Asked;
use crate::config::{BackendConfig, UnknownPaths};
use openai::Catalogue;
use std::time::Duration;

struct World {
    catalogue: Catalogue,
    config: GatewayConfig,
    now: Instant,
}

impl World {
    /// Backends by id, priority and weight.
    fn new(backends: &[(&str, u32, u32)]) -> Self {
        let backends = backends
            .iter()
            .map(|&(id, priority, weight)| BackendConfig {
                id: id.into(),
                base_url: format!("http://{id}.test"),
                priority,
                weight,
                ..BackendConfig::default()
            })
            .collect();
        let config = GatewayConfig { backends, ..GatewayConfig::default() };
        Self { catalogue: Catalogue::builtin(), config, now: Instant::now() }
    }

    fn pool(&self, before: Option<&Pool>) -> Pool {
        Pool::new(&self.config, &BackendKeys::default(), &SecurityLog::default(), before).unwrap()
    }

    fn error(&self) -> String {
        Pool::new(&self.config, &BackendKeys::default(), &SecurityLog::default(), None)
            .err()
            .unwrap()
            .to_string()
    }

    fn asked(&self, method: &str, uri: &str) -> Asked {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        Asked::new(&self.catalogue, &request.into_parts().0, UnknownPaths::Proxy)
    }

    fn chat(&self, deployment: &str) -> Asked {
        let path =
            format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        self.asked("POST", &path)
    }
}

/// Chooses without having tried any; the id of the chosen, or why there is none.
fn choose(pool: &Pool, asked: &Asked, home: &Home, now: Instant) -> Result<Chosen, &'static str> {
    pool.choose(asked, home, &[], now).map_err(|away| away.why)
}

fn id(chosen: Result<Chosen, &'static str>) -> String {
    chosen.map_or_else(str::to_owned, |chosen| chosen.backend.id.clone())
}

fn fails(pool: &Pool, asked: &Asked, backend: &str, times: usize, now: Instant) {
    for _ in 0..times {
        let home = Home::Backend(backend.into());
        let mut chosen = choose(pool, asked, &home, now).ok().unwrap();
        chosen.answered(500, &http::HeaderMap::new(), now);
    }
}

fn shares(pool: &Pool, asked: &Asked, calls: usize, now: Instant) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..calls {
        *counts.entry(id(choose(pool, asked, &Home::Any, now))).or_default() += 1;
    }
    counts
}

#[test]
fn traffic_follows_weights_smoothly_and_for_every_deployment() {
    let world = World::new(&[("a", 1, 5), ("b", 1, 1), ("c", 1, 1)]);
    let pool = world.pool(None);
    let (one, other) = (world.chat("one"), world.chat("other"));
    let mut order = String::new();
    for _ in 0..7 {
        // Calls to two deployments take turns: neither sees only half of the backends.
        order += &id(choose(&pool, &one, &Home::Any, world.now));
        choose(&pool, &other, &Home::Any, world.now).ok().unwrap();
    }
    assert_eq!(order, "aabacaa", "as nginx does it");
    let counts = shares(&pool, &other, 700, world.now);
    assert_eq!((counts["a"], counts["b"], counts["c"]), (500, 100, 100));
}

#[test]
fn the_next_group_is_used_only_when_nothing_of_the_first_is_available() {
    let mut world = World::new(&[("late", 2, 1), ("paid", 1, 1), ("usage", 1, 1), ("paid2", 1, 1)]);
    world.config.backends[1].tier = Tier::Provisioned;
    world.config.backends[3].tier = Tier::Provisioned;
    let pool = world.pool(None);
    let chat = world.chat("m");
    let counts = shares(&pool, &chat, 10, world.now);
    assert_eq!((counts["paid"], counts["paid2"], counts.len()), (5, 5, 2));
    for full in ["paid", "paid2"] {
        let home = Home::Backend(full.into());
        let mut chosen = choose(&pool, &chat, &home, world.now).ok().unwrap();
        let headers = [("retry-after-ms".parse().unwrap(), "300".parse().unwrap())];
        chosen.answered(429, &headers.into_iter().collect(), world.now);
    }
    assert_eq!(shares(&pool, &chat, 3, world.now)["usage"], 3, "it spills over");
    assert_eq!(shares(&pool, &world.chat("n"), 2, world.now).get("usage"), None, "per deployment");
    pool.drain("usage", Drain::Balanced).unwrap();
    assert_eq!(shares(&pool, &chat, 3, world.now)["late"], 3);
    pool.drain("late", Drain::Balanced).unwrap();
    let away = pool.choose(&chat, &Home::Any, &[], world.now).err().unwrap();
    assert_eq!(away.until, Some(world.now + Duration::from_millis(300)), "the soonest moment");
    assert!(away.is_throttled);
    let later = world.now + Duration::from_millis(300);
    assert_eq!(shares(&pool, &chat, 4, later)["paid"], 2);
}

#[test]
fn least_outstanding_prefers_who_has_fewer_calls_for_its_weight() {
    let mut world = World::new(&[("big", 1, 3), ("small", 1, 1)]);
    world.config.pool.balance = Balance::LeastOutstanding;
    let pool = world.pool(None);
    let chat = world.chat("m");
    let held: Vec<_> =
        (0..8).map(|_| choose(&pool, &chat, &Home::Any, world.now).ok().unwrap()).collect();
    let big = held.iter().filter(|chosen| chosen.backend.id == "big").count();
    assert_eq!(big, 6);
    assert_eq!(pool.status(world.now)[0].in_flight, 6);
    drop(held);
    assert_eq!(pool.status(world.now)[0].in_flight, 0);
}

#[test]
fn one_circuit_per_backend_and_deployment_one_for_its_connections() {
    let world = World::new(&[("a", 1, 1), ("b", 2, 1)]);
    let pool = world.pool(None);
    let (m, n) = (world.chat("m"), world.chat("n"));
    fails(&pool, &m, "a", 3, world.now);
    assert_eq!(id(choose(&pool, &m, &Home::Any, world.now)), "b");
    assert_eq!(id(choose(&pool, &n, &Home::Any, world.now)), "a");
    let status = &pool.status(world.now)[0];
    assert!(status.is_up, "it can be reached");
    assert_eq!(status.circuits.len(), 1);
    let circuit = &status.circuits[0];
    assert_eq!((circuit.deployment.as_str(), circuit.state), ("m", "open"));
    assert_eq!((circuit.back_in_ms, circuit.failures), (Some(1_000), 3));
    let later = world.now + Duration::from_secs(1);
    let trial = choose(&pool, &m, &Home::Any, later).ok().unwrap();
    assert_eq!(trial.backend.id, "a");
    assert_eq!(id(choose(&pool, &m, &Home::Any, later)), "b", "one trial at a time");
    drop(trial);
    assert_eq!(id(choose(&pool, &m, &Home::Any, later)), "a", "it told nothing: another may try");
}

#[test]
fn stateful_work_is_never_balanced() {
    let mut world = World::new(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]);
    world.config.backends[2].fine_tuned = vec!["tuned".into()];
    let pool = world.pool(None);
    let threads = world.asked("POST", "/openai/threads?api-version=2024-05-01-preview");
    for _ in 0..3 {
        let home = Home::Backend("a".into());
        assert_eq!(id(choose(&pool, &threads, &home, world.now)), "a");
        assert_eq!(id(choose(&pool, &world.chat("tuned"), &Home::Any, world.now)), "c");
    }
    let gone = Home::Backend("z".into());
    assert!(id(choose(&pool, &threads, &gone, world.now)).contains("not configured"));
    fails(&pool, &threads, "b", 3, world.now);
    let home = Home::Backend("b".into());
    assert!(id(choose(&pool, &threads, &home, world.now)).contains("circuit is open"));
    world.config.backends[0].fine_tuned = vec!["tuned".into()];
    assert!(world.error().contains("has one home"), "{}", world.error());
}

#[test]
fn a_drained_backend_finishes_and_keeps_what_lives_on_it_unless_told_otherwise() {
    let mut world = World::new(&[("a", 1, 1), ("b", 1, 1)]);
    let pool = world.pool(None);
    let chat = world.chat("m");
    let threads = world.asked("POST", "/openai/threads?api-version=2024-05-01-preview");
    let home = Home::Backend("a".into());
    let in_flight = choose(&pool, &chat, &home, world.now).ok().unwrap();
    pool.drain("a", Drain::Balanced).unwrap();
    assert_eq!(shares(&pool, &chat, 4, world.now)["b"], 4);
    assert_eq!(id(choose(&pool, &threads, &home, world.now)), "a", "its own still come");
    // What is known of a backend survives a reload, changed or not.
    world.config.backends[0].weight = 7;
    let pool = world.pool(Some(&pool));
    let status = &pool.status(world.now)[0];
    assert_eq!((status.drain, status.in_flight), (Drain::Balanced, 1));
    pool.drain("a", Drain::Everything).unwrap();
    assert_eq!(id(choose(&pool, &threads, &home, world.now)), "it is drained");
    drop(in_flight);
    assert_eq!(pool.status(world.now)[0].in_flight, 0);
    pool.drain("a", Drain::Undrained).unwrap();
    assert_eq!(shares(&pool, &chat, 8, world.now)["a"], 7);
    assert_eq!(
        pool.drain("x", Drain::Balanced).unwrap_err().to_string(),
        "there is no backend `x`: there are a, b"
    );
}

#[test]
fn a_reload_keeps_circuits_but_not_those_of_another_service() {
    let mut world = World::new(&[("a", 1, 1), ("b", 2, 1)]);
    let pool = world.pool(None);
    let chat = world.chat("m");
    fails(&pool, &chat, "a", 3, world.now);
    world.config.backends[0].priority = 0;
    let pool = world.pool(Some(&pool));
    assert_eq!(id(choose(&pool, &chat, &Home::Any, world.now)), "b");
    world.config.backends[0].base_url = "http://elsewhere.test".into();
    let pool = world.pool(Some(&pool));
    assert_eq!(id(choose(&pool, &chat, &Home::Any, world.now)), "a");
}

#[test]
fn names_that_callers_invent_take_bounded_memory() {
    let world = World::new(&[("a", 1, 1), ("b", 1, 1)]);
    let pool = world.pool(None);
    for number in 0..2_000 {
        choose(&pool, &world.chat(&format!("m{number}")), &Home::Any, world.now).ok().unwrap();
    }
    assert!(pool.routes.read().unwrap().len() <= ROUTES_MAX);
    assert!(pool.backends[0].standing.lanes().len() <= 1_025);
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_fix() {
    let mut world = World::new(&[("a", 1, 0)]);
    assert_eq!(world.error(), "backend `a`: weight is 0; it may be 1 to 1000");
    world.config.backends[0].weight = 1;
    world.config.backends.push(world.config.backends[0].clone());
    assert_eq!(world.error(), "backend `a` stands twice: rename one");
    world.config.pool.attempts_max = 0;
    assert_eq!(world.error(), "pool.attempts_max is 0; it may be 1 to 16");
}

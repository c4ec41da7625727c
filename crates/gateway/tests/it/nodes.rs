//! Two gateways before the same backends: objects that one has seen made are at home for the other too,
//! through a real Redis that is killed on the way.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::Durability;
use net::{EgressConfig, EgressRules};
use serde_json::{Value, json};
use shared::{Directory, Redis, RedisSettings};
use simulator::Simulator;
use testing::RedisServer;

use crate::objects::{get, id, make, ten_thousand_follow_ups, upload};
use crate::support::{KEY, LIMIT, OTHER_KEY, Setup, World, named_simulator};

/// Two nodes before the same three instances.
async fn nodes(server: &RedisServer) -> ([World; 2], Vec<Simulator>) {
    let mut backends = Vec::new();
    for number in 0..3 {
        backends.push(named_simulator(&format!("instance-{number}")).await);
    }
    let urls: Vec<String> = backends.iter().map(Simulator::url).collect();
    let start = async |name: &str| {
        let settings = RedisSettings {
            url: format!("redis://127.0.0.1:{}/0", server.port()),
            timeout: Duration::from_secs(2),
            ..RedisSettings::default()
        };
        let redis = Redis::new(&settings, EgressRules::new(&EgressConfig::loopback())).unwrap();
        let mut setup = Setup::before(&urls);
        setup.config.backends.iter_mut().for_each(|backend| backend.priority = 1);
        setup.ledger.durability = Durability::Relaxed;
        setup.directory = Some(Directory::new(Arc::new(redis), name.into()));
        setup.start().await
    };
    ([start("a").await, start("b").await], backends)
}

/// Asks until it can be told whether there is such a thing.
async fn told(world: &World, key: &str, target: &str) -> u16 {
    let until = Instant::now() + LIMIT;
    loop {
        let answer = get(world, key, target).await;
        if answer.status != 503 || Instant::now() > until {
            return answer.status;
        }
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
        assert_eq!(answer.code(), "ObjectRegistryUnavailable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_follow_ups_over_either_node_go_home_and_strangers_get_404_on_both() {
    let Some(server) = RedisServer::start() else { return };
    let (nodes, _backends) = nodes(&server).await;
    let mut targets = Vec::new();
    for number in 0..240 {
        let (world, key) = (&nodes[number % 2], if number % 4 < 2 { KEY } else { OTHER_KEY });
        let body = json!({"model": "gpt-4o", "input": format!("hello {number}")});
        let response = make(world, key, "/v1/responses", body).await;
        targets.push((key, id(&response).to_owned(), format!("/v1/responses/{}", id(&response))));
        if number % 10 < 2 {
            let thread = make(world, key, "/v1/threads", json!({})).await;
            targets.push((key, String::new(), format!("/v1/threads/{}", id(&thread))));
        }
    }
    let homes: HashSet<String> = nodes.iter().flat_map(dispatched).collect();
    assert_eq!(homes.len(), 3, "responses are balanced over all backends");
    ten_thousand_follow_ups(&[&nodes[0], &nodes[1]], targets.clone()).await;
    for (key, _, target) in &targets {
        let stranger = if *key == KEY { OTHER_KEY } else { KEY };
        for world in &nodes {
            assert_eq!(told(world, stranger, target).await, 404, "{target}");
            assert_eq!(told(world, key, &format!("{target}-unknown")).await, 404);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_the_same_on_both_nodes() {
    let Some(server) = RedisServer::start() else { return };
    let (nodes, _backends) = nodes(&server).await;
    let mut made = Vec::new();
    for number in 0..10 {
        made.push(upload(&nodes[number % 2], KEY, "assistants", "text").await);
        upload(&nodes[number % 2], OTHER_KEY, "assistants", "other").await;
    }
    made.reverse();
    for world in &nodes {
        assert_eq!(told(world, KEY, "/v1/files").await, 200);
        let mut shown: Vec<String> = Vec::new();
        loop {
            let after = shown.last().map(|id| format!("&after={id}")).unwrap_or_default();
            let page = get(world, KEY, &format!("/v1/files?limit=3{after}")).await.json();
            let data: &Vec<Value> = page["data"].as_array().unwrap();
            shown.extend(data.iter().map(|file| id(file).to_owned()));
            if page["has_more"] == json!(false) {
                break;
            }
        }
        assert_eq!(shown, made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_nothing_is_denied_that_the_other_node_may_know() {
    let Some(mut server) = RedisServer::start() else { return };
    let (nodes, _backends) = nodes(&server).await;
    let thread = |made: &Value| format!("/v1/threads/{}", id(made));
    let before = thread(&make(&nodes[0], KEY, "/v1/threads", json!({})).await);
    assert_eq!(told(&nodes[1], KEY, "/v1/threads/thread_none").await, 404);
    server.kill();
    let meanwhile = thread(&make(&nodes[0], KEY, "/v1/threads", json!({})).await);
    for target in [&before, &meanwhile] {
        assert_eq!(get(&nodes[0], KEY, target).await.status, 200, "what it knows itself");
        let refused = get(&nodes[1], KEY, target).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "ObjectRegistryUnavailable"));
        assert!(refused.headers.contains_key("retry-after-ms"), "{:?}", refused.headers);
    }
    let list = get(&nodes[1], KEY, "/v1/files").await;
    assert_eq!(list.status, 503, "a part is no list");
    let hello = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]});
    make(&nodes[1], KEY, "/v1/chat/completions", hello).await;
    server.restart();
    for target in [&before, &meanwhile] {
        assert_eq!(told(&nodes[1], KEY, target).await, 200, "{target}");
        assert_eq!(told(&nodes[1], OTHER_KEY, target).await, 404, "{target}");
    }
    assert_eq!(told(&nodes[1], KEY, "/v1/threads/thread_none").await, 404);
}

fn dispatched(world: &World) -> Vec<String> {
    let stories = world.stories();
    let all = stories.iter().flat_map(|story| &story.dispatched);
    all.filter(|to| to.url.contains("/responses")).map(|to| to.backend_id.clone()).collect()
}

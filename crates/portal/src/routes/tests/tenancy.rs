//! Whoever is only a subscriber sees its own subscriptions, however it asks.

use axum::Router;
use axum::http::StatusCode;
use policy::SubscriptionConfig;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{portal_with, send};

const OWNERS: usize = 50;
const SUBSCRIPTIONS: usize = 200;
const READS: usize = 100_000;

async fn portal() -> Router {
    let subscription = |at: usize| SubscriptionConfig {
        id: format!("s{at}"),
        owner: format!("owner-{}", at % OWNERS),
        ..SubscriptionConfig::default()
    };
    let subscriptions = (0..SUBSCRIPTIONS).map(subscription).collect();
    portal_with(control::Decree { subscriptions, ..control::Decree::default() }).await
}

#[tokio::test]
async fn of_a_hundred_thousand_reads_across_tenants_none_succeeds() {
    let portal = portal().await;
    let mut random = SmallRng::seed_from_u64(4);
    for _ in 0..READS {
        let owner = random.random_range(0..OWNERS);
        let mut at = random.random_range(0..SUBSCRIPTIONS);
        if at % OWNERS == owner {
            at = (at + 1) % SUBSCRIPTIONS;
        }
        let (method, path) = match random.random_range(0..4) {
            0 => ("GET", format!("/admin/v1/subscriptions/s{at}")),
            1 => ("GET", format!("/admin/v1/subscriptions/s{at}/usage")),
            2 => ("POST", format!("/admin/v1/subscriptions/s{at}/rotate")),
            _ => ("GET", format!("/admin/v1/subscriptions?limit=1000&after=s{at}")),
        };
        let who = [("x-id", &*format!("owner-{owner}")), ("x-roles", "subscriber")];
        let body = if method == "POST" { r#"{"key":"primary"}"# } else { "" };
        let (status, answer) = send(&portal, method, &path, &who, body).await;
        match answer["items"].as_array() {
            Some(items) => {
                let own = format!("owner-{owner}");
                assert!(items.iter().all(|item| item["owner"] == own.as_str()), "{path}: {answer}");
            }
            // A state that a file holds refuses changes before it looks for what they are about.
            None => {
                let refused = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];
                assert!(refused.contains(&status), "{path} as {owner}: {status} {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_subscriber_sees_its_own_and_a_stranger_is_told_nothing() {
    let portal = portal().await;
    let who = [("x-id", "owner-7"), ("x-roles", "subscriber")];
    let (status, own) = send(&portal, "GET", "/admin/v1/subscriptions/s57", &who, "").await;
    assert_eq!((status, &own["owner"]), (StatusCode::OK, &json!("owner-7")));
    let (_, list) = send(&portal, "GET", "/admin/v1/subscriptions", &who, "").await;
    let ids: Vec<&Value> =
        list["items"].as_array().expect("items").iter().map(|i| &i["id"]).collect();
    assert_eq!(ids, ["s107", "s157", "s57", "s7"]);
    // The answer about another's is that about one that does not exist, but for the name.
    let (status, theirs) = send(&portal, "GET", "/admin/v1/subscriptions/s8", &who, "").await;
    let (missing, none) = send(&portal, "GET", "/admin/v1/subscriptions/s9999", &who, "").await;
    assert_eq!((status, missing), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(theirs.to_string().replace("s8", "s9999"), none.to_string());
    // Without the role, owning something opens nothing.
    let bare = [("x-id", "owner-7"), ("x-roles", "")];
    let (status, _) = send(&portal, "GET", "/admin/v1/subscriptions/s57", &bare, "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

//! Whoever is only a subscriber sees its own subscriptions, however it asks.

use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use policy::SubscriptionConfig;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{control_in, portal_over, send};

const OWNERS: usize = 10;
const SUBSCRIPTIONS: usize = 40;
/// Reads of all askers together.
const READS: usize = 100_000;
/// Askers at once.
const ASKERS: usize = 4;

/// A portal whose state a database in this folder holds.
async fn portal(folder: &Path) -> Router {
    let subscription = |at: usize| SubscriptionConfig {
        id: format!("s{at}"),
        owner: format!("owner-{}", at % OWNERS),
        ..SubscriptionConfig::default()
    };
    let subscriptions = (0..SUBSCRIPTIONS).map(subscription).collect();
    let decree = control::Decree { subscriptions, ..control::Decree::default() };
    let place = control::Place::Sqlite(folder.join("control.sqlite"));
    portal_over(control_in(folder, Some(place), decree).await)
}

/// Asks for what is another's. Most requests are for one subscription or its usage, as these are cheap; of a
/// thousand, twenty are lists and one would rotate a key.
async fn trespass(portal: Router, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..READS / ASKERS {
        let owner = random.random_range(0..OWNERS);
        let mut at = random.random_range(0..SUBSCRIPTIONS);
        if at % OWNERS == owner {
            at = (at + 1) % SUBSCRIPTIONS;
        }
        let (method, path) = match random.random_range(0..1_000) {
            0 => ("POST", format!("/admin/v1/subscriptions/s{at}/rotate")),
            1..=20 => ("GET", format!("/admin/v1/subscriptions?limit=1000&after=s{at}")),
            odd if odd % 2 == 1 => ("GET", format!("/admin/v1/subscriptions/s{at}/usage")),
            _ => ("GET", format!("/admin/v1/subscriptions/s{at}")),
        };
        let own = format!("owner-{owner}");
        let who = [("x-id", &*own), ("x-roles", "subscriber")];
        let body = if method == "POST" { r#"{"key":"primary"}"# } else { "" };
        let (status, answer) = send(&portal, method, &path, &who, body).await;
        match answer["items"].as_array() {
            Some(items) => {
                assert!(items.iter().all(|item| item["owner"] == own.as_str()), "{path}: {answer}");
            }
            None => assert_eq!(status, StatusCode::NOT_FOUND, "{path} as {owner}: {answer}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_thousand_reads_across_tenants_none_succeeds() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal(folder.path()).await;
    let askers = (0..ASKERS as u64).map(|seed| tokio::spawn(trespass(portal.clone(), seed)));
    for asker in askers.collect::<Vec<_>>() {
        asker.await.expect("nothing was seen");
    }
}

#[tokio::test]
async fn a_subscriber_sees_its_own_and_a_stranger_is_told_nothing() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal(folder.path()).await;
    let who = [("x-id", "owner-7"), ("x-roles", "subscriber")];
    let (status, own) = send(&portal, "GET", "/admin/v1/subscriptions/s17", &who, "").await;
    assert_eq!((status, &own["owner"]), (StatusCode::OK, &json!("owner-7")));
    let (_, list) = send(&portal, "GET", "/admin/v1/subscriptions", &who, "").await;
    let ids: Vec<&Value> =
        list["items"].as_array().expect("items").iter().map(|i| &i["id"]).collect();
    assert_eq!(ids, ["s17", "s27", "s37", "s7"]);
    // The answer about another's is that about one that does not exist, but for the name.
    let (status, theirs) = send(&portal, "GET", "/admin/v1/subscriptions/s8", &who, "").await;
    let (missing, none) = send(&portal, "GET", "/admin/v1/subscriptions/s9999", &who, "").await;
    assert_eq!((status, missing), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(theirs.to_string().replace("s8", "s9999"), none.to_string());
    // Without the role, owning something opens nothing.
    let bare = [("x-id", "owner-7"), ("x-roles", "")];
    let (status, _) = send(&portal, "GET", "/admin/v1/subscriptions/s17", &bare, "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

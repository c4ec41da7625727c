//! On a real PostgreSQL.

use testing::PostgresServer;

use super::{Node, action, author, subscribe};
use crate::{ErrorKind, Place};

fn place(server: &PostgresServer) -> Place {
    Place::postgres(&server.url(), None).expect("a URL")
}

#[test]
fn a_password_in_the_url_is_refused_and_its_place_is_named() {
    for url in [
        "postgres://gatehouse:canary@db.internal/gatehouse",
        "postgres://gatehouse:canary@/gatehouse",
        "postgres://gatehouse@db.internal/gatehouse?password=canary",
        "postgres://gatehouse@db.internal/gatehouse?sslmode=require&Password=canary",
        "gatehouse:canary@db.internal",
    ] {
        let refused = Place::postgres(url, None).expect_err(url);
        assert!(refused.contains("a field of its own: `password`"), "{url}: {refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
    for url in [
        "postgres://gatehouse@db.internal:5432/gatehouse",
        "postgres://[::1]:5432/gatehouse?sslmode=verify-full",
    ] {
        Place::postgres(url, Some("of its own")).expect(url);
    }
    let wrong = Place::postgres("https://db.internal", None).expect_err("another scheme");
    assert!(wrong.contains("postgres://user@host:5432/database"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_a_state_through_postgresql() {
    let Some(server) = PostgresServer::start() else { return };
    let first = Node::start(Some(place(&server))).await;
    let second = Node::start(Some(place(&server))).await;
    assert_eq!(second.control.live().number, 1, "there is one seed");
    assert_eq!(first.change(subscribe("team")).await, 2);
    second.control.look().await.expect("looks");
    assert_eq!(second.control.live(), first.control.live());
    // An edit begins with the newest version, not with what this node has.
    assert_eq!(first.change(subscribe("other")).await, 3);
    assert_eq!(second.change(subscribe("third")).await, 4);
    assert_eq!(second.control.live().decree.subscriptions.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_stops_changes_and_nothing_else_until_it_is_back() {
    let Some(mut server) = PostgresServer::start() else { return };
    let node = Node::start(Some(place(&server))).await;
    assert_eq!(node.change(subscribe("team")).await, 2);
    let decree = node.control.live().decree.clone();
    server.kill();
    let refused = node.control.change(&author(), &action(), subscribe("other")).await;
    assert_eq!(refused.expect_err("it is gone").kind(), ErrorKind::Unavailable);
    node.control.look().await.expect_err("it is gone");
    assert!(!node.control.status().database_reason.is_empty());
    assert_eq!(node.control.live().decree, decree, "what was in force is");
    server.restart();
    node.control.look().await.expect("it is back");
    assert_eq!(node.control.status().database_reason, "");
    assert_eq!(node.change(subscribe("other")).await, 3);
}

//! An alert rule of the state from its making to its removal: operators and usage readers see it, administrators
//! change it, and nobody overwrites what they have not read.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use control::{Decree, Publisher};
use serde_json::{Value, json};

use super::kept::{ADMINISTRATOR, Kept};
use super::{control_in, portal_over, send};

const ALL: &str = "/admin/v1/alert-rules";
const ONE: &str = "/admin/v1/alert-rules/many-429";

/// A gateway with the sink `team` and no other.
struct OneSink;

#[async_trait]
impl Publisher for OneSink {
    async fn publish(&self, _: Decree) -> Result<(), String> {
        Ok(())
    }

    async fn check(&self, before: &Decree, after: &Decree) -> Result<(), String> {
        let mut sinks = after.new_alert_rules(before).flat_map(|rule| &rule.sinks);
        let unknown = sinks.find(|sink| *sink != "team");
        unknown.map_or(Ok(()), |sink| Err(format!("sink `{sink}`: there is team")))
    }
}

fn body(query: &str) -> String {
    json!({ "name": "Many 429", "query": query, "threshold": 100, "sinks": ["team"] }).to_string()
}

fn many_429(portal: &Router) -> Kept<'_> {
    Kept { portal, target: ONE, kind: "alert_rule" }
}

async fn portal_in(folder: &std::path::Path) -> Router {
    let place = control::Place::Sqlite(folder.join("control.sqlite"));
    let control = control_in(folder, Some(place), Default::default()).await;
    control.publish_to(Arc::new(OneSink));
    portal_over(control)
}

#[tokio::test]
async fn a_rule_is_seen_by_operators_and_changed_by_who_has_read_it() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal_in(folder.path()).await;
    let (status, told) = send(&portal, "GET", ONE, &[ADMINISTRATOR], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
    assert!(told["detail"].as_str().is_some_and(|it| it.contains("put one with its id")), "{told}");
    let many_429 = many_429(&portal);
    let (tag, made) = many_429.make(&body("Interactions")).await;
    assert_eq!((&made["id"], &made["window_s"]), (&json!("many-429"), &json!(300)), "{made}");
    for role in ["operator", "usage_reader"] {
        let (status, list) = send(&portal, "GET", ALL, &[("x-roles", role)], "").await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let told = |at: usize| (&list["items"][at]["rule"]["id"], &list["items"][at]["origin"]);
        assert_eq!(told(0), (&json!("a"), &json!("built_in")));
        assert_eq!(told(1), (&json!("z"), &json!("file")));
        assert_eq!(list["items"][1]["replaces"], "built_in");
        many_429.is_only_read_as(role, &made).await;
    }
    many_429.is_changed_by_who_has_read_it(&tag, &body("Errors")).await;
}

#[tokio::test]
async fn what_cannot_be_looked_at_or_told_is_refused_with_the_reason() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal_in(folder.path()).await;
    let unread = body("Interactions\n| where (");
    let lost = body("Interactions").replace("team", "nobody");
    for (wrong, why) in [
        (&*unread, "alert rule `many-429`: line 2, column "),
        (&*lost, "sink `nobody`: there is team"),
        (r#"{"id":"other","query":"Interactions"}"#, "leave it out"),
        (r#"{"query":"Interactions","severity":9}"#, "severity may be 0 to 4"),
        (r#"{"query":"Interactions","treshold":9}"#, "treshold"),
        (r#"{}"#, "it looks at nothing"),
    ] {
        many_429(&portal).refuses(wrong, why).await;
    }
    for wrong in [unread, lost] {
        let mut rule: Value = serde_json::from_str(&wrong).expect("JSON");
        rule["id"] = json!("many-429");
        let state = json!({ "alert_rules": [rule] }).to_string();
        let target = "/admin/v1/state?dry_run=true";
        let (status, told) = send(&portal, "PUT", target, &[ADMINISTRATOR], &state).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    }
}

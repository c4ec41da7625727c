//! An alert rule of the state from its making to its removal: operators and usage readers see it, administrators
//! change it, and nobody overwrites what they have not read.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::{StatusCode, header};
use control::{Decree, Publisher};
use serde_json::{Value, json};

use super::{control_in, deliver, portal_over, send};

const ALL: &str = "/admin/v1/alert-rules";
const ONE: &str = "/admin/v1/alert-rules/many-429";
const ADMINISTRATOR: (&str, &str) = ("x-roles", "administrator");

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

/// Status, tag and JSON of a change by an administrator.
async fn change(
    portal: &Router,
    method: &str,
    condition: (&str, &str),
    body: &str,
) -> (StatusCode, String, Value) {
    let target = format!("{ONE}?reason=ticket%204711");
    let answer = deliver(portal, method, &target, &[ADMINISTRATOR, condition], body).await;
    let (head, body) = answer.into_parts();
    let tag = head.headers.get(header::ETAG).map(|tag| tag.to_str().expect("ASCII").to_owned());
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    (head.status, tag.unwrap_or_default(), serde_json::from_slice(&body).expect("JSON"))
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
    let new = ("if-none-match", "*");
    let (status, told) = send(&portal, "GET", ONE, &[ADMINISTRATOR], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
    assert!(told["detail"].as_str().is_some_and(|it| it.contains("put one with its id")), "{told}");
    let (status, first, made) = change(&portal, "PUT", new, &body("Interactions")).await;
    let told = (status, &made["id"], &made["window_s"]);
    assert_eq!(told, (StatusCode::OK, &json!("many-429"), &json!(300)), "{made}");
    let (status, _, told) = change(&portal, "PUT", new, &body("Errors")).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{told}");

    for role in ["operator", "usage_reader"] {
        let who = [("x-roles", role)];
        let (status, list) = send(&portal, "GET", ALL, &who, "").await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let told = |at: usize| (&list["items"][at]["rule"]["id"], &list["items"][at]["origin"]);
        assert_eq!(told(0), (&json!("a"), &json!("built_in")));
        assert_eq!(told(1), (&json!("z"), &json!("file")));
        assert_eq!(list["items"][1]["replaces"], "built_in");
        assert_eq!(send(&portal, "GET", ONE, &who, "").await, (StatusCode::OK, made.clone()));
        for method in ["PUT", "DELETE"] {
            let (status, told) = send(&portal, method, ONE, &who, &body("Errors")).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} as {role}: {told}");
        }
    }

    let read = ("if-match", &*first);
    let (status, second, told) = change(&portal, "PUT", read, &body("Errors")).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    for method in ["PUT", "DELETE"] {
        let (status, _, told) = change(&portal, method, read, &body("Interactions")).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{method}: {told}");
    }
    let (status, _, report) = change(&portal, "DELETE", ("if-match", &second), "").await;
    assert_eq!(status, StatusCode::OK, "{report}");
    let told = &report["changes"][0];
    assert_eq!((&told["kind"], &told["change"]), (&json!("alert_rule"), &json!("removed")));
    let (status, _, told) = change(&portal, "DELETE", ("if-match", "*"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
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
        let (status, _, told) = change(&portal, "PUT", ("x-id", "me"), wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {told}");
        assert!(told["detail"].as_str().is_some_and(|text| text.contains(why)), "{told}");
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

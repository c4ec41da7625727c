//! A dashboard from its making to its removal: whoever may query sees it, administrators change it, and
//! nobody overwrites what they have not read.

use axum::Router;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{control_in, deliver, portal_over, send};

const ALL: &str = "/admin/v1/dashboards";
const ONE: &str = "/admin/v1/dashboards/calls";
const ADMINISTRATOR: (&str, &str) = ("x-roles", "administrator");

fn body(query: &str) -> String {
    let parameters = json!([{ "name": "Span", "type": "timespan", "first": "24h" }]);
    let tiles = json!([{ "title": "All calls", "query": query, "is_wide": true }]);
    json!({ "name": "Calls", "parameters": parameters, "tiles": tiles }).to_string()
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

#[tokio::test]
async fn a_dashboard_is_seen_by_readers_and_changed_by_who_has_read_it() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let place = control::Place::Sqlite(folder.path().join("control.sqlite"));
    let portal = portal_over(control_in(folder.path(), Some(place), Default::default()).await);
    let new = ("if-none-match", "*");
    let (status, first, made) = change(&portal, "PUT", new, &body("Interactions")).await;
    assert_eq!((status, &made["id"]), (StatusCode::OK, &json!("calls")), "{made}");
    let (status, _, told) = change(&portal, "PUT", new, &body("Errors")).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{told}");

    for role in ["operator", "usage_reader", "content_reader", "subscriber"] {
        let who = [("x-roles", role)];
        let (status, list) = send(&portal, "GET", ALL, &who, "").await;
        assert_eq!((status, &list), (StatusCode::OK, &json!({ "items": [made], "next": null })));
        assert_eq!(send(&portal, "GET", ONE, &who, "").await, (StatusCode::OK, made.clone()));
        for method in ["PUT", "DELETE"] {
            let (status, told) = send(&portal, method, ONE, &who, &body("Errors")).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} as {role}: {told}");
        }
    }

    let read = ("if-match", &*first);
    let (status, second, told) = change(&portal, "PUT", read, &body("Errors | count")).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    for method in ["PUT", "DELETE"] {
        let (status, _, told) = change(&portal, method, read, &body("Interactions")).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{method}: {told}");
    }
    let (status, _, report) = change(&portal, "DELETE", ("if-match", &second), "").await;
    assert_eq!(status, StatusCode::OK, "{report}");
    let told = &report["changes"][0];
    assert_eq!((&told["kind"], &told["change"]), (&json!("dashboard"), &json!("removed")));
    let (status, _, told) = change(&portal, "DELETE", ("if-match", "*"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_with_the_reason() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let place = control::Place::Sqlite(folder.path().join("control.sqlite"));
    let portal = portal_over(control_in(folder.path(), Some(place), Default::default()).await);
    let unread = body("Interactions\n| where TimeGenerated > ago(Span");
    for (wrong, why) in [
        (&*unread, "dashboard `calls`, tile `All calls`: line 2, column "),
        (r#"{"id":"other","name":"Calls"}"#, "leave it out"),
        (r#"{"name":""}"#, "needs a name of 1 to 100 characters"),
        (r#"{"name":"Calls","isWide":true}"#, "isWide"),
    ] {
        let (status, _, told) = change(&portal, "PUT", ("x-id", "me"), wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {told}");
        assert!(told["detail"].as_str().is_some_and(|text| text.contains(why)), "{told}");
    }
    let state = json!({ "dashboards": [serde_json::from_str::<Value>(&unread).expect("JSON")] });
    let target = "/admin/v1/state?dry_run=true";
    let (status, told) = send(&portal, "PUT", target, &[ADMINISTRATOR], &state.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
}

//! A dashboard from its making to its removal: whoever may query sees it, administrators change it, and
//! nobody overwrites what they have not read.

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::kept::{ADMINISTRATOR, Kept};
use super::{control_in, portal_over, send};

const ALL: &str = "/admin/v1/dashboards";

fn body(query: &str) -> String {
    let parameters = json!([{ "name": "Span", "type": "timespan", "first": "24h" }]);
    let tiles = json!([{ "title": "All calls", "query": query, "is_wide": true }]);
    json!({ "name": "Calls", "parameters": parameters, "tiles": tiles }).to_string()
}

async fn portal_in(folder: &std::path::Path) -> Router {
    let place = control::Place::Sqlite(folder.join("control.sqlite"));
    portal_over(control_in(folder, Some(place), Default::default()).await)
}

fn calls(portal: &Router) -> Kept<'_> {
    Kept { portal, target: "/admin/v1/dashboards/calls", kind: "dashboard" }
}

#[tokio::test]
async fn a_dashboard_is_seen_by_readers_and_changed_by_who_has_read_it() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal_in(folder.path()).await;
    let calls = calls(&portal);
    let (tag, made) = calls.make(&body("Interactions")).await;
    assert_eq!(made["id"], "calls");
    for role in ["operator", "usage_reader", "content_reader", "subscriber"] {
        let (status, list) = send(&portal, "GET", ALL, &[("x-roles", role)], "").await;
        assert_eq!((status, &list), (StatusCode::OK, &json!({ "items": [made], "next": null })));
        calls.is_only_read_as(role, &made).await;
    }
    calls.is_changed_by_who_has_read_it(&tag, &body("Errors | count")).await;
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_with_the_reason() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let portal = portal_in(folder.path()).await;
    let unread = body("Interactions\n| where TimeGenerated > ago(Span");
    for (wrong, why) in [
        (&*unread, "dashboard `calls`, tile `All calls`: line 2, column "),
        (r#"{"id":"other","name":"Calls"}"#, "leave it out"),
        (r#"{"name":""}"#, "needs a name of 1 to 100 characters"),
        (r#"{"name":"Calls","isWide":true}"#, "isWide"),
    ] {
        calls(&portal).refuses(wrong, why).await;
    }
    let state = json!({ "dashboards": [serde_json::from_str::<Value>(&unread).expect("JSON")] });
    let target = "/admin/v1/state?dry_run=true";
    let (status, told) = send(&portal, "PUT", target, &[ADMINISTRATOR], &state.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
}

//! What the desired state keeps under an id, such as a dashboard: from its making to its removal readers see it,
//! administrators change it, and nobody overwrites what they have not read.

use axum::Router;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{deliver, send};

pub(super) const ADMINISTRATOR: (&str, &str) = ("x-roles", "administrator");

/// A place for one thing.
pub(super) struct Kept<'a> {
    pub(super) portal: &'a Router,
    /// Its path.
    pub(super) target: &'a str,
    /// What it is called where changes are listed.
    pub(super) kind: &'a str,
}

impl Kept<'_> {
    /// Status, tag and JSON of a change by an administrator.
    pub(super) async fn change(
        &self,
        method: &str,
        condition: (&str, &str),
        body: &str,
    ) -> (StatusCode, String, Value) {
        let target = format!("{}?reason=ticket%204711", self.target);
        let answer = deliver(self.portal, method, &target, &[ADMINISTRATOR, condition], body).await;
        let (head, body) = answer.into_parts();
        let tag = head.headers.get(header::ETAG).map(|tag| tag.to_str().expect("ASCII").to_owned());
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        (head.status, tag.unwrap_or_default(), serde_json::from_slice(&body).expect("JSON"))
    }

    /// Makes it, where nothing is yet; answers its tag and what it is.
    pub(super) async fn make(&self, body: &str) -> (String, Value) {
        let new = ("if-none-match", "*");
        let (status, tag, made) = self.change("PUT", new, body).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        let (status, _, told) = self.change("PUT", new, body).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{told}");
        (tag, made)
    }

    /// Who has this role sees what was made and cannot change it.
    pub(super) async fn is_only_read_as(&self, role: &str, made: &Value) {
        let who = [("x-roles", role)];
        let found = send(self.portal, "GET", self.target, &who, "").await;
        assert_eq!(found, (StatusCode::OK, made.clone()));
        for method in ["PUT", "DELETE"] {
            let (status, told) =
                send(self.portal, method, self.target, &who, &made.to_string()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} as {role}: {told}");
        }
    }

    /// Only who has read what is there changes and removes it. `first` is its tag.
    pub(super) async fn is_changed_by_who_has_read_it(&self, first: &str, other: &str) {
        let read = ("if-match", first);
        let (status, second, told) = self.change("PUT", read, other).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        for method in ["PUT", "DELETE"] {
            let (status, _, told) = self.change(method, read, other).await;
            assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{method}: {told}");
        }
        let (status, _, report) = self.change("DELETE", ("if-match", &second), "").await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let told = &report["changes"][0];
        assert_eq!((&told["kind"], &told["change"]), (&json!(self.kind), &json!("removed")));
        let (status, _, told) = self.change("DELETE", ("if-match", "*"), "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
    }

    /// Refused, for this reason.
    pub(super) async fn refuses(&self, body: &str, why: &str) {
        let (status, _, told) = self.change("PUT", ("x-id", "me"), body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {told}");
        assert!(told["detail"].as_str().is_some_and(|text| text.contains(why)), "{told}");
    }
}

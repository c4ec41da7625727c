//! SCIM as Entra ID's provisioning service speaks it, and what follows from it for those who sign in.

use serde_json::{Value, json};

use crate::entrance::tests::{House, cookies};
use crate::routes::tests::{deliver, send};

const TOKEN: &str = "provisioning-token-of-32-characters-or-more";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

impl House {
    async fn scim(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let token = format!("Bearer {TOKEN}");
        let headers = [("authorization", token.as_str())];
        let path = format!("/scim/v2{path}").replace(' ', "%20").replace('"', "%22");
        let (status, answer) = send(&self.portal, method, &path, &headers, &text).await;
        (status.as_u16(), answer)
    }

    async fn patch(&self, path: &str, operations: Value) -> (u16, Value) {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations,
        });
        self.scim("PATCH", path, body).await
    }

    /// A user as Entra ID makes one.
    async fn user(&self, name: &str, external_id: &str) -> String {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "externalId": external_id, "userName": name, "active": true,
            "emails": [{"primary": true, "type": "work", "value": name}],
            "meta": {"resourceType": "User"}, "password": "never kept",
            "name": {"formatted": "Ann Lee", "familyName": "Lee", "givenName": "Ann"}, "roles": [],
        });
        let (status, made) = self.scim("POST", "/Users", body).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn group(&self, name: &str, external_id: &str) -> String {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "externalId": external_id, "displayName": name, "meta": {"resourceType": "Group"},
        });
        let (status, made) = self.scim("POST", "/Groups", body).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }
}

#[tokio::test]
async fn the_requests_of_entras_provisioning_service_for_users() {
    let house = House::build().await;
    // It tries the connection with a user that is not there.
    let (status, none) =
        house.scim("GET", r#"/Users?filter=userName eq "ann@x.org""#, Value::Null).await;
    assert_eq!((status, &none["totalResults"], &none["Resources"]), (200, &json!(0), &json!([])));
    let id = house.user("ann@x.org", "oid-ann").await;
    for filter in [
        r#"userName eq "ANN@x.org""#,
        r#"externalId eq "oid-ann""#,
        r#"emails.value eq "ann@x.org""#,
    ] {
        let (_, found) = house.scim("GET", &format!("/Users?filter={filter}"), Value::Null).await;
        assert_eq!(
            (&found["totalResults"], &found["Resources"][0]["id"]),
            (&json!(1), &json!(id)),
            "{filter}"
        );
    }
    let path = format!("/Users/{id}");
    let (_, user) = house.scim("GET", &path, Value::Null).await;
    assert_eq!(user["name"]["givenName"], "Ann");
    assert_eq!(user["meta"]["resourceType"], "User");
    assert_eq!(user["meta"]["location"], format!("/scim/v2/Users/{id}"));
    assert!(user.get("password").is_none() && user["schemas"].is_array());
    let body = json!({"userName": "ann@x.org"});
    let (status, twice) = house.scim("POST", "/Users", body).await;
    assert_eq!(
        (status, &twice["scimType"], &twice["status"]),
        (409, &json!("uniqueness"), &json!("409"))
    );

    let (status, changed) = house
        .patch(
            &path,
            json!([
                {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "lee@x.org"},
                {"op": "Replace", "path": "name.familyName", "value": "Li"},
                {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Audit"},
                {"op": "Replace", "path": "active", "value": "False"},
            ]),
        )
        .await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["emails"], json!([{"primary": true, "type": "work", "value": "lee@x.org"}]));
    assert_eq!((&changed["name"]["familyName"], &changed["active"]), (&json!("Li"), &json!(false)));
    assert_eq!(changed[ENTERPRISE]["department"], "Audit");
    let body = json!({"userName": "ann@x.org", "externalId": "oid-ann", "active": true});
    let (status, replaced) = house.scim("PUT", &path, body).await;
    assert_eq!((status, replaced.get("emails")), (200, None), "what is not there any more is gone");

    assert_eq!(house.scim("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(house.scim("DELETE", &path, Value::Null).await.0, 404);
    assert_eq!(house.scim("GET", &path, Value::Null).await.0, 404);
    let recorded = house.recorded();
    for operation in ["users/create", "users/update", "users/replace", "users/delete"] {
        assert!(recorded.contains(&format!("{operation} by scim")), "{recorded:?}");
    }
}

#[tokio::test]
async fn the_requests_of_entras_provisioning_service_for_groups() {
    let house = House::build().await;
    let (ann, bob) = (house.user("ann@x.org", "a").await, house.user("bob@x.org", "b").await);
    let id = house.group("Auditors", "oid-auditors").await;
    let path = format!("/Groups/{id}");
    let find = r#"/Groups?excludedAttributes=members&filter=displayName eq "auditors""#;
    let (_, found) = house.scim("GET", find, Value::Null).await;
    assert_eq!((&found["totalResults"], found["Resources"][0].get("members")), (&json!(1), None));
    let add = json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": ann}, {"$ref": null, "value": bob}]}]);
    assert_eq!(house.patch(&path, add).await.0, 200);
    let (_, group) = house.scim("GET", &path, Value::Null).await;
    assert_eq!(group["members"].as_array().map(Vec::len), Some(2));
    // Whether somebody is a member is asked with a filter.
    for (member, count) in [(&bob, 1), (&id, 0)] {
        let find = format!(r#"/Groups?filter=id eq "{id}" and members eq "{member}""#);
        assert_eq!(house.scim("GET", &find, Value::Null).await.1["totalResults"], count);
    }
    let (_, user) = house.scim("GET", &format!("/Users/{bob}"), Value::Null).await;
    assert_eq!(user["groups"][0]["display"], "Auditors");
    let remove = json!([{"op": "Remove", "path": "members", "value": [{"value": bob}]}]);
    let (_, group) = house.patch(&path, remove).await;
    assert_eq!(group["members"][0]["value"], json!(ann));
    let rename = json!([{"op": "Replace", "path": "displayName", "value": "Reviewers"}]);
    assert_eq!(house.patch(&path, rename).await.1["displayName"], "Reviewers");
    // A user that goes leaves its groups.
    assert_eq!(house.scim("DELETE", &format!("/Users/{ann}"), Value::Null).await.0, 204);
    assert_eq!(house.scim("GET", &path, Value::Null).await.1["members"], json!([]));
    assert_eq!(house.scim("DELETE", &path, Value::Null).await.0, 204);
}

#[tokio::test]
async fn lists_come_in_pages_and_what_is_wrong_is_named() {
    let house = House::build().await;
    for number in 1..=5 {
        house.user(&format!("user-{number}@x.org"), &format!("oid-{number}")).await;
    }
    let (_, page) =
        house.scim("GET", "/Users?startIndex=4&count=3&attributes=userName", Value::Null).await;
    assert_eq!(
        (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]),
        (&json!(5), &json!(4), &json!(2))
    );
    assert_eq!(page["Resources"][0]["userName"], "user-4@x.org");
    assert!(page["Resources"][0].get("emails").is_none() && page["Resources"][0]["id"].is_string());
    assert_eq!(house.scim("GET", "/Users?count=0", Value::Null).await.1["Resources"], json!([]));
    let id = house.user("ann@x.org", "oid-ann").await;
    let path = format!("/Users/{id}");
    for (method, path, body, expected) in [
        ("GET", "/Users?filter=userName co \"x\"", Value::Null, (400, "invalidFilter")),
        ("POST", "/Users", json!({"displayName": "nobody"}), (400, "invalidValue")),
        ("POST", "/Users", json!({"userName": 7}), (400, "invalidValue")),
        ("POST", "/Users", json!([]), (400, "invalidSyntax")),
        ("POST", "/Users", json!({"userName": "x", "active": "maybe"}), (400, "invalidValue")),
        ("POST", "/Users", json!({"userName": "x", "externalId": "oid-1"}), (409, "uniqueness")),
        (
            "POST",
            "/Users",
            json!({"userName": "x", "note": "x".repeat(70_000)}),
            (400, "invalidValue"),
        ),
        (
            "POST",
            "/Groups",
            json!({"displayName": "g", "members": [{"value": "nobody"}]}),
            (400, "invalidValue"),
        ),
        (
            "PATCH",
            &path,
            json!({"Operations": [{"op": "replace", "path": "id", "value": "x"}]}),
            (400, "mutability"),
        ),
        (
            "PATCH",
            &path,
            json!({"Operations": [{"op": "remove", "path": "userName"}]}),
            (400, "invalidValue"),
        ),
        ("PATCH", "/Users/nobody", json!({"Operations": []}), (404, "")),
    ] {
        let (status, answer) = house.scim(method, path, body).await;
        assert_eq!(
            (status, answer["scimType"].as_str().unwrap_or("")),
            expected,
            "{path}: {answer}"
        );
        assert_eq!(answer["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    }
    for document in ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"] {
        assert_eq!(house.scim("GET", document, Value::Null).await.0, 200);
    }
}

#[tokio::test]
async fn only_the_provisioning_token_opens_scim_and_it_opens_nothing_else() {
    let house = House::build().await;
    for token in ["", "Bearer ", "Bearer wrong", "Basic x"] {
        let headers = [("authorization", token)];
        let (status, answer) = send(&house.portal, "GET", "/scim/v2/Users", &headers, "").await;
        assert_eq!((status.as_u16(), &answer["status"]), (401, &json!("401")), "{token}");
    }
    let token = format!("Bearer {TOKEN}");
    for path in ["/admin/v1/products", "/admin/v1/me", "/v1/workspaces/x/query?query=x"] {
        let answer = deliver(&house.portal, "GET", path, &[("authorization", &token)], "").await;
        assert_eq!(answer.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn groups_of_the_directory_count_and_who_is_deactivated_is_out_at_once() {
    let house = House::build().await;
    let oid = house.oid("ann");
    let claims = json!({"groups": []});
    assert_eq!(house.come("", claims.clone()).await.status(), 403, "no group, no role");
    let (ann, group) =
        (house.user("ann@x.org", &oid).await, house.group("Operators", "g-admins").await);
    assert_eq!(house.come("", claims.clone()).await.status(), 403, "not a member yet");
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ann}]}]);
    house.patch(&format!("/Groups/{group}"), add.clone()).await;
    let signed_in = house.come("", claims.clone()).await;
    assert_eq!(house.me(&signed_in).await["roles"], json!(["operator"]));
    // What the directory takes away is gone at the next request, and comes back as soon.
    let remove = json!([{"op": "remove", "path": "members"}]);
    house.patch(&format!("/Groups/{group}"), remove).await;
    assert_eq!(house.me(&signed_in).await["roles"], json!([]));
    house.patch(&format!("/Groups/{group}"), add).await;
    assert_eq!(house.me(&signed_in).await["roles"], json!(["operator"]));
    house.events();

    let path = format!("/Users/{ann}");
    let active = |is: bool| json!([{"op": "Replace", "path": "active", "value": is}]);
    house.patch(&path, active(false)).await;
    let cookie = cookies(&signed_in);
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(send(&house.portal, "GET", "/admin/v1/me", &headers, "").await.0, 401);
    assert_eq!(house.come("", claims.clone()).await.status(), 401, "nor does it sign in again");
    let reason = |kind: &str| (kind.to_owned(), "UserDeactivated".to_owned());
    assert_eq!(house.events(), [reason("sign_out"), reason("sign_in_failed")]);
    house.patch(&path, active(true)).await;
    assert_eq!(
        send(&house.portal, "GET", "/admin/v1/me", &headers, "").await.0,
        401,
        "it has ended"
    );
    // A user that is deleted has no session either.
    let signed_in = house.come("", claims).await;
    assert_eq!(signed_in.status(), 303);
    house.scim("DELETE", &path, Value::Null).await;
    assert!(house.me(&signed_in).await.get("roles").is_none());
}

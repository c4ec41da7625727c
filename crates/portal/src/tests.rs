//! Both query APIs as their clients meet them, over an engine that answers from memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use control::{Control, Decree, Place};
use event::Note;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use kql::{
    Access as Seen, Column, Content, Export, FileFormat, Frame, Options, Pieces, QueryError,
    QueryErrorKind, Schema, Type, Value as Cell,
};
use policy::{Principal, PrincipalKind, Role};
use serde_json::{Value, json};

use crate::access::{Access, Authenticator};
use crate::config::PortalConfig;
use crate::inner::{Portal, Wiring};
use crate::problem::Problem;
use crate::record::Record;
use crate::routes::tests::{Nothing, control, control_in};
use crate::sign_in::{SignIn, SignInSettings, SignInWiring};

/// Answers one row that tells what it was asked with; `secret` reads content, `long` is cut.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<Options>>,
    notes: Mutex<Vec<Note>>,
    /// The ledger is down.
    is_full: bool,
}

#[async_trait]
impl kql::Engine for Desk {
    async fn run(&self, query: &str, options: &Options) -> Result<Frame, QueryError> {
        self.asked.lock().unwrap().push(options.clone());
        if query.contains("nowhere") {
            let text = "'nowhere' could not be resolved";
            return Err(QueryError::new(QueryErrorKind::Semantic, text));
        }
        let mut frame = Frame {
            columns: vec![Column::new("said", Type::String), Column::new("bag", Type::Dynamic)],
            rows: vec![vec![Cell::String(query.into()), Cell::Dynamic(r#"{"a":1}"#.into())]],
            ..Frame::default()
        };
        if query.contains("secret") {
            match options.access.content {
                Content::Readable => frame.content_columns = vec!["Messages.Content".into()],
                Content::WithoutPurpose => {
                    let text = "state what for: x-gatehouse-purpose";
                    return Err(QueryError::new(QueryErrorKind::Forbidden, text));
                }
                Content::Masked => {}
            }
        }
        frame.truncated = query.contains("long").then(|| "too many rows".into());
        Ok(frame)
    }

    async fn export(
        &self,
        query: &str,
        options: &Options,
        format: FileFormat,
    ) -> Result<Export, QueryError> {
        let frame = self.run(query, options).await?;
        let mut pieces = vec![Ok(format!("{} {query}", format.name()).into_bytes())];
        if query.contains("breaks") {
            let text = "the rest is secret";
            pieces.push(Err(QueryError::new(QueryErrorKind::Evaluation, text)));
        }
        let pieces = Box::new(Made(pieces.into_iter()));
        Ok(Export { content_columns: frame.content_columns, pieces })
    }

    fn catalogue(&self, access: &Seen) -> Arc<dyn kql::Catalogue> {
        let all = *access != Seen::of_subscriptions(["mine".to_owned()]);
        Arc::new(Tables(if all { vec!["AdminActions", "Messages"] } else { vec!["Messages"] }))
    }
}

struct Made(std::vec::IntoIter<Result<Vec<u8>, QueryError>>);

#[async_trait]
impl Pieces for Made {
    async fn next(&mut self) -> Option<Result<Vec<u8>, QueryError>> {
        self.0.next()
    }
}

struct Tables(Vec<&'static str>);

impl kql::Catalogue for Tables {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        let columns = vec![
            Column::new("TimeGenerated", Type::Datetime),
            Column::new("Content", Type::String),
        ];
        self.0.contains(&name).then(|| Arc::new(Schema::new(columns)))
    }

    fn table_names(&self) -> Vec<String> {
        self.0.iter().map(|name| (*name).to_owned()).collect()
    }
}

#[async_trait]
impl Record for Desk {
    async fn keep(&self, note: Note) -> Result<(), String> {
        if self.is_full {
            return Err("no space left on device".into());
        }
        self.notes.lock().unwrap().push(note);
        Ok(())
    }
}

/// Holds this role.
struct Holder(Role);

#[async_trait]
impl Authenticator for Holder {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        if !head.headers.contains_key("authorization") {
            return Ok(None);
        }
        let id = head.headers.get("x-id").and_then(|id| id.to_str().ok()).unwrap_or("oid-7");
        Ok(Some(Principal {
            id: id.into(),
            name: "Ada".into(),
            kind: PrincipalKind::User,
            roles: [self.0].into(),
            subscriptions: vec!["mine".into()],
            ..Principal::default()
        }))
    }
}

async fn send(
    desk: &Arc<Desk>,
    role: Role,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response<Body> {
    let portal = portal(desk, role, &PortalConfig::default()).await;
    send_to(&portal, target, headers, body).await
}

async fn portal(desk: &Arc<Desk>, role: Role, config: &PortalConfig) -> Portal {
    portal_over(desk, role, config, control(Decree::default()).await)
}

fn portal_over(desk: &Arc<Desk>, role: Role, config: &PortalConfig, control: Control) -> Portal {
    Portal::new(
        config,
        Wiring {
            engine: Arc::clone(desk) as Arc<dyn kql::Engine>,
            operations: Arc::new(Nothing),
            access: Access::new(vec![Box::new(Holder(role))]),
            records: Arc::new(Nothing),
            sign_in: SignIn::new(SignInSettings::default(), SignInWiring::default())
                .expect("valid"),
            record: Arc::clone(desk) as Arc<dyn Record>,
            control,
            watch: Arc::new(|_| {}),
            vouch: Arc::new(|peer, _| peer),
        },
    )
}

async fn send_to(
    portal: &Portal,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response<Body> {
    let method = if body.is_null() { Method::GET } else { Method::POST };
    let mut request = Request::builder().method(method).uri(target);
    request =
        request.header("authorization", "Bearer x").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let service = TowerToHyperService::new(portal.clone().router());
    service.call(request.body(Body::from(text)).unwrap()).await.unwrap()
}

async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn ask(
    desk: &Arc<Desk>,
    role: Role,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (StatusCode, Value) {
    read(send(desk, role, target, headers, body).await).await
}

#[tokio::test]
async fn content_is_read_for_a_purpose_that_is_on_record_before_it_is_shown() {
    let purpose = ("x-gatehouse-purpose", "case 7");
    let kusto = json!({ "csl": "secret" });
    let logs = json!({ "query": "secret" });
    for (target, body) in [
        ("/v1/rest/query", &kusto),
        ("/v2/rest/query", &kusto),
        ("/v1/workspaces/w/query", &logs),
        ("/v1/subscriptions/s/resourceGroups/g/query", &logs),
    ] {
        let desk = Arc::new(Desk::default());
        let (status, refused) = ask(&desk, Role::ContentReader, target, &[], body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{target}");
        assert!(refused.to_string().contains("x-gatehouse-purpose"), "{refused}");
        assert!(desk.notes.lock().unwrap().is_empty());
        let (status, _) = ask(&desk, Role::ContentReader, target, &[purpose], body).await;
        assert_eq!(status, StatusCode::OK, "{target}");
        let notes = desk.notes.lock().unwrap();
        let [Note::ContentRead(note)] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!(
            (&*note.purpose, &*note.query, &*note.principal_id),
            ("case 7", "secret", "oid-7")
        );
        assert_eq!(note.columns.0, r#"["Messages.Content"]"#);
    }
}

#[tokio::test]
async fn with_a_second_approver_content_is_read_once_another_person_has_agreed() {
    let config = PortalConfig {
        second_approver: Some(crate::SecondApproverConfig::default()),
        ..PortalConfig::default()
    };
    let (desk, folder) = (Arc::new(Desk::default()), tempfile::TempDir::new().unwrap());
    let started = async |ledger: &str| {
        let own = folder.path().join(ledger);
        std::fs::create_dir(&own).unwrap();
        let place = Place::Sqlite(folder.path().join("control.sqlite"));
        let control = control_in(&own, Some(place), Decree::default()).await;
        portal_over(&desk, Role::ContentReader, &config, control)
    };
    let before = started("first").await;
    let call = async |target: &str, headers: &[(&str, &str)], body: &Value| {
        read(send_to(&before, target, headers, body).await).await
    };
    let purpose = ("x-gatehouse-purpose", "case 7");
    let (kusto, logs) = (json!({ "csl": "secret" }), json!({ "query": "secret" }));
    let reads = [
        ("/v1/rest/query", &kusto),
        ("/v2/rest/query", &kusto),
        ("/v1/workspaces/w/query", &logs),
        ("/admin/v1/query/export?format=csv", &kusto),
        (
            "/admin/v1/interactions/0197a2c4-0000-7000-8000-000000000000/raw?last=1&side=request",
            &Value::Null,
        ),
    ];
    for (target, body) in reads {
        let (status, refused) = call(target, &[purpose], body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{target}: {refused}");
        assert!(refused.to_string().contains("/admin/v1/approvals"), "{target}: {refused}");
    }
    assert!(desk.notes.lock().unwrap().is_empty(), "nothing was shown");
    let (status, asked) = call("/admin/v1/approvals", &[], &json!({ "purpose": "case 7" })).await;
    assert_eq!(status, StatusCode::OK, "{asked}");
    let approve = format!("/admin/v1/approvals/{}/approve", asked["id"].as_str().unwrap());
    let (status, own) = call(&approve, &[], &json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{own}");
    let (status, given) = call(&approve, &[("x-id", "oid-8")], &json!({})).await;
    assert_eq!((status, &given["state"]), (StatusCode::OK, &json!("approved")), "{given}");
    let (_, listed) = call("/admin/v1/approvals", &[], &Value::Null).await;
    assert_eq!((&listed["is_needed"], &listed["items"][0]), (&json!(true), &given));
    drop(before);
    let after = started("second").await;
    let call = async |target: &str, headers: &[(&str, &str)], body: &Value| {
        read(send_to(&after, target, headers, body).await).await
    };
    for (target, body) in &reads[..4] {
        let (status, answer) = call(target, &[purpose], body).await;
        assert_eq!(status, StatusCode::OK, "{target}: {answer}");
        let last = desk.notes.lock().unwrap().pop();
        let Some(Note::ContentRead(note)) = last else { panic!("{last:?}") };
        assert_eq!((&*note.purpose, &*note.approver_id), ("case 7", "oid-8"), "{target}");
        let other = ("x-gatehouse-purpose", "case 8");
        let (status, _) = call(target, &[other], body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{target}: for another purpose");
        let (status, _) = call(target, &[purpose, ("x-id", "oid-9")], body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{target}: by another person");
    }
    let (status, _) = call("/v1/rest/query", &[purpose], &json!({ "csl": "print 1" })).await;
    assert_eq!(status, StatusCode::OK, "what holds no content takes no approval");
}

#[tokio::test]
async fn an_order_to_erase_names_interactions_and_says_why() {
    let desk = Arc::new(Desk::default());
    let id = "0197a2c4-0000-7000-8000-000000000000";
    let order = |ids: Value, purpose: &str| json!({ "correlation_ids": ids, "purpose": purpose });
    let many: Vec<String> =
        (0..10_001).map(|n| format!("0197a2c4-0000-7000-8000-{n:012}")).collect();
    for (body, fix) in [
        (order(json!([]), "x"), "name 1 to 10000"),
        (order(json!(many), "x"), "more in further orders"),
        (order(json!(["one"]), "x"), "see the column CorrelationId"),
        (order(json!([id]), " "), "say in `purpose` why"),
        (order(json!([id]), &"x".repeat(1_001)), "say in `purpose` why"),
    ] {
        let (status, told) =
            ask(&desk, Role::Administrator, "/admin/v1/erasures", &[], &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        assert!(told.to_string().contains(fix), "{told}");
    }
    let body = order(json!([id]), "right to erasure");
    let (status, _) = ask(&desk, Role::ContentReader, "/admin/v1/erasures", &[], &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "whoever may read may not erase");
    let (status, told) = ask(&desk, Role::Administrator, "/admin/v1/erasures", &[], &body).await;
    assert_eq!((status, &told["is_done"]), (StatusCode::OK, &json!(true)), "{told}");
    assert_eq!(told["state"]["waiting"], 1, "it was handed over");
    assert_eq!((&told["found"], &told["unknown"]), (&json!(0), &json!([id])), "no table has it");
    let dry = json!({ "correlation_ids": [id], "purpose": "x", "dry_run": true });
    let (_, told) = ask(&desk, Role::Administrator, "/admin/v1/erasures", &[], &dry).await;
    assert_eq!((&told["erasure_id"], &told["state"]["waiting"]), (&json!(""), &json!(0)));
}

#[tokio::test]
async fn with_a_second_approver_erasing_takes_one_too() {
    let config = PortalConfig {
        second_approver: Some(crate::SecondApproverConfig::default()),
        ..PortalConfig::default()
    };
    let (desk, folder) = (Arc::new(Desk::default()), tempfile::TempDir::new().unwrap());
    let place = Place::Sqlite(folder.path().join("control.sqlite"));
    let control = control_in(folder.path(), Some(place), Decree::default()).await;
    let portal = portal_over(&desk, Role::Administrator, &config, control);
    let call = async |target: &str, headers: &[(&str, &str)], body: &Value| {
        read(send_to(&portal, target, headers, body).await).await
    };
    let ids = json!(["0197a2c4-0000-7000-8000-000000000000"]);
    let order = json!({ "correlation_ids": ids, "purpose": "case 7" });
    let look = json!({ "correlation_ids": ids, "purpose": "case 7", "dry_run": true });
    assert_eq!(
        call("/admin/v1/erasures", &[], &look).await.0,
        StatusCode::OK,
        "to look takes none"
    );
    let (status, refused) = call("/admin/v1/erasures", &[], &order).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    assert!(refused.to_string().contains("/admin/v1/approvals"), "{refused}");
    let body = json!({ "purpose": "erase: case 7" });
    let (status, asked) = call("/admin/v1/approvals", &[], &body).await;
    assert_eq!(status, StatusCode::OK, "{asked}");
    let approve = format!("/admin/v1/approvals/{}/approve", asked["id"].as_str().unwrap());
    let (status, given) = call(&approve, &[("x-id", "oid-8")], &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{given}");
    let (status, told) = call("/admin/v1/erasures", &[], &order).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let other = json!({ "correlation_ids": ids, "purpose": "case 8" });
    assert_eq!(call("/admin/v1/erasures", &[], &other).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown() {
    let desk = Arc::new(Desk { is_full: true, ..Desk::default() });
    let purpose = ("x-gatehouse-purpose", "case 7");
    let body = json!({ "csl": "secret" });
    let (status, answer) =
        ask(&desk, Role::ContentReader, "/v2/rest/query", &[purpose], &body).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.to_string().contains("secret"), "{answer}");
    let plain = json!({ "csl": "print 1" });
    let (status, _) = ask(&desk, Role::ContentReader, "/v2/rest/query", &[], &plain).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_role_decides_what_a_query_may_see_whatever_it_states() {
    let purpose = ("x-gatehouse-purpose", "case 7");
    for (role, seen) in [
        (Role::Administrator, Seen::without_content()),
        (Role::Operator, Seen::without_content()),
        (Role::UsageReader, Seen::without_content()),
        (Role::ContentReader, Seen::everything()),
        (Role::Subscriber, Seen::of_subscriptions(["mine".to_owned()])),
    ] {
        let desk = Arc::new(Desk::default());
        let body =
            json!({ "csl": "secret", "properties": { "Options": { "x-gatehouse-purpose": "x" } } });
        ask(&desk, role, "/v1/rest/query", &[purpose], &body).await;
        assert_eq!(desk.asked.lock().unwrap()[0].access, seen, "{role}");
        assert_eq!(desk.asked.lock().unwrap()[0].principal.as_deref(), Some("Ada"));
    }
}

#[tokio::test]
async fn what_grafana_sends_is_answered() {
    let desk = Arc::new(Desk::default());
    let reader = Role::UsageReader;
    // Health, before version 5.
    let body =
        json!({ "csl": ".show databases schema", "db": "", "properties": { "Options": {} } });
    let (status, health) = ask(&desk, reader, "/v1/rest/query", &[], &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(health["Tables"][0]["TableName"], "Table_0");
    // The schema of the query editor.
    let body = json!({ "csl": ".show databases schema as json", "querySource": "schema" });
    let (_, schema) = ask(&desk, reader, "/v1/rest/mgmt", &[], &body).await;
    let text = schema["Tables"][0]["Rows"][0][0].as_str().expect("JSON as text");
    let databases: Value = serde_json::from_str(text).expect("JSON");
    let table = &databases["Databases"]["gatehouse"]["Tables"]["Messages"];
    assert_eq!(table["OrderedColumns"][0]["CslType"], "datetime");
    // The list of databases, and a query.
    let (_, list) =
        ask(&desk, reader, "/v1/rest/mgmt", &[], &json!({ "csl": ".show databases" })).await;
    assert_eq!(list["Tables"][0]["Rows"][0][0], "gatehouse");
    let body = json!({ "csl": "Messages | count", "db": "gatehouse", "querySource": "raw",
        "properties": { "Options": { "servertimeout": "00:00:30" } } });
    let headers = [("x-ms-app", "Grafana-ADX"), ("x-ms-client-request-id", "KGC.x;7")];
    let response = send(&desk, reader, "/v1/rest/query", &headers, &body).await;
    assert_eq!(response.headers()["x-ms-client-request-id"], "KGC.x;7");
    let (_, answer) = read(response).await;
    assert_eq!(answer["Tables"][0]["Rows"][0][1], json!({ "a": 1 }));
    assert!(answer.get("Exceptions").is_none());
    // An error is told in `error.@message`.
    let (status, wrong) =
        ask(&desk, reader, "/v1/rest/query", &[], &json!({ "csl": "nowhere" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(wrong["error"]["@message"].as_str().is_some_and(|text| text.contains("nowhere")));
}

#[tokio::test]
async fn a_subscriber_is_shown_its_own_tables_only() {
    let desk = Arc::new(Desk::default());
    for (role, count) in [(Role::UsageReader, 2), (Role::Subscriber, 1)] {
        let body = json!({ "csl": ".show tables" });
        let (_, tables) = ask(&desk, role, "/v1/rest/mgmt", &[], &body).await;
        assert_eq!(tables["Tables"][0]["Rows"].as_array().map(Vec::len), Some(count), "{role}");
        let (_, all) = ask(&desk, role, "/v1/workspaces/w/metadata", &[], &Value::Null).await;
        assert_eq!(all["tables"].as_array().map(Vec::len), Some(count), "{role}");
    }
}

#[tokio::test]
async fn commands_that_change_or_are_not_known_are_refused_by_name() {
    let desk = Arc::new(Desk::default());
    for command in
        [".drop table Messages", ".ingest inline into table Messages <| 1", ".show queries"]
    {
        let body = json!({ "csl": command });
        let (status, refused) = ask(&desk, Role::Administrator, "/v1/rest/mgmt", &[], &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{command}");
        assert!(
            refused["error"]["@message"].as_str().unwrap().contains(".show tables")
                || refused.to_string().contains(".show version"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn where_to_sign_in_is_told_to_everybody_and_nothing_else() {
    let desk = Arc::new(Desk::default());
    let portal = portal(&desk, Role::UsageReader, &PortalConfig::default()).await;
    let service = TowerToHyperService::new(portal.router());
    let get = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let (status, told) = read(service.call(get("/v1/rest/auth/metadata")).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(told["AzureAD"]["LoginMfaRequired"], false);
    for part in [
        "LoginEndpoint",
        "KustoClientAppId",
        "KustoClientRedirectUri",
        "KustoServiceResourceId",
        "FirstPartyAuthorityUrl",
    ] {
        assert!(told["AzureAD"][part].is_string(), "{part}");
    }
    let (status, _) = read(service.call(get("/v1/workspaces/w/metadata")).await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logs_are_asked_by_body_address_and_batch() {
    let desk = Arc::new(Desk::default());
    let reader = Role::UsageReader;
    let prefer = [("prefer", "wait=30,include-statistics=true,include-render=true")];
    let body = json!({ "query": "Messages", "timespan": "PT1H", "workspaces": null });
    let (status, answer) = ask(&desk, reader, "/v1/workspaces/w/query", &prefer, &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["tables"][0]["name"], "PrimaryResult");
    assert_eq!(answer["tables"][0]["columns"][1], json!({ "name": "bag", "type": "dynamic" }));
    assert_eq!(answer["tables"][0]["rows"][0][1], r#"{"a":1}"#, "dynamic values are text");
    assert!(answer["statistics"]["query"]["executionTime"].is_number());
    assert!(answer["render"].get("visualization").is_some(), "{answer}");
    let options = desk.asked.lock().unwrap()[0].clone();
    assert_eq!(options.timeout.as_secs(), 30);
    let (from, to) = options.time_range.expect("a range");
    assert_eq!(to - from, 3_600 * kql::TICKS_PER_SECOND + 1);
    let target = "/v1/workspaces/w/query?query=Messages%20%7C%20count&timespan=P1D";
    let (status, answer) = ask(&desk, reader, target, &[], &Value::Null).await;
    assert_eq!(
        (status, &answer["tables"][0]["rows"][0][0]),
        (StatusCode::OK, &json!("Messages | count"))
    );
    let batch = json!({ "requests": [
        { "id": "b", "headers": {}, "body": { "query": "nowhere" }, "path": "/query", "method": "POST", "workspace": "w" },
        { "id": "a", "headers": { "Prefer": "include-statistics=true" }, "body": { "query": "long" }, "workspace": "w" },
    ] });
    let (_, answers) = ask(&desk, reader, "/v1/$batch", &[], &batch).await;
    let [first, second] = &answers["responses"].as_array().expect("responses")[..] else {
        panic!("{answers}");
    };
    assert_eq!((&first["id"], &first["status"]), (&json!("b"), &json!(400)));
    assert_eq!(first["body"]["error"]["innererror"]["code"], "SemanticError");
    assert_eq!((&second["id"], &second["status"]), (&json!("a"), &json!(200)));
    assert_eq!(second["body"]["error"]["code"], "PartialError");
    assert!(second["body"]["statistics"].is_object() && second["body"]["tables"].is_array());
}

#[tokio::test]
async fn a_wrong_timespan_is_refused_with_what_it_should_be() {
    let desk = Arc::new(Desk::default());
    let body = json!({ "query": "Messages", "timespan": "1h" });
    let (status, refused) =
        ask(&desk, Role::UsageReader, "/v1/workspaces/w/query", &[], &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused.to_string().contains("PT1H"), "{refused}");
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_take_it() {
    let desk = Arc::new(Desk::default());
    let body = json!({ "csl": "Messages" });
    let accepts = [("accept-encoding", "gzip,deflate")];
    let response = send(&desk, Role::UsageReader, "/v2/rest/query", &accepts, &body).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let frames: Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).expect("JSON");
    assert_eq!(frames[0]["FrameType"], "DataSetHeader");
}

#[tokio::test]
async fn a_file_is_what_the_query_answers_and_its_read_is_on_record_with_the_format() {
    let purpose = ("x-gatehouse-purpose", "case 7");
    let body = json!({ "csl": "secret" });
    for format in FileFormat::ALL {
        let desk = Arc::new(Desk::default());
        let name = format.name();
        let target = format!("/admin/v1/query/export?format={name}");
        let (status, refused) = ask(&desk, Role::ContentReader, &target, &[], &body).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(refused["detail"].as_str().is_some_and(|text| text.contains("purpose")));
        let response = send(&desk, Role::ContentReader, &target, &[purpose], &body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let disposition = response.headers()["content-disposition"].to_str().unwrap();
        assert_eq!(disposition, format!("attachment; filename=\"result.{name}\""));
        {
            let notes = desk.notes.lock().unwrap();
            let [Note::ContentRead(note)] = &notes[..] else { panic!("{notes:?}") };
            assert_eq!((&*note.via, &*note.purpose), (&*format!("export/{name}"), "case 7"));
        }
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(bytes, format!("{name} secret"));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_finished_is_never_taken_for_a_whole_one() {
    let desk = Arc::new(Desk::default());
    let target = "/admin/v1/query/export?format=csv";
    let send = |csl: &str| {
        let (desk, body) = (Arc::clone(&desk), json!({ "csl": csl }));
        async move { send(&desk, Role::UsageReader, target, &[], &body).await }
    };
    let response = send("it breaks").await;
    assert_eq!(response.status(), StatusCode::OK);
    let broken = to_bytes(response.into_body(), 1 << 20).await.expect_err("breaks off");
    assert!(!format!("{broken:?}").contains("secret"), "{broken:?}");
    assert_eq!(send("nowhere").await.status(), StatusCode::BAD_REQUEST);
    let body = json!({ "csl": "x" });
    let (status, _) =
        ask(&desk, Role::UsageReader, "/admin/v1/query/export?format=xlsx", &[], &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_file_whose_read_cannot_be_recorded_is_not_begun() {
    let desk = Arc::new(Desk { is_full: true, ..Desk::default() });
    let purpose = ("x-gatehouse-purpose", "case 7");
    let body = json!({ "csl": "secret" });
    let target = "/admin/v1/query/export?format=parquet";
    let (status, answer) = ask(&desk, Role::ContentReader, target, &[purpose], &body).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.to_string().contains("parquet secret"), "{answer}");
}

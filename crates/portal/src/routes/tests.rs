//! The whole matrix is tried: every route × every role × nobody. The papers made from the table are
//! what the repository holds; `UPDATE_EXPECT=1` writes them.

mod alert_rules;
mod dashboards;
mod kept;
mod tenancy;

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use control::{Control, Decree};
use event::Erasure;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use kql::{Frame, Options, QueryError};
use policy::{KeyHasher, Principal, Role};
use serde_json::Value;

use super::{Allow, Route, matrix, openapi, table};
use crate::access::{Access, Authenticator};
use crate::config::PortalConfig;
use crate::inner::{Portal, Wiring};
use crate::operations::{
    AlertList, AlertRuleLine, AlertTest, BackendList, BudgetList, CounterList, ErasureState,
    Operations, ReloadReport, ReportList, ReportRun, RerateBody, RerateReport, StreamJobList,
};
use crate::problem::Problem;
use crate::record::Record;
use crate::records::Records;
use crate::sign_in::{SignIn, SignInSettings, SignInWiring};
use crate::visit::Watch;

/// Administers nothing and has no rows.
pub(crate) struct Nothing;

#[async_trait]
impl kql::Engine for Nothing {
    async fn run(&self, _: &str, _: &Options) -> Result<Frame, QueryError> {
        Ok(Frame::default())
    }

    async fn export(
        &self,
        _: &str,
        _: &Options,
        _: kql::FileFormat,
    ) -> Result<kql::Export, QueryError> {
        Err(QueryError::new(kql::QueryErrorKind::Semantic, "there is nothing"))
    }

    fn catalogue(&self, _: &kql::Access) -> Arc<dyn kql::Catalogue> {
        Arc::new(Self)
    }
}

impl kql::Catalogue for Nothing {
    fn table(&self, _: &str) -> Option<Arc<kql::Schema>> {
        None
    }

    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Record for Nothing {
    async fn keep(&self, _: event::Note) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Operations for Nothing {
    async fn reload(&self) -> Result<ReloadReport, Problem> {
        Ok(ReloadReport::default())
    }

    fn backends(&self) -> BackendList {
        BackendList::default()
    }

    fn certificates(&self) -> crate::CertificateList {
        crate::CertificateList::default()
    }

    fn limits(&self) -> CounterList {
        CounterList::default()
    }

    async fn settings(&self) -> crate::SettingList {
        crate::SettingList::default()
    }

    async fn budgets(&self) -> BudgetList {
        BudgetList::default()
    }

    async fn rerate(&self, _: &RerateBody) -> Result<RerateReport, Problem> {
        Ok(RerateReport::default())
    }

    async fn erase(&self, orders: Vec<Erasure>) -> Result<(bool, ErasureState), Problem> {
        let waiting = orders.len() as u64;
        Ok((true, ErasureState { waiting, ..ErasureState::default() }))
    }

    fn erasures(&self) -> ErasureState {
        ErasureState::default()
    }

    fn stream_jobs(&self) -> StreamJobList {
        StreamJobList::default()
    }

    async fn reports(&self) -> ReportList {
        ReportList::default()
    }

    async fn run_report(&self, _: &str) -> Result<ReportRun, Problem> {
        Ok(ReportRun::default())
    }

    async fn alerts(&self) -> AlertList {
        AlertList::default()
    }

    fn alert_rules(&self) -> Vec<AlertRuleLine> {
        let rule = |id: &str| policy::AlertRule { id: id.into(), ..Default::default() };
        let line = |id: &str, origin, replaces| AlertRuleLine { rule: rule(id), origin, replaces };
        let file = policy::AlertRuleOrigin::File;
        let built_in = policy::AlertRuleOrigin::BuiltIn;
        vec![line("z", file, Some(built_in)), line("a", built_in, None)]
    }

    async fn test_alert(&self, _: &str) -> Result<AlertTest, Problem> {
        Ok(AlertTest::default())
    }

    fn drain(&self, _: &str, _: bool) -> Result<BackendList, Problem> {
        Ok(BackendList::default())
    }

    fn undrain(&self, _: &str) -> Result<BackendList, Problem> {
        Ok(BackendList::default())
    }
}

impl Records for Nothing {
    fn read(
        &self,
        _: u64,
        _: u64,
        _: &mut dyn FnMut(crate::Kept) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        Ok(())
    }

    fn verify(&self, _: &crate::Part) -> Result<Value, Problem> {
        Ok(Value::Null)
    }
}

/// Believes the header `x-roles`.
struct Credulous;

#[async_trait]
impl Authenticator for Credulous {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        let Some(names) = head.headers.get("x-roles").and_then(|names| names.to_str().ok()) else {
            return Ok(None);
        };
        let named = |role: &Role| names.split(',').any(|name| name == role.name());
        let roles = Role::ALL.into_iter().filter(named).collect();
        let id = head.headers.get("x-id").and_then(|id| id.to_str().ok()).unwrap_or("someone");
        Ok(Some(Principal { id: id.into(), roles, ..Principal::default() }))
    }
}

/// This state, which a file holds.
pub(crate) async fn control(decree: Decree) -> Control {
    let folder = tempfile::TempDir::new().expect("a folder");
    control_in(folder.path(), None, decree).await
}

pub(crate) async fn control_in(
    folder: &Path,
    place: Option<control::Place>,
    decree: Decree,
) -> Control {
    let config = ledger::LedgerConfig { segment_bytes: 1 << 20, ..Default::default() };
    let now = || event::Timestamp::from_unix_micros(1);
    // What was opened stays open when its folder goes.
    let (ledger, _) = ledger::Ledger::open(folder, config, now).expect("a ledger");
    let settings = control::Settings {
        place,
        approvals_file: folder.join("approvals.sqlite"),
        cache_file: folder.join("control.json"),
        versions_max: 1,
        poll: std::time::Duration::from_secs(1),
    };
    Control::open(settings, decree, KeyHasher::new(b"secret"), ledger).await.expect("opens")
}

/// A portal over this state.
async fn portal_with(decree: Decree) -> Router {
    portal_over(control(decree).await)
}

fn portal_over(control: Control) -> Router {
    let sign_in = SignIn::new(SignInSettings::default(), SignInWiring::default()).expect("valid");
    portal_of(vec![Box::new(Credulous)], sign_in, control, Arc::new(|_| {}))
}

/// A portal that these credentials open.
pub(crate) fn portal_of(
    kinds: Vec<Box<dyn Authenticator>>,
    sign_in: SignIn,
    control: Control,
    watch: Watch,
) -> Router {
    let wiring = Wiring {
        engine: Arc::new(Nothing),
        operations: Arc::new(Nothing),
        records: Arc::new(Nothing),
        access: Access::new(kinds),
        sign_in,
        record: Arc::new(Nothing),
        control,
        watch,
        vouch: Arc::new(stated),
    };
    Portal::new(&PortalConfig::default(), wiring).router()
}

/// Believes the header `x-from`.
fn stated(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let from = headers.get("x-from").and_then(|from| from.to_str().ok());
    from.and_then(|from| from.parse().ok()).unwrap_or(peer)
}

async fn ask(portal: &Router, route: &Route, roles: Option<&str>) -> StatusCode {
    let mut path = String::new();
    for part in route.path.split_inclusive(['{', '}']) {
        match part.strip_suffix('}') {
            Some("*resource") => path.push_str("x/query"),
            Some(_) => path.push('x'),
            None => path.push_str(part.trim_end_matches('{')),
        }
    }
    let who: Vec<_> = roles.iter().map(|roles| ("x-roles", *roles)).collect();
    // Some answers have no end: the status is enough.
    deliver(portal, route.method.as_str(), &path, &who, "{}").await.status()
}

/// Status and JSON of an answer; null if it is none.
pub(crate) async fn send(
    portal: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    let answer = deliver(portal, method, path, headers, body).await;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 8 << 20).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

pub(crate) async fn deliver(
    portal: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let service = TowerToHyperService::new(portal.clone());
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    service.call(request).await.expect("infallible")
}

#[tokio::test]
async fn every_route_lets_in_whom_its_line_names_and_nobody_else() {
    let (table, portal) = (table(), portal_with(Decree::default()).await);
    for route in &table {
        let anonymous = ask(&portal, route, None).await;
        let expected = route.allow == Allow::Everybody;
        assert_eq!(anonymous != StatusCode::UNAUTHORIZED, expected, "{} without any", route.id);
        let without = ask(&portal, route, Some("")).await;
        let expected = matches!(route.allow, Allow::Everybody | Allow::SignedIn);
        assert_eq!(without != StatusCode::FORBIDDEN, expected, "{} without a role", route.id);
        for role in Role::ALL {
            let status = ask(&portal, route, Some(role.name())).await;
            let expected = matrix::allows(route.allow, role);
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{} as {role}", route.id);
            assert_eq!(status != StatusCode::FORBIDDEN, expected, "{} as {role}", route.id);
        }
    }
}

#[tokio::test]
async fn a_line_without_roles_lets_nobody_in() {
    let route = Route::new("x/y", Method::GET, "/x", "", || async {});
    assert_eq!(route.allow, Allow::Roles(&[]));
    assert!(Role::ALL.iter().all(|role| !matrix::allows(route.allow, *role)));
}

#[tokio::test]
async fn what_stands_in_no_line_is_not_there() {
    let portal = portal_with(Decree::default()).await;
    let nowhere = Route::new("x/y", Method::GET, "/admin/v1/nowhere", "", || async {});
    assert_eq!(ask(&portal, &nowhere, Some("administrator")).await, StatusCode::NOT_FOUND);
    let other = Route::new("x/y", Method::DELETE, "/admin/v1/reload", "", || async {});
    let status = ask(&portal, &other, Some("administrator")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn ids_of_routes_are_a_noun_and_a_verb_and_unique() {
    let mut seen = HashSet::new();
    for route in table() {
        assert!(seen.insert(route.id), "{} stands twice", route.id);
        assert_eq!(route.id.split('/').count(), 2, "{} is a noun and a verb", route.id);
    }
}

#[test]
fn the_openapi_document_is_what_the_repository_holds() {
    let text = serde_json::to_string_pretty(&openapi::document(&table())).expect("serialises");
    check("openapi.json", &format!("{text}\n"));
}

#[test]
fn the_matrix_is_what_the_page_shows() {
    let page = std::fs::read_to_string(papers().join("access.md")).expect("the page");
    let (before, rest) = page.split_once("<!-- routes -->\n").expect("the mark of the matrix");
    let (_, after) = rest.split_once("<!-- end of routes -->").expect("its end");
    let matrix = matrix::render(&table());
    let page = format!("{before}<!-- routes -->\n{matrix}<!-- end of routes -->{after}");
    check("access.md", &page);
}

fn papers() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn check(name: &str, expected: &str) {
    let file = papers().join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, expected).expect("writable");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = expected.lines().zip(kept.lines()).find(|(now, then)| now != then);
    assert!(
        kept == expected,
        "docs/{name} is not what the route table says; first difference: {differs:?}; \
         UPDATE_EXPECT=1 mends it"
    );
}

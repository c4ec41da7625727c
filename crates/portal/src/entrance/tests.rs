//! Coming in over HTTP: who may, who may not, and what is on record of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use control::{Control, Decree, Place, Settings};
use event::{Note, Record, SecurityEvent};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use identity::{Directory, DirectoryUser};
use ledger::Ledger;
use policy::{KeyHasher, Role};
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::SecretRef;

use crate::access::Authenticator;
use crate::break_glass::BreakGlassAccount;
use crate::routes::tests::{deliver, portal_of, send};
use crate::scim::ScimToken;
use crate::set_up::SetUp;
use crate::sign_in::SignIn;
use crate::sign_in::tests::{Provider, parameter};

const PASSWORD: &str = "correct horse battery staple";
/// Its hash, made with less work than real ones so that tests are quick.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2l4dGVlbiBieXRlIHNhbHQ$zlGPC4YykWKsJvIij02EJMhJD+HyHB9+ztY/7/BTh+k";

pub(crate) struct House {
    pub(crate) portal: Router,
    control: Control,
    ledger: Ledger,
    provider: Provider,
    set_up: SetUp,
    events: Arc<Mutex<Vec<SecurityEvent>>>,
    folder: TempDir,
}

/// The directory as the wiring makes it.
struct Users(Control);

impl Directory for Users {
    fn user(&self, id: &str) -> Option<DirectoryUser> {
        let control::Known { is_active, groups } = self.0.directory().known(id)?;
        Some(DirectoryUser { is_active, groups })
    }
}

impl House {
    /// The id of somebody, as the provider's tokens have it.
    pub(crate) fn oid(&self, subject: &str) -> String {
        format!("{}|{subject}", self.provider.url)
    }

    pub(crate) async fn build() -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = ledger::LedgerConfig { segment_bytes: 1 << 20, ..Default::default() };
        let now = || event::Timestamp::from_unix_micros(1);
        let (ledger, _) = Ledger::open(&folder.path().join("ledger"), config, now).expect("opens");
        let settings = Settings {
            place: Some(Place::Sqlite(folder.path().join("control.sqlite"))),
            approvals_file: folder.path().join("approvals.sqlite"),
            cache_file: folder.path().join("control.json"),
            versions_max: 5,
            poll: Duration::from_secs(1),
        };
        let hasher = KeyHasher::new(b"secret");
        let control = Control::open(settings, Decree::default(), hasher, ledger.clone()).await;
        let control = control.expect("opens");
        let provider = Provider::start().await;
        let (events, set_up) =
            (Arc::<Mutex<Vec<_>>>::default(), SetUp::new(folder.path().join("set-up.json")));
        let hash = folder.path().join("hash");
        std::fs::write(&hash, HASH).expect("writes");
        let mut settings = provider.settings();
        settings.set_up = set_up.clone();
        settings.break_glass = Some(BreakGlassAccount {
            name: "ops".into(),
            password_hash: SecretRef::File(hash),
            lasting_s: 900,
        });
        let told = events.clone();
        let watch: crate::Watch = Arc::new(move |event| told.lock().expect("no panic").push(event));
        let wiring = provider.wiring(watch.clone());
        wiring.verifier.follow(Arc::new(Users(control.clone())));
        let token = folder.path().join("scim");
        std::fs::write(&token, "provisioning-token-of-32-characters-or-more").expect("writes");
        let scim = ScimToken::new(wiring.vault.clone(), SecretRef::File(token));
        let sign_in = SignIn::new(settings, wiring).expect("valid");
        let kinds: Vec<Box<dyn Authenticator>> = vec![Box::new(scim), Box::new(sign_in.clone())];
        let portal = portal_of(kinds, sign_in, control.clone(), watch);
        Self { portal, control, ledger, provider, set_up, events, folder }
    }

    /// Somebody goes to the provider and comes back.
    pub(crate) async fn come(&self, query: &str, claims: Value) -> Response {
        let begun = deliver(&self.portal, "GET", &format!("/auth/sign-in?{query}"), &[], "").await;
        let location = begun.headers()["location"].to_str().expect("text").to_owned();
        let mut claims = claims;
        claims["nonce"] = parameter(&location, "nonce").into();
        self.provider.gives(claims);
        let back = format!("/auth/callback?code=c0de&state={}", parameter(&location, "state"));
        deliver(&self.portal, "GET", &back, &[("cookie", &cookies(&begun))], "").await
    }

    async fn local(&self, name: &str, password: &str, set_up: &str) -> Response {
        let body = json!({"name": name, "password": password, "set_up": set_up}).to_string();
        deliver(&self.portal, "POST", "/auth/local", &[], &body).await
    }

    pub(crate) async fn me(&self, response: &Response) -> Value {
        let cookie = cookies(response);
        send(&self.portal, "GET", "/admin/v1/me", &[("cookie", &cookie)], "").await.1
    }

    /// Kinds and reasons of the events since the last look.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        let events = std::mem::take(&mut *self.events.lock().expect("no panic"));
        events.into_iter().map(|event| (event.kind, event.reason)).collect()
    }

    /// Operations on record.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let mut reader = self.ledger.reader(1).expect("reads");
        let mut operations = Vec::new();
        while let Some(entry) = reader.next(Duration::ZERO).expect("reads") {
            if let Ok(Record::Note(note)) = Record::decode(entry.frame.kind, &entry.frame.payload)
                && let Note::AdminAction(row) = *note
            {
                operations.push(format!("{} by {}", row.operation_name, row.principal_id));
            }
        }
        operations
    }

    fn link(&self) -> String {
        let path = self.set_up.issue(crate::clock::unix_seconds()).expect("writes");
        path.strip_prefix("/?set_up=").expect("a path").to_owned()
    }
}

/// What a browser would send back.
pub(crate) fn cookies(response: &Response) -> String {
    let set = response.headers().get_all("set-cookie").iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
}

fn pair(kind: &str, reason: &str) -> (String, String) {
    (kind.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn the_set_up_link_makes_the_first_who_signs_in_with_it_administrator_and_nobody_after() {
    let house = House::build().await;
    let nobody = json!({"groups": []});
    assert_eq!(house.come("", nobody.clone()).await.status(), 403, "no role, no session");
    assert_eq!(house.events(), [pair("sign_in_failed", "no_role")]);
    assert_eq!(house.come("set_up=guessed", nobody.clone()).await.status(), 403);
    assert_eq!(house.events(), [pair("sign_in_failed", "set_up_invalid")]);

    let link = house.link();
    let first = house.come(&format!("set_up={link}&return_to=/access"), nobody.clone()).await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["location"]),
        (303, &"/access".parse().unwrap())
    );
    assert_eq!(house.events(), [pair("set_up", ""), pair("sign_in", "")]);
    let me = house.me(&first).await;
    assert_eq!(me["roles"], json!(["administrator"]));
    let id = me["id"].as_str().expect("an id").to_owned();
    assert!(house.recorded().contains(&format!("set_up/complete by {id}")));
    assert!(house.control.live().decree.has_administrator());

    // The link is used up; another one does nothing while somebody is administrator.
    let other = json!({"groups": [], "sub": "eve"});
    assert_eq!(house.come(&format!("set_up={link}"), other.clone()).await.status(), 403);
    let second = house.link();
    assert_eq!(house.come(&format!("set_up={second}"), other).await.status(), 409);
    let refused =
        [pair("sign_in_failed", "set_up_invalid"), pair("sign_in_failed", "set_up_refused")];
    assert_eq!(house.events(), refused);
    // The role stays with the person, who needs no link any more.
    assert_eq!(house.me(&house.come("", nobody).await).await["roles"], json!(["administrator"]));
}

#[tokio::test]
async fn the_local_account_signs_in_by_its_password_shortly_and_every_attempt_is_on_record() {
    let house = House::build().await;
    let state = send(&house.portal, "GET", "/auth/session", &[], "").await.1;
    assert_eq!(state["has_local_account"], json!(true));
    assert_eq!(house.local("ops", "wrong", "").await.status(), 401);
    assert_eq!(house.local("eve", PASSWORD, "").await.status(), 401);
    let good = house.local("ops", PASSWORD, "").await;
    assert_eq!(good.status(), 204);
    let session = good.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(session.contains("Max-Age=600"), "no longer than other sessions: {session}");
    let me = house.me(&good).await;
    assert_eq!((&me["id"], &me["kind"]), (&json!("local|ops"), &json!("local")));
    assert_eq!(me["roles"], json!(["administrator", "operator"]));
    assert!(house.recorded().contains(&"break_glass/sign_in by local|ops".to_owned()));
    let body = json!({"name": "ops", "password": PASSWORD}).to_string();
    let elsewhere = [("origin", "https://evil.example")];
    let elsewhere = deliver(&house.portal, "POST", "/auth/local", &elsewhere, &body).await;
    assert_eq!(elsewhere.status(), 403, "another site signs nobody in");
    let expected = [
        pair("sign_in_failed", "wrong_password"),
        pair("sign_in_failed", "wrong_password"),
        pair("sign_in", ""),
        pair("sign_in_failed", "other_site"),
    ];
    assert_eq!(house.events(), expected);

    // Five attempts a minute, then not even the right password is looked at.
    house.local("ops", "wrong", "").await;
    house.local("ops", "wrong", "").await;
    assert_eq!(house.local("ops", PASSWORD, "").await.status(), 429);
    assert_eq!(house.events()[2], pair("sign_in_failed", "too_many_attempts"));
}

#[tokio::test]
async fn attempts_count_by_the_caller_that_a_trusted_proxy_states() {
    let house = House::build().await;
    let body = json!({"name": "ops", "password": "wrong"}).to_string();
    let of = async |from: &str| {
        let peer = ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5)));
        let mut request = Request::builder().method("POST").uri("/auth/local");
        request = request.header("content-type", "application/json").header("x-from", from);
        let request = request.extension(peer).body(Body::from(body.clone())).expect("a request");
        let service = TowerToHyperService::new(house.portal.clone());
        service.call(request).await.expect("it answers").status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(of("192.0.2.1").await, 401);
    }
    assert_eq!(of("192.0.2.1").await, 429);
    assert_eq!(of("192.0.2.2").await, 401, "another caller has attempts of its own");
    let events = house.events.lock().expect("no panic");
    assert_eq!(events[0].caller_ip_address, "192.0.2.1", "the record names the caller too");
}

#[tokio::test]
async fn a_browser_that_is_refused_is_shown_why_and_a_program_gets_a_document() {
    let house = House::build().await;
    let browser = [("accept", "text/html,application/xhtml+xml;q=0.9")];
    let back = "/auth/callback?code=x&state=y";
    let refused = deliver(&house.portal, "GET", back, &browser, "").await;
    assert_eq!(refused.status(), 400);
    let policy = refused.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = axum::body::to_bytes(refused.into_body(), 1 << 20).await.expect("a page");
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(page.contains("You are not signed in") && page.contains("begin again"), "{page}");
    assert!(page.contains("<a href=\"/\">"), "{page}");

    let begun = deliver(&house.portal, "GET", "/auth/sign-in", &[], "").await;
    let location = begun.headers()["location"].to_str().expect("text").to_owned();
    let nonce = parameter(&location, "nonce");
    house
        .provider
        .gives(json!({"nonce": nonce, "groups": [], "name": "<script>alert(1)</script>"}));
    let back = format!("/auth/callback?code=c0de&state={}", parameter(&location, "state"));
    let cookies = cookies(&begun);
    let headers = [browser[0], ("cookie", cookies.as_str())];
    let refused = deliver(&house.portal, "GET", &back, &headers, "").await;
    assert_eq!(refused.status(), 403);
    let page = axum::body::to_bytes(refused.into_body(), 1 << 20).await.expect("a page");
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(page.contains("holds no role here") && page.contains("gatehouse role set"), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");

    let program = deliver(&house.portal, "GET", "/auth/callback", &[], "").await;
    assert_eq!(program.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn the_local_account_may_use_the_set_up_link_and_a_broken_hash_lets_nobody_in() {
    let house = House::build().await;
    let link = house.link();
    assert_eq!(house.local("ops", PASSWORD, &link).await.status(), 204);
    let decree = &house.control.live().decree;
    let administrators = decree.roles.iter().find(|role| role.role == Role::Administrator);
    assert_eq!(administrators.expect("one").users, ["local|ops"]);
    let house = House::build().await;
    std::fs::write(house.folder.path().join("hash"), "secret").expect("writes");
    assert_eq!(house.local("ops", PASSWORD, "").await.status(), 503);
    assert_eq!(house.events(), [pair("sign_in_failed", "hash_unavailable")]);
}

#[tokio::test]
async fn signing_out_and_tokens_of_nobody_are_events() {
    let house = House::build().await;
    let signed_in = house.come("", json!({})).await;
    assert_eq!(signed_in.status(), 303);
    let cookie = cookies(&signed_in);
    let state = send(&house.portal, "GET", "/auth/session", &[("cookie", &cookie)], "").await.1;
    let proof = state["csrf_token"].as_str().expect("a token").to_owned();
    let headers = [("cookie", cookie.as_str()), ("x-csrf-token", proof.as_str())];
    let out = send(&house.portal, "POST", "/auth/sign-out", &headers, "").await;
    assert_eq!(out.0, 200);
    assert_eq!(house.events(), [pair("sign_in", ""), pair("sign_out", "")]);
    assert_eq!(send(&house.portal, "GET", "/admin/v1/me", &[("cookie", &cookie)], "").await.0, 401);
}

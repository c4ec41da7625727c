//! Identity provider, database and vault are killed one by one, then all at once, under load: who is served
//! goes on being served, errors and `/readyz?verbose` name the part that is missing, and what comes back is
//! used again.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use testing::PostgresServer;

use crate::http::{self, Request, Response};
use crate::secrets::readiness;
use crate::stand::Stand;
use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
const KEY: &str = include_str!("../../../identity/testdata/provider.pem");
const JWKS: &str = include_str!("../../../identity/testdata/jwks.json");
/// Callers of each kind at once.
const CALLERS: usize = 2;

/// What can be killed.
struct Parts {
    provider: Stand,
    database: PostgresServer,
    vault: Stand,
}

/// The gateway and who calls it.
struct System {
    gateway: Gateway,
    issuer: String,
    _backend: Backend,
}

/// A gateway with an identity provider, a database and a vault; none without PostgreSQL.
fn start() -> Option<(Parts, System)> {
    let database = PostgresServer::start()?;
    let backend = Backend::start();
    let (provider, vault) = (Stand::start(discovery), Stand::openbao());
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let mut gateway = Gateway::new(&backend, &[]);
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let text = text.replace("env: AZURE_OPENAI_API_KEY", "openbao: { path: gatehouse/east }");
    let more = format!(
        "vault:\n  refresh_s: 1\n  egress: {{ allow: [127.0.0.0/8] }}\n  \
         openbao:\n    address: http://127.0.0.1:{}\n    token: {{ file: bao-token }}\n\
         control:\n  url: {}\n  poll_ms: 200\n\
         identity:\n  refresh_s: 1\n  unknown_key_refresh_s: 1\n  stale_keys_max_s: 5\n  \
         egress: {{ allow: [127.0.0.0/8] }}\n  providers:\n    - id: staff\n      \
         issuer: {issuer}\n      audiences: [gatehouse]\n\
         products:\n  - id: chat\n    app_roles: [Models.Use]\n",
        vault.port,
        database.url(),
    );
    fs::write(&gateway.config, format!("{text}{more}")).expect("writable");
    fs::write(gateway.folder.path().join("bao-token"), "bao-token\n").expect("writable");
    gateway.start();
    let system = System { gateway, issuer, _backend: backend };
    Some((Parts { provider, database, vault }, system))
}

impl System {
    fn token(&self, subject: &str, key_id: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let claims = json!({
            "iss": &self.issuer, "aud": "gatehouse",
            "sub": subject, "scp": "Models.Use", "roles": ["Models.Use"], "azp": "client",
            "iat": now, "nbf": now, "exp": now + 3_600,
        });
        let header = Header { kid: Some(key_id.into()), ..Header::new(Algorithm::RS256) };
        let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).expect("a key");
        jsonwebtoken::encode(&header, &claims, &key).expect("signs")
    }

    fn call_with_token(&self, token: &str) -> Response {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let request = Request { method: "POST", target: CHAT, headers: &headers, body: HELLO };
        http::send(self.gateway.address(), &request).expect("the gateway answers")
    }

    /// Makes a subscription; exit code and what was said.
    fn subscribe(&self, id: &str) -> (Option<i32>, String) {
        let mut command = gatehouse();
        command.args(["subscription", "create", id, "--config"]).arg(&self.gateway.config);
        let output = run(command.envs(self.gateway.environment()));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Waits until a part of `/readyz?verbose` is as it should be, and answers the whole. The gateway
    /// is ready all the while.
    fn readyz(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let stands = readiness(&self.gateway);
            assert_eq!(stands["status"], "ready", "{stands}");
            Some(stands).filter(&is_so)
        })
    }
}

fn discovery(port: u16, head: &str) -> String {
    if head.starts_with("GET /keys ") {
        return JWKS.to_owned();
    }
    let issuer = format!("http://127.0.0.1:{port}");
    json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string()
}

/// What callers met while the test went on.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    /// The identity provider's tokens may be refused.
    may_close: AtomicBool,
    calls: AtomicU64,
    closed: AtomicU64,
}

impl Load {
    /// Calls with the subscription key: they succeed, whatever happens.
    fn by_key(&self, system: &System) {
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = system.gateway.call(CHAT, &[], HELLO);
            let text = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, 200, "{text}");
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Calls with a token, which are refused only when the provider has been away for too long.
    fn by_token(&self, system: &System, token: &str) {
        while !self.is_over.load(Ordering::SeqCst) {
            let may_close = self.may_close.load(Ordering::SeqCst);
            let answer = system.call_with_token(token);
            let text = String::from_utf8_lossy(&answer.body);
            self.calls.fetch_add(1, Ordering::SeqCst);
            if answer.status == 503 && (may_close || self.may_close.load(Ordering::SeqCst)) {
                assert!(text.contains("identity provider `staff`"), "{text}");
                self.closed.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            assert_eq!(answer.status, 200, "{text}");
        }
    }
}

/// Ends the load even if the story fails.
struct Ends<'a>(&'a Load);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

#[test]
fn identity_provider_database_and_vault_are_killed_one_by_one_under_load() {
    let Some((mut parts, system)) = start() else { return };
    let gateway = &system.gateway;
    let token = system.token("ann", "key-1");
    eventually("the key is there", || (gateway.call(CHAT, &[], HELLO).status == 200).then_some(()));
    assert_eq!(system.call_with_token(&token).status, 200);
    assert_eq!(system.subscribe("before").0, Some(0));
    let load = Load::default();
    std::thread::scope(|scope| {
        let _ends = Ends(&load);
        for _ in 0..CALLERS {
            scope.spawn(|| load.by_key(&system));
            scope.spawn(|| load.by_token(&system, &token));
        }
        without_provider(&mut parts, &system, &load);
        without_database(&mut parts, &system);
        without_vault(&mut parts, &system);
        without_all(&mut parts, &system, &load);
    });
    let calls = load.calls.load(Ordering::SeqCst) + 2;
    assert!(load.closed.load(Ordering::SeqCst) > 0 && calls > 100, "{calls} calls");
    let query = "Interactions | where OperationId =~ 'ChatCompletions_Create' | count";
    eventually("every call is on record", || {
        let count = gateway.query(query)[0]["Count"].as_u64();
        count.filter(|count| *count >= calls)
    });
}

/// Known keys are trusted for a while; then its tokens, and nobody else, are refused.
fn without_provider(parts: &mut Parts, system: &System, load: &Load) {
    parts.provider.kill();
    let stands = system.readyz("the provider is stale", |stands| {
        stands["identity_providers"][0]["state"] == "stale"
    });
    let error = stands["identity_providers"][0]["error"].as_str().expect("a text").to_owned();
    assert!(error.contains("127.0.0.1"), "{error}");
    assert_eq!(system.call_with_token(&system.token("ben", "key-1")).status, 200, "a new caller");
    load.may_close.store(true, Ordering::SeqCst);
    system.readyz("the provider is closed", |stands| {
        stands["identity_providers"][0]["state"] == "closed"
    });
    let before = load.closed.load(Ordering::SeqCst);
    eventually("tokens are refused", || {
        (load.closed.load(Ordering::SeqCst) > before).then_some(())
    });
    parts.provider.restart();
    system.readyz("the provider is up", |stands| stands["identity_providers"][0]["state"] == "up");
    assert_eq!(system.call_with_token(&system.token("cem", "key-1")).status, 200);
    // Answers that were under way may still say so.
    std::thread::sleep(std::time::Duration::from_millis(200));
    load.may_close.store(false, Ordering::SeqCst);
}

/// What was decreed holds; what is to be decreed waits.
fn without_database(parts: &mut Parts, system: &System) {
    parts.database.kill();
    system.readyz("the database is missed", |stands| stands["control"]["database_reason"] != "");
    let (code, said) = system.subscribe("meanwhile");
    assert_ne!(code, Some(0));
    assert!(said.contains("the database of the desired state"), "{said}");
    parts.database.restart();
    system.readyz("the database is back", |stands| stands["control"]["database_reason"] == "");
    let (code, said) = system.subscribe("afterwards");
    assert_eq!(code, Some(0), "{said}");
}

/// What was fetched stays in use.
fn without_vault(parts: &mut Parts, system: &System) {
    parts.vault.kill();
    let stands = system.readyz("the vault is missed", |stands| stands["vault"][0]["trouble"] != "");
    let home = &stands["vault"][0];
    assert_eq!((&home["backend"], &home["is_ready"]), (&json!("first"), &json!(true)), "{home}");
    assert!(home["trouble"].as_str().is_some_and(|text| text.contains("OpenBao")), "{home}");
    parts.vault.restart();
    system.readyz("the vault is back", |stands| stands["vault"][0]["trouble"] == "");
}

/// All at once; each is named beside the others.
fn without_all(parts: &mut Parts, system: &System, load: &Load) {
    load.may_close.store(true, Ordering::SeqCst);
    parts.provider.kill();
    parts.database.kill();
    parts.vault.kill();
    system.readyz("all three are missed", |stands| {
        stands["identity_providers"][0]["state"] == "closed"
            && stands["control"]["database_reason"] != ""
            && stands["vault"][0]["trouble"] != ""
    });
    let calls = load.calls.load(Ordering::SeqCst);
    eventually("calls are answered", || {
        (load.calls.load(Ordering::SeqCst) > calls + 20).then_some(())
    });
}

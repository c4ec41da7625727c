//! A canary in every kind of secret, in files, environment, embedded vault, OpenBao and Azure Key Vault: all are
//! used or read, none is seen anywhere.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use testing::free_port;

use crate::http::{self, Request};
use crate::secrets::{assert_nowhere, set, simulate};
use crate::stand::Stand;
use crate::support::{Backend, Gateway, Process, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
/// Files that hold one canary each.
const FILES: [&str; 7] = [
    "bao-token",
    "sign-in-secret",
    "redis-password",
    "smtp-password",
    "proxy-password",
    "webhook-url",
    "collector-header",
];
/// The token of SCIM, which has to be long.
const SCIM_TOKEN: &str = "canary-scim-token-of-32-characters-or-more";
const TABLES: [&str; 10] = [
    "Interactions",
    "Messages",
    "ApiManagementGatewayLogs",
    "ApiManagementGatewayLlmLog",
    "SecurityEvents",
    "BackendHealth",
    "AdminActions",
    "ContentReads",
    "Erasures",
    "Alerts",
];

/// OpenBao, Azure Key Vault, a token endpoint and an identity provider in one.
fn everything(port: u16, head: &str) -> String {
    let issuer = format!("http://127.0.0.1:{port}");
    if head.contains("/oauth2/") {
        return json!({ "access_token": "canary-access-token", "expires_in": 3600 }).to_string();
    }
    if head.starts_with("GET /v1/") {
        assert!(head.contains("x-vault-token: canary-bao-token"), "{head}");
    }
    if head.starts_with("GET /v1/auth/token/lookup-self ") {
        return json!({ "data": { "ttl": 0, "renewable": false } }).to_string();
    }
    if head.starts_with("GET /secrets/") {
        assert!(head.contains("authorization: Bearer canary-access-token"), "{head}");
        let is_key = head.starts_with("GET /secrets/third-key?");
        let value = if is_key { "canary-backend-key" } else { "canary-of-key-vault" };
        return json!({ "value": value, "attributes": { "enabled": true } }).to_string();
    }
    if head.starts_with("GET /v1/") {
        let is_login = head.starts_with("GET /v1/secret/data/key-vault-login ");
        let value = if is_login { "canary-key-vault-login" } else { "canary-backend-key" };
        let data = json!({ "value": value });
        return json!({ "data": { "data": data, "metadata": { "version": 1 } } }).to_string();
    }
    json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "keys": [],
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token") })
    .to_string()
}

/// Settings that name every file of a folder.
fn settings(stand: u16, closed: u16, secrets: &Path) -> String {
    let file = |name: &str| format!("{{ file: {}/{name} }}", secrets.display());
    format!(
        "vault:\n  refresh_s: 1\n  egress: {{ allow: [127.0.0.0/8] }}\n  openbao:\n    \
         address: http://127.0.0.1:{stand}\n    token: {bao}\n  key_vault:\n    auth:\n      \
         client_secret: {{ tenant: t, client_id: c, secret: {{ openbao: {{ path: key-vault-login }} }}, \
         authority: 'http://127.0.0.1:{stand}' }}\n\
         identity:\n  egress: {{ allow: [127.0.0.0/8] }}\n  providers:\n    - id: staff\n      \
         issuer: http://127.0.0.1:{stand}\n      audiences: [gatehouse]\n\
         sign_in:\n  public_url: http://127.0.0.1:{closed}\n  clients:\n    - provider: staff\n      \
         client_id: portal\n      client_secret: {sign_in}\n\
         redis:\n  url: redis://127.0.0.1:{closed}\n  password: {redis}\n\
         scim:\n  token: {{ env: SCIM_TOKEN }}\n\
         mail:\n  host: 127.0.0.1\n  port: {closed}\n  username: gatehouse\n  password: {smtp}\n\
         alerts:\n  sinks:\n    - id: chat\n      kind: slack\n      secret_url: {webhook}\n      \
         secret_headers: {{ authorization: {{ vault: sink-header }} }}\n    \
         - {{ id: mail, kind: mail, to: [sre@example.org] }}\n\
         proxy:\n  url: http://127.0.0.1:{closed}\n  username: gatehouse\n  password: {proxy}\n\
         otlp:\n  endpoint: http://collector.invalid:4318\n  interval_s: 1\n  \
         secret_headers: {{ x-collector: {collector} }}\n",
        bao = file("bao-token"),
        sign_in = file("sign-in-secret"),
        redis = file("redis-password"),
        proxy = file("proxy-password"),
        smtp = file("smtp-password"),
        webhook = file("webhook-url"),
        collector = file("collector-header"),
    )
}

fn said(command: &mut Command) -> String {
    let output = run(command);
    let (out, errors) = (output.stdout, output.stderr);
    format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&errors))
}

fn get(address: &str, target: &str) -> String {
    let address = address.parse().expect("an address");
    let request = Request { method: "GET", target, headers: &[], body: b"" };
    let answer = http::send(address, &request).expect("it answers");
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn a_canary_in_every_kind_of_secret_is_nowhere_to_be_seen() {
    let (port, closed) = (free_port(), free_port());
    let _simulator = simulate("canary-backend-key", port);
    let backend = Backend::start();
    let gateway = Gateway::new(&backend, &[("GATEHOUSE__LOG__LEVEL", "trace")]);
    let stand = Stand::start(everything);
    let secrets = tempfile::TempDir::new().expect("a folder");
    for name in FILES {
        let text = if name == "webhook-url" {
            format!("http://127.0.0.1:{closed}/canary-webhook-url\n")
        } else {
            format!("canary-{name}\n")
        };
        fs::write(secrets.path().join(name), text).expect("writable");
    }
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let key_vault = |name: &str| {
        format!("{{ key_vault: {{ vault: 'http://127.0.0.1:{}', name: {name} }} }}", stand.port)
    };
    let more = format!(
        "backends:\n  - id: second\n    base_url: http://127.0.0.1:{port}\n    priority: 9\n    \
         auth:\n      client_secret: {{ tenant: t, client_id: c, secret: {}, \
         authority: 'http://127.0.0.1:{}' }}\n  \
         - id: third\n    base_url: http://127.0.0.1:{port}\n    api_key: {}\n",
        key_vault("client-secret"),
        stand.port,
        key_vault("third-key"),
    );
    let text = text
        .replace(&format!("http://127.0.0.1:{}", backend.port), &format!("http://127.0.0.1:{port}"))
        .replace("env: AZURE_OPENAI_API_KEY", "openbao: { path: gatehouse/east }")
        .replace("backends:\n", &more);
    let text = format!("{text}{}", settings(stand.port, closed, secrets.path()));
    fs::write(&gateway.config, text).expect("writable");
    set(&gateway, "sink-header", "canary-sink-header");
    let log = gateway.folder.path().join("log");
    let mut serve = gatehouse();
    serve.args(["serve", "--config"]).arg(&gateway.config).envs(gateway.environment());
    serve.env("SCIM_TOKEN", SCIM_TOKEN);
    serve.stdout(Stdio::null()).stderr(File::create(&log).expect("writable"));
    let mut process = Process::listening(&mut serve, gateway.address().port());
    let seen = drive(&gateway, &process);
    assert!(process.terminate());
    let mut seen = seen;
    seen.push(fs::read_to_string(&log).expect("a log"));
    let tried = format!("cannot connect to 127.0.0.1:{closed}");
    assert!(seen.last().expect("the log").contains(&tried), "what is away was tried");
    for secret in ["canary", &base64_of_proxy_credentials(), gateway.key.as_str()] {
        assert_nowhere(secret, &seen, gateway.folder.path());
    }
}

/// `gatehouse:canary-proxy-password`, as Basic carries it.
fn base64_of_proxy_credentials() -> String {
    "Z2F0ZWhvdXNlOmNhbmFyeS1wcm94eS1wYXNzd29yZA".to_owned()
}

/// Uses what there is, and answers all that could be seen of it.
fn drive(gateway: &Gateway, process: &Process) -> Vec<String> {
    eventually("the key is there", || (gateway.call(CHAT, &[], HELLO).status == 200).then_some(()));
    let environment = gateway.environment();
    let address = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.expect("it is set").1.clone()
    };
    let (health, admin) =
        (address("GATEHOUSE__HEALTH__LISTEN"), address("GATEHOUSE__ADMIN__LISTEN"));
    eventually("the token is there", || {
        let stands = get(&health, "/readyz?verbose");
        (stands.matches("\"is_ready\":true").count() >= 4).then_some(())
    });
    let mut seen = vec![
        get(&health, "/readyz?verbose"),
        get(&health, "/metrics"),
        get(&admin, "/auth/session"),
        get(&admin, "/auth/sign-in?provider=staff"),
        get(&admin, "/auth/callback?code=x&state=y"),
    ];
    for arguments in [
        &["reload"][..],
        &["export"],
        &["backend", "list"],
        &["history", "list"],
        &["subscription", "list"],
        &["config", "validate"],
        &["doctor"],
    ] {
        let mut command = gatehouse();
        command.args(arguments).arg("--config").arg(&gateway.config);
        command.env("SCIM_TOKEN", SCIM_TOKEN);
        seen.push(said(command.envs(gateway.environment())));
    }
    let token =
        fs::read_to_string(gateway.folder.path().join("data/admin-token")).expect("a token");
    let bearer = format!("Bearer {}", token.trim());
    let provisioning = format!("Bearer {SCIM_TOKEN}");
    let local = br#"{"name":"ops","password":"canary-password"}"#;
    for (method, target, credential, body) in [
        ("POST", "/admin/v1/alerts/error-ratio/test", bearer.as_str(), &b""[..]),
        ("GET", "/admin/v1/configuration", bearer.as_str(), b""),
        ("GET", "/scim/v2/Users", provisioning.as_str(), b""),
        ("POST", "/auth/local", "", local),
        ("GET", "/admin/v1/me", "Bearer canary-wrong-token", b""),
    ] {
        let headers = [("authorization", credential), ("content-type", "application/json")];
        let request = Request { method, target, headers: &headers, body };
        let answer = http::send(admin.parse().expect("an address"), &request);
        let answer = answer.expect("it answers");
        assert!(!target.starts_with("/scim") || answer.status == 200, "its token opens SCIM");
        seen.push(String::from_utf8_lossy(&answer.body).into_owned());
    }
    for body in [&b"{"[..], HELLO] {
        let answer = gateway.call_with("wrong", CHAT, body);
        seen.push(String::from_utf8_lossy(&answer.body).into_owned());
    }
    for table in TABLES {
        seen.push(serde_json::to_string(&gateway.query(table)).expect("rows"));
    }
    let of_process = |name: &str| {
        let text = fs::read(format!("/proc/{}/{name}", process.0.id())).expect("it runs");
        String::from_utf8_lossy(&text).into_owned()
    };
    seen.extend(["cmdline", "status", "maps"].map(of_process));
    seen
}

//! Secrets as an operator meets them: the embedded vault, rotation without a restart, a vault that
//! dies, and canaries that must be nowhere.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testing::free_port;

use crate::http::{self, Request};
use crate::stand::Stand;
use crate::support::{Backend, Gateway, Process, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

/// A simulated instance that takes one key.
pub(crate) fn simulate(key: &str, port: u16) -> Process {
    let mut command = gatehouse();
    command.args(["simulate", "--key", key, "--port", &port.to_string()]);
    Process::listening(command.stdout(Stdio::null()).stderr(Stdio::null()), port)
}

/// Puts another reference in place of the backend's key, and further settings.
fn refer(gateway: &Gateway, reference: &str, more: &str) {
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let text = text.replace("env: AZURE_OPENAI_API_KEY", reference);
    fs::write(&gateway.config, format!("{text}{more}")).expect("writable");
}

/// `gatehouse vault set`.
pub(crate) fn set(gateway: &Gateway, name: &str, value: &str) {
    let mut command = gatehouse();
    command.args(["vault", "set", name, "--config"]).arg(&gateway.config);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(value.as_bytes()).expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

pub(crate) fn readiness(gateway: &Gateway) -> Value {
    let environment = gateway.environment();
    let found = environment.iter().find(|(name, _)| name == "GATEHOUSE__HEALTH__LISTEN");
    let address: SocketAddr = found.expect("it is set").1.parse().expect("an address");
    let request = Request { method: "GET", target: "/readyz?verbose", headers: &[], body: b"" };
    let answer = http::send(address, &request).expect("it answers");
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn events(gateway: &Gateway, kind: &str, reason: &str) -> Vec<Value> {
    gateway.query(&format!("SecurityEvents | where Kind == '{kind}' and Reason == '{reason}'"))
}

/// Every file below a folder that holds a text.
fn holding(folder: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            holding(&path, text, found);
            continue;
        }
        let data = fs::read(&path).unwrap_or_default();
        if data.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

/// A secret stands in no text and in no file but the one that is its home.
pub(crate) fn assert_nowhere(secret: &str, texts: &[String], folder: &Path) {
    for text in texts {
        let at = text.find(secret);
        assert!(
            at.is_none(),
            "{secret} in {}",
            &text[at.unwrap_or(0)..].get(..200).unwrap_or(text)
        );
    }
    let mut found = Vec::new();
    holding(folder, secret, &mut found);
    found.retain(|file| !file.ends_with("gatehouse.vault-key"));
    assert!(found.is_empty(), "{secret} in {found:?}");
}

#[test]
fn planted_canaries_are_in_no_log_file_table_or_answer() {
    let port = free_port();
    let _simulator = simulate("canary-backend-key", port);
    let backend = Backend::start();
    let gateway = Gateway::new(&backend, &[("GATEHOUSE__LOG__LEVEL", "trace")]);
    let own = format!("http://127.0.0.1:{}", backend.port);
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let text = text.replace(&own, &format!("http://127.0.0.1:{port}"));
    fs::write(&gateway.config, text).expect("writable");
    refer(&gateway, "vault: east-key", "");
    set(&gateway, "east-key", "canary-backend-key");
    set(&gateway, "other", "canary-unused-secret");
    let log = gateway.folder.path().join("log");
    let mut serve = gatehouse();
    serve.args(["serve", "--config"]).arg(&gateway.config).envs(gateway.environment());
    serve.stdout(Stdio::null()).stderr(File::create(&log).expect("writable"));
    let mut process = Process::listening(&mut serve, gateway.address().port());

    let mut answers = Vec::new();
    let mut call = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let request = Request { method: "POST", target, headers, body };
        let answer = http::send(gateway.address(), &request).expect("it answers");
        answers.push(String::from_utf8_lossy(&answer.body).into_owned());
        answer.status
    };
    let key = ("api-key", gateway.key.as_str());
    assert_eq!(call(CHAT, &[key], HELLO), 200);
    assert_eq!(call(CHAT, &[key], b"{"), 400);
    assert_eq!(call(CHAT, &[("api-key", "canary-wrong-key")], HELLO), 401);
    assert_eq!(call(CHAT, &[("authorization", "Bearer canary-wrong-token")], HELLO), 401);
    let in_query = format!("{CHAT}&subscription-key=canary-in-query");
    assert_eq!(call(&in_query, &[], HELLO), 401);
    assert_eq!(call("/openai/nowhere?api-version=2024-10-21", &[key], HELLO), 404);
    // The vault turns against the gateway: errors of every step that names the secret.
    let vault = gateway.folder.path().join("gatehouse.vault");
    let sealed = fs::read(&vault).expect("it is there");
    fs::write(&vault, b"canary-in-a-damaged-vault").expect("writable");
    let reload = run(gatehouse()
        .args(["reload", "--config"])
        .arg(&gateway.config)
        .envs(gateway.environment()));
    let list = run(gatehouse().args(["vault", "list", "--config"]).arg(&gateway.config));
    assert!(!list.status.success(), "a damaged vault is noticed");
    eventually("the trouble is told", || {
        (!events(&gateway, "secret_unavailable", "corrupt").is_empty()).then_some(())
    });
    assert_eq!(call(CHAT, &[key], HELLO), 200, "what was fetched stays in use");
    fs::write(&vault, sealed).expect("writable");
    let list = run(gatehouse().args(["vault", "list", "--config"]).arg(&gateway.config));
    assert!(String::from_utf8_lossy(&list.stdout).contains("east-key"));
    for output in [&reload, &list] {
        answers.push(String::from_utf8_lossy(&output.stdout).into_owned());
        answers.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    for table in ["Interactions", "Messages", "SecurityEvents", "BackendHealth", "AdminActions"] {
        answers.push(serde_json::to_string(&gateway.query(table)).expect("rows"));
    }
    let status = fs::read_to_string(format!("/proc/{}/cmdline", process.0.id()));
    answers.push(status.expect("it runs"));
    assert!(process.terminate());

    answers.push(fs::read_to_string(&log).expect("a log"));
    assert!(answers.last().expect("the log").contains("request refused"), "the log is on");
    let master = fs::read_to_string(gateway.folder.path().join("gatehouse.vault-key"));
    let master = master.expect("it was made");
    for secret in ["canary", master.as_str(), gateway.key.as_str()] {
        assert_nowhere(secret, &answers, gateway.folder.path());
    }
}

#[test]
fn a_rotated_key_is_used_once_the_backend_takes_it_and_no_call_fails() {
    let backend = Backend::start();
    let port = free_port();
    let simulator = simulate("key-one", port);
    let mut gateway = Gateway::new(&backend, &[]);
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let own = format!("http://127.0.0.1:{}", backend.port);
    let text = text.replace(&own, &format!("http://127.0.0.1:{port}"));
    fs::write(&gateway.config, text).expect("writable");
    refer(&gateway, "file: backend.key", "");
    let file = gateway.folder.path().join("backend.key");
    fs::write(&file, "key-one\n").expect("writable");
    gateway.start();
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200);
    fs::write(&file, "key-two\n").expect("writable");
    eventually("the new key is refused", || {
        let rows = events(&gateway, "secret_rotated", "not_proven");
        assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "the old key is used");
        rows.first().cloned()
    });
    // The service learns of the key; the file is written anew so that nobody waits half a minute.
    drop(simulator);
    let _simulator = simulate("key-three", port);
    fs::write(&file, "key-three\n").expect("writable");
    let row = eventually("the new key is proven", || {
        events(&gateway, "secret_rotated", "proven").first().cloned()
    });
    assert_eq!(row["BackendId"], "first");
    assert!(row["Target"].as_str().expect("a text").contains("backend.key"), "{row}");
    eventually("calls succeed with it", || {
        (gateway.call(CHAT, &[], HELLO).status == 200).then_some(())
    });
    assert!(gateway.terminate());
}

#[test]
fn a_vault_that_dies_leaves_callers_served_and_is_named() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    let mut server = Stand::openbao();
    let more = format!(
        "vault:\n  refresh_s: 1\n  egress: {{ allow: [127.0.0.0/8] }}\n  openbao:\n    address: http://127.0.0.1:{}\n    token: {{ file: bao-token }}\n",
        server.port
    );
    refer(&gateway, "openbao: { path: gatehouse/east }", &more);
    fs::write(gateway.folder.path().join("bao-token"), "bao-token\n").expect("writable");
    gateway.start();
    eventually("the key is there", || (gateway.call(CHAT, &[], HELLO).status == 200).then_some(()));
    let stands = readiness(&gateway);
    assert_eq!(stands["backends"][0]["credential"]["is_ready"], true, "{stands}");

    server.kill();
    let trouble = eventually("the trouble is told", || {
        assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "callers are served");
        let stands = readiness(&gateway);
        assert_eq!(stands["status"], "ready", "{stands}");
        let credential = stands["backends"][0]["credential"].clone();
        Some(credential).filter(|credential| credential["trouble"] != "")
    });
    assert_eq!(trouble["is_ready"], true);
    let text = trouble["trouble"].as_str().expect("a text");
    assert!(text.contains("OpenBao") && text.contains("gatehouse/east"), "{text}");
    eventually("it is a security event", || {
        events(&gateway, "secret_unavailable", "unavailable").first().cloned()
    });
    // A gateway that starts meanwhile says what is missing.
    assert!(gateway.terminate());
    gateway.start();
    let answer = gateway.call(CHAT, &[], HELLO);
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    let stands = eventually("it says why", || {
        let stands = readiness(&gateway);
        let trouble =
            stands["backends"][0]["credential"]["trouble"].as_str().unwrap_or("").to_owned();
        (trouble.contains("OpenBao")).then_some(stands)
    });
    assert_eq!(stands["status"], "not_ready");
    assert!(gateway.terminate());
}

#[test]
fn the_secret_of_keys_may_lie_in_a_vault_which_a_start_waits_for_and_a_reload_does_not() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    let file = gateway.folder.path().join("gatehouse.secret");
    let secret = fs::read_to_string(&file).expect("init made it").trim().to_owned();
    fs::remove_file(&file).expect("it is there");
    let mut server = Stand::start(move |_, head| {
        let data = if head.starts_with("GET /v1/auth/token/lookup-self ") {
            json!({ "ttl": 0, "renewable": false })
        } else {
            assert!(head.starts_with("GET /v1/secret/data/gatehouse/hash "), "{head}");
            json!({ "data": { "value": secret }, "metadata": { "version": 1 } })
        };
        json!({ "data": data }).to_string()
    });
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let text = text.replace("file: gatehouse.secret", "openbao: { path: gatehouse/hash }");
    let vault = format!(
        "vault:\n  egress: {{ allow: [127.0.0.0/8] }}\n  openbao:\n    \
         address: http://127.0.0.1:{}\n    token: {{ file: bao-token }}\n",
        server.port
    );
    fs::write(&gateway.config, format!("{text}{vault}")).expect("writable");
    fs::write(gateway.folder.path().join("bao-token"), "bao-token\n").expect("writable");
    let command = |arguments: &[&str]| {
        let mut command = gatehouse();
        command.args(arguments).arg("--config").arg(&gateway.config);
        run(command.envs(gateway.environment()))
    };
    for arguments in [&["config", "validate"][..], &["keys", "create", "--subscription", "another"]]
    {
        let done = command(arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    server.kill();
    let refused = command(&["config", "validate"]);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{errors}");
    assert!(errors.contains("key_hash_secret") && errors.contains("gatehouse/hash"), "{errors}");

    // The vault is back a moment after the start.
    let server = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_secs(3));
        server.restart();
        server
    });
    gateway.start();
    let mut server = server.join().expect("it is back");
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "the key's hash is the same");
    server.kill();
    let mut reload = gatehouse();
    reload.args(["reload", "--config"]).arg(&gateway.config).envs(gateway.environment());
    let reload = run(&mut reload);
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "what was fetched stays in use");
    assert!(gateway.terminate());
}

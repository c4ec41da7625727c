//! The command line as its users meet it.

use std::fs;

use tempfile::TempDir;

use crate::support::{System, gatehouse, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_scripted_demo_makes_every_kind_of_call_and_proves_the_record() {
    let output = run(gatehouse().args(["demo", "--script", "--port", "0"]));
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    for part in ["sum_totaltokens", "prompttext", "speech-to-text", "assistant", "batch"] {
        assert!(shown.contains(part), "`{part}` is missing in {shown}");
    }
    assert!(!shown.contains("/./"), "paths are shown as people write them: {shown}");
}

#[test]
fn init_writes_a_configuration_that_validates_and_never_overwrites_one() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gatehouse.yaml");
    let output = run(gatehouse().arg("init").arg("--config").arg(&file));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).trim().len() >= 40, "the key is printed");
    let written = fs::read_to_string(&file).expect("written");
    assert!(!written.contains(text(&output.stdout).trim()), "the key is not in the file");
    let validate = run(gatehouse().args(["config", "validate", "--config"]).arg(&file));
    assert!(validate.status.success(), "{}", text(&validate.stderr));
    let again = run(gatehouse().arg("init").arg("--config").arg(&file));
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).expect("still there"), written);
}

#[test]
fn an_unknown_configuration_key_is_an_error_with_a_suggestion() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gatehouse.yaml");
    run(gatehouse().arg("init").arg("--config").arg(&file));
    let wrong = fs::read_to_string(&file).expect("written") + "\nlegder:\n  durability: strict\n";
    fs::write(&file, wrong).expect("writable");
    let output = run(gatehouse().args(["config", "validate", "--config"]).arg(&file));
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(said.contains("legder") && said.contains("ledger"), "{said}");
}

#[test]
fn the_schema_is_json_and_names_every_section() {
    let output = run(gatehouse().args(["config", "schema"]));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for section in ["ledger", "backends", "subscriptions", "store", "admin"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_named_with_the_fix_before_anything_is_asked() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gatehouse.yaml");
    run(gatehouse().arg("init").arg("--config").arg(&file));
    let bill = folder.path().join("bill.csv");
    fs::write(&bill, "Date,Total\n2026-11-01,1.5\n").expect("writable");
    let (config, bill) = (file.to_str().expect("UTF-8"), bill.to_str().expect("UTF-8"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("writable");
    let (empty, absent) = (empty.to_str().expect("UTF-8"), "/nowhere/at-all");
    let made = folder.path().join("made.yaml");
    let made = made.to_str().expect("UTF-8");
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let taken = listener.local_addr().expect("bound").port().to_string();
    let taken = taken.as_str();
    let month = ["cost", "reconcile", "2026-11", "--config", config, "--export"];
    let with = |file: &'static str| month.iter().copied().chain([file]).collect::<Vec<_>>();
    let with_bill: Vec<&str> = month.iter().copied().chain([bill]).collect();
    for (arguments, status, words) in [
        (vec!["audit", "verify", "--ledger-dir", absent], 3, ["cannot be read", "--ledger-dir"]),
        (vec!["audit", "verify", "--ledger-dir", empty], 3, ["holds no ledger", "--config"]),
        (with(absent), 1, ["cannot read /nowhere/at-all", "CSV file"]),
        (with_bill, 1, ["no column", "--cost-column"]),
        (vec!["keys", "create", "--subscription", "", "--config", absent], 2, ["name", "team-a"]),
        (vec!["keys", "create", "--subscription", "user:x"], 2, ["user:x", "another name"]),
        (vec!["vault", "set", "x", "--config", config], 1, ["standard input", "printf"]),
        (vec!["vault", "remove", "x", "--config", config], 1, ["`x`", "gatehouse vault list"]),
        (vec!["vault", "rotate-key", "--config", config], 1, ["is not there", "vault set"]),
        (vec!["audit", "public-key", "--config", config], 1, ["is not there", "start the gateway"]),
        (
            vec!["audit", "verify", "--from", "5", "--to", "3", "--config", config],
            1,
            ["--from", "--to"],
        ),
        (
            vec!["audit", "verify", "--public-key", absent, "--ledger-dir", empty],
            1,
            [absent, "name the file"],
        ),
        (vec!["init", "--listen", "here"], 2, ["here", "127.0.0.1:8080"]),
        (vec!["init", "--config", "/proc/x/y"], 1, ["/proc/x", "--config"]),
        (vec!["init", "--config", bill], 1, ["exists", "--config"]),
        (vec!["init", "--config", made, "--backend-url", "ftp://x"], 78, ["ftp://x", "https://"]),
        (vec!["demo", "--port", "http"], 2, ["http", "0 to 65535"]),
        (vec!["demo", "--port", "0", "--data-dir", "/proc/x"], 1, ["/proc/x", "--data-dir"]),
        (vec!["demo", "--port", taken], 1, [taken, "another port with --port"]),
        (vec!["simulate", "--port", taken], 1, [taken, "another port with --port"]),
        (vec!["tail", "--lines", "all"], 2, ["all", "such as 10"]),
        (vec!["config", "validate", "--config", empty], 78, [empty, "--config"]),
        (vec!["query", "--config", config, " "], 1, ["is empty", "Interactions"]),
    ] {
        let output = run(gatehouse().args(&arguments));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
    assert!(!fs::exists(made).expect("readable"), "what does not hold is not left behind");
}

/// What is changed in a configuration that holds, and words of what is then said of it.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    ("base_url: https:", "base_url: ftp:", &["backend `first`", "https://"]),
    ("base_url: https://", "base_url: ", &["backend `first`", "https://"]),
    ("azure.com", "azure.com/?api-version=1", &["backend `first`", "leave out the query"]),
    ("- id: first", "- id: ''", &["a backend has no id", "give"]),
    (
        "backends:\n",
        "backends:\n  - { id: first, base_url: 'http://10.0.0.1' }\n",
        &["`first` stands twice", "rename"],
    ),
    ("127.0.0.1:8080", "localhost", &["such as 127.0.0.1:8080"]),
    (
        "- address: 127.0.0.1:8080",
        "- address: 127.0.0.1:1\n    - address: 127.0.0.1:1",
        &["stands twice", "change one"],
    ),
    ("# tls:", "tls:", &["cert.pem", "PEM file"]),
    ("trusted_proxies: []", "trusted_proxies: [proxy]", &["such as 10.1.2.3"]),
    ("trusted_proxies: []", "trusted_proxies: yes", &["give a list"]),
    ("durability: strict", "segment_bytes: -1", &["whole number"]),
    ("  durability: strict", "\tdurability: strict", &["indent with spaces"]),
    ("durability: strict", "compress: maybe", &["true or false"]),
    ("ledger:", "backends: []\nledger:", &["backends", "stands twice"]),
    ("  file: gatehouse.secret", "  file: gatehouse.secret\n  env: X", &["remove the others"]),
    ("  file: gatehouse.secret", "  env: NOT_SET_ANYWHERE", &["NOT_SET_ANYWHERE", "export it"]),
    ("data_dir: data", "data_dir: data\nprices_file: none.csv", &["prices_file", "built-in"]),
    ("data_dir: data", "data_dir: data\notlp: { endpoint: x }", &["otlp", "https://"]),
    ("data_dir: data", "data_dir: data\nadmin: strict", &["`name: value`"]),
    (
        "data_dir: data",
        "data_dir: data\nproducts: [{ id: p, operations: [chat] }]",
        &["product `p`", "did you mean"],
    ),
    (
        "data_dir: data",
        "data_dir: data\ncheckpoints: { signing_key: { file: none } }",
        &["none", "gatehouse audit key"],
    ),
];

#[test]
fn every_mistake_in_a_configuration_is_named_with_its_fix_before_anything_starts() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gatehouse.yaml");
    run(gatehouse().arg("init").arg("--config").arg(&file));
    let right = fs::read_to_string(&file).expect("written");
    for (find, replace, words) in MISTAKES {
        assert!(right.contains(find), "{find}");
        fs::write(&file, right.replacen(find, replace, 1)).expect("writable");
        let output = run(gatehouse().args(["config", "validate", "--config"]).arg(&file));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{replace}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{replace}: {said}");
    }
}

#[test]
fn without_a_gateway_query_says_how_to_start_one() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gatehouse.yaml");
    run(gatehouse().arg("init").arg("--config").arg(&file));
    let output = run(gatehouse().args(["query", "--config"]).arg(&file).arg("Interactions"));
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("gatehouse serve"));
}

#[test]
fn a_wrong_query_names_place_and_fix() {
    let system = System::demo();
    let output = run(gatehouse()
        .args(["query", "--config"])
        .arg(&system.config)
        .arg("Interactions | where PromptTokenz > 3"));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("PromptTokenz") && said.contains("PromptTokens"), "{said}");
}

#[test]
fn tail_shows_what_happened_and_doctor_finds_nothing_wrong() {
    let system = System::demo();
    let chat = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    system
        .post(chat, &serde_json::json!({ "messages": [{ "role": "user", "content": "tail me" }] }));
    system.rows("Interactions", 1);
    let tail = run(gatehouse().args(["tail", "--no-follow", "--config"]).arg(&system.config));
    assert!(text(&tail.stdout).contains("ChatCompletions_Create"), "{}", text(&tail.stdout));
    let doctor = run(gatehouse().args(["doctor", "--config"]).arg(&system.config));
    assert!(doctor.status.success(), "{}{}", text(&doctor.stdout), text(&doctor.stderr));
    let version = run(gatehouse().arg("version"));
    assert!(text(&version.stdout).starts_with("gatehouse "), "{}", text(&version.stdout));
    let completions = run(gatehouse().args(["completions", "bash"]));
    assert!(text(&completions.stdout).contains("_gatehouse"));
}

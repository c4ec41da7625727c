//! Alert rules of the desired state: made and removed through the command line, in force at once beside those of
//! the file, delivered to a webhook, and there after a restart that lacks the sink.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testing::PostgresServer;

use crate::support::{Backend, Gateway, eventually};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
const OF_THE_FILE: &str = "  rules:
    - { id: of-the-file, query: Interactions, threshold: 100 }
";
const YAML: &str = "id: calls
name: Somebody calls
query: |
  Interactions
  | where DeploymentName == 'gpt-4o'
frequency_s: 5
severity: 2
sinks: [hook]
";

/// A webhook that keeps what it is told.
struct Webhook {
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        // It ends with the process: nothing is asked of it after its test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let message = take(&stream).unwrap_or_default();
                kept.lock().expect("no panic").push(message);
                let _ = (&stream).write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        Self { port, told }
    }

    /// Conditions and ids of what it was told of this rule, in order.
    fn of(&self, rule: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = self.told.lock().expect("no panic");
        let essentials = told.iter().map(|message| &message["data"]["essentials"]);
        let of = essentials.filter(|it| text(&it["alertRuleID"]).ends_with(&format!("/{rule}")));
        of.map(|it| (text(&it["monitorCondition"]), text(&it["originAlertId"]))).collect()
    }
}

/// The JSON of a request.
fn take(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// A gateway that the command line is told of, with these alerts in its file.
struct Desk {
    gateway: Gateway,
    plain: String,
}

impl Desk {
    fn start(backend: &Backend, settings: &[(&str, &str)], alerts: &str) -> Self {
        let mut gateway = Gateway::new(backend, settings);
        let plain = std::fs::read_to_string(&gateway.config).expect("a file");
        std::fs::write(&gateway.config, format!("{plain}{alerts}")).expect("writes");
        gateway.start();
        Self { gateway, plain }
    }

    /// Starts it again, with other alerts in its file.
    fn restart(&mut self, alerts: &str) {
        self.gateway.kill();
        let text = format!("{}{alerts}", self.plain);
        std::fs::write(&self.gateway.config, text).expect("writes");
        self.gateway.start();
    }

    fn run(&self, arguments: &[&str], document: &str) -> (Option<i32>, String, String) {
        self.gateway.command(arguments, document)
    }

    fn put(&self, document: &str) {
        let (status, _, said) =
            self.run(&["alert-rule", "put", "--reason", "ticket 4711"], document);
        assert_eq!(status, Some(0), "{said}");
    }

    /// Whose a rule is, whose it replaces, and whether it is on; none if there is none.
    fn listed(&self, id: &str) -> Option<Value> {
        let (status, listed, said) = self.run(&["alert-rule", "list"], "");
        assert_eq!(status, Some(0), "{said}");
        let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let line = lines.into_iter().find(|line| line["rule"]["id"] == id)?;
        Some(json!([line["origin"], line["replaces"], line["rule"]["enabled"]]))
    }

    /// How a rule stands.
    fn standing(&self, id: &str) -> Value {
        let (status, answer) = self.gateway.administer("GET", "/admin/v1/alerts", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        let rules = answer["rules"].as_array().expect("a list");
        rules.iter().find(|row| row["rule"]["id"] == id).cloned().unwrap_or_default()
    }
}

#[test]
fn a_rule_put_by_the_command_line_fires_tells_and_is_resolved_when_it_is_removed() {
    let (backend, webhook) = (Backend::start(), Webhook::start());
    let url = format!("http://127.0.0.1:{}/", webhook.port);
    let sinks =
        format!("\nalerts:\n  delay_s: 0\n  sinks:\n    - {{ id: hook, url: \"{url}\" }}\n");
    let mut desk = Desk::start(&backend, &[], &format!("{sinks}{OF_THE_FILE}"));
    assert_eq!(desk.listed("of-the-file"), Some(json!(["file", null, true])));
    desk.put(YAML);
    assert_eq!(desk.listed("calls"), Some(json!(["state", null, true])));
    assert_eq!(desk.gateway.call(CHAT, &[], BODY).status, 200);
    eventually("the webhook is told", || (!webhook.of("calls").is_empty()).then_some(()));
    for (wrong, why) in [
        (YAML.replace("hook", "team"), "goes to sink `team`, which is not there"),
        (YAML.replace("hook", "team"), "(there are hook)"),
        (YAML.replace("| where", "| were"), "alert rule `calls`: line 2, column "),
        (YAML.replace("DeploymentName", "DeploymentNam"), "alert rule `calls`: line 2, column 9: "),
        (YAML.replace("DeploymentName", "DeploymentNam"), "did you mean 'DeploymentName'?"),
        (format!("{YAML}dimensions: [Regions]"), "its measure_column or dimensions: "),
        ("{ id: gauge, metric: gatehouse_nothing }".into(), "there are gatehouse_"),
        (YAML.replace("severity: 2", "severity: 7"), "severity may be 0 to 4"),
    ] {
        let (status, _, said) = desk.run(&["alert-rule", "put"], &wrong);
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains(why), "{said}");
    }

    desk.restart(&format!("{sinks}{OF_THE_FILE}"));
    assert_eq!(desk.listed("calls"), Some(json!(["state", null, true])), "a restart keeps it");
    assert_eq!(desk.standing("calls")["firing"].as_array().map(Vec::len), Some(1));
    let exported = desk.run(&["export"], "").1;
    assert!(exported.contains("Somebody calls") && !exported.contains("of-the-file"), "{exported}");
    let (status, _, said) =
        desk.run(&["apply"], &exported.replace("Somebody calls", "Somebody calls it"));
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(desk.standing("calls")["rule"]["name"], "Somebody calls it");
    let (_, changes, _) = desk.run(&["history", "diff", "2"], "");
    assert!(changes.starts_with("added alert_rule calls\n"), "{changes}");

    // What the file says holds on beneath.
    desk.put("{ id: of-the-file, query: Interactions, enabled: false }");
    assert_eq!(desk.listed("of-the-file"), Some(json!(["state", "file", false])));
    assert_eq!(desk.run(&["alert-rule", "delete", "of-the-file"], "").0, Some(0));
    assert_eq!(desk.listed("of-the-file"), Some(json!(["file", null, true])));
    let (status, _, said) = desk.run(&["alert-rule", "delete", "of-the-file"], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the desired state has no alert rule `of-the-file`"), "{said}");

    let remove = ["alert-rule", "delete", "calls", "--reason", "old"];
    assert_eq!(desk.run(&remove, "").0, Some(0));
    assert_eq!(desk.listed("calls"), None);
    eventually("the webhook is told of the end", || (webhook.of("calls").len() > 1).then_some(()));
    let [(fired, first), (resolved, last)] = &webhook.of("calls")[..] else {
        panic!("{:?}", webhook.of("calls"))
    };
    assert_eq!((&**fired, &**resolved, first), ("Fired", "Resolved", last));
    let rows = eventually("the end is on record", || {
        let rows = desk.gateway.query("Alerts | where RuleId == 'calls' and State == 'Resolved'");
        Some(rows).filter(|rows| !rows.is_empty())
    });
    assert_eq!(rows[0]["Message"], "its rule is gone or off");
    assert_eq!(rows[0]["RuleName"], "Somebody calls it");
}

#[test]
fn a_state_whose_sink_is_gone_is_served_and_says_so() {
    let backend = Backend::start();
    let sinks = "\nalerts:\n  sinks:\n    - { id: hook, url: \"http://127.0.0.1:1/\" }\n";
    let mut desk = Desk::start(&backend, &[], sinks);
    desk.put(YAML);
    desk.restart("\nalerts:\n  delay_s: 0\n");
    assert_eq!(desk.gateway.call(CHAT, &[], BODY).status, 200);
    let row = eventually("the rule fires", || {
        Some(desk.standing("calls")).filter(|row| row["firing"] != json!([]))
    });
    assert_eq!((&row["missing_sinks"], &row["failure"]), (&json!(["hook"]), &json!("")));
    // Other changes go on: only what is new must be here.
    desk.put("{ id: other, query: Interactions }");
    let (status, _, said) = desk.run(&["alert-rule", "put"], &YAML.replace("severity: 2", ""));
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains("`hook`, which is not there") && said.contains("there is none"),
        "{said}"
    );
}

#[test]
fn a_rule_is_in_force_on_another_gateway_which_says_what_it_lacks() {
    let Some(database) = PostgresServer::start() else { return };
    let backend = Backend::start();
    let shared = format!("\ncontrol:\n  url: {}\n  poll_ms: 200\n", database.url());
    let sinks = "alerts:\n  sinks:\n    - { id: hook, url: \"http://127.0.0.1:1/\" }\n";
    let first = Desk::start(&backend, &[], &format!("{shared}{sinks}"));
    let second = Desk::start(&backend, &[], &shared);
    first.put(YAML);
    let row = eventually("it is in force there too", || {
        Some(second.standing("calls")).filter(|row| row["origin"] == "state")
    });
    assert_eq!(row["missing_sinks"], json!(["hook"]));
    assert_eq!(first.standing("calls")["missing_sinks"], json!([]));
    assert_eq!(second.run(&["alert-rule", "delete", "calls"], "").0, Some(0));
    eventually("it is gone here too", || first.standing("calls").is_null().then_some(()));
}

#[test]
fn where_a_file_holds_the_state_its_rules_are_read_and_not_changed() {
    let backend = Backend::start();
    let settings = [("GATEHOUSE__CONTROL__SOURCE", "file")];
    let desk = Desk::start(&backend, &settings, &format!("\nalerts:\n{OF_THE_FILE}"));
    assert_eq!(desk.listed("of-the-file"), Some(json!(["file", null, true])));
    assert_eq!(desk.listed("audit-stopped"), Some(json!(["built_in", null, true])));
    let rule = json!({ "query": "Interactions" });
    let target = "/admin/v1/alert-rules/of-the-file";
    assert_eq!(desk.gateway.administer("PUT", target, &rule).0, 409);
    assert_eq!(desk.gateway.administer("DELETE", target, &Value::Null).0, 409);
}

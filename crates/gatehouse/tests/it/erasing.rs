//! What interactions said goes, from everywhere; that they were, and what they cost, stays and is proved.

use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
/// Of a prompt that is to be forgotten; the simulator repeats it in its answer.
const CANARY: &str = "canary-of-a-person";

fn chat(gateway: &Gateway, text: &str, is_stream: bool) {
    let messages = json!([{ "role": "user", "content": text }]);
    let body = json!({ "messages": messages, "stream": is_stream, "user": "somebody" });
    assert_eq!(gateway.call(CHAT, &[], body.to_string().as_bytes()).status, 200);
}

fn erase(gateway: &Gateway, arguments: &[&str], input: Option<&str>) -> Output {
    let mut command = gatehouse();
    command.args(["audit", "erase", "--config"]).arg(&gateway.config).args(arguments);
    command.envs(gateway.environment()).stdin(Stdio::null());
    if let Some(input) = input {
        let file = gateway.folder.path().join("ids.csv");
        std::fs::write(&file, input).expect("writes");
        command.stdin(std::fs::File::open(file).expect("opens"));
    }
    run(&mut command)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Files below a folder that hold the canary in plain text. What is compressed, the tests of the tables look into.
fn sung(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("it lists") {
        let path = entry.expect("it lists").path();
        if path.is_dir() {
            sung(&path, found);
            continue;
        }
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(&path);
        // A temporary file may go while it is looked at.
        if opened.and_then(|mut file| file.read_to_end(&mut bytes)).is_err() {
            continue;
        }
        if String::from_utf8_lossy(&bytes).contains(CANARY) {
            found.push(path.display().to_string());
        }
    }
}

fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_a_person_said_is_erased_everywhere_and_the_rest_stays_proved() {
    let backend = Backend::start();
    // Plain text on disk, so that it would be found.
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__LEDGER__COMPRESS", "false")]);
    gateway.start();
    let data = gateway.folder.path().join("data");
    let short = format!("{CANARY} says Ada");
    let long = format!("{short} {}", "and much more ".repeat(20_000));
    for (text, is_stream) in [(&short, false), (&short, true), (&long, false)] {
        chat(&gateway, text, is_stream);
        chat(&gateway, "of another person", is_stream);
    }
    let rows = "Interactions | project CorrelationId, TotalTokens, CostUsd, ResponseCode";
    let before = eventually("six calls are in the tables", || {
        Some(gateway.query(rows)).filter(|rows| rows.len() == 6)
    });
    let mut found = Vec::new();
    sung(&data, &mut found);
    assert!(!found.is_empty(), "the canary is on disk before");

    let mut asked = gatehouse();
    // What is written into a query is a record of reading, and stays.
    let query = "Messages | where Content has 'Ada' | distinct CorrelationId";
    asked.args(["query", "--output", "csv", "--purpose", "erasure", "--config"]);
    let ids = run(asked.arg(&gateway.config).arg(query).envs(gateway.environment()));
    let ids = String::from_utf8(ids.stdout).expect("UTF-8");
    assert_eq!(ids.lines().count(), 4, "a header and three calls: {ids}");

    let refused = erase(&gateway, &["--purpose", "x"], Some(&ids));
    assert!(!refused.status.success() && said(&refused).contains("--yes"), "{}", said(&refused));
    let dry = erase(&gateway, &["--purpose", "x", "--dry-run"], Some(&ids));
    assert!(said(&dry).contains("3 of 3 interactions would be erased"), "{}", said(&dry));
    let done = erase(&gateway, &["--purpose", "right to erasure", "--yes"], Some(&ids));
    assert!(done.status.success(), "{}", said(&done));
    let mut found = Vec::new();
    sung(&data, &mut found);
    assert_eq!(found, Vec::<String>::new(), "the canary is nowhere");

    let after = gateway.query(
        "Interactions | project CorrelationId, TotalTokens, CostUsd, ResponseCode, IsContentErased",
    );
    for row in &after {
        let id = text(row, "CorrelationId");
        let was = before.iter().find(|was| text(was, "CorrelationId") == id).expect("it stays");
        assert_eq!(row["IsContentErased"], ids.contains(&id), "{row}");
        for column in ["TotalTokens", "CostUsd", "ResponseCode"] {
            assert_eq!(row[column], was[column], "{column} of {row}");
        }
    }
    let left = gateway
        .query("Messages | where Content has 'person' | summarize Count = dcount(CorrelationId)");
    assert_eq!(left[0]["Count"], 3, "those of the other person are whole");
    let orders = gateway.query("Erasures | summarize Count = count() by Purpose, Via, ErasureId");
    assert_eq!((orders.len(), &orders[0]["Count"]), (1, &json!(3)), "{orders:?}");
    assert_eq!(text(&orders[0], "Purpose"), "right to erasure");

    // An id that no table has is told, and the next calls are recorded as before.
    let nobody = "0197a2c4-0000-7000-8000-000000000000";
    let unknown = erase(&gateway, &["--purpose", "x", "--yes", nobody], None);
    assert_eq!(unknown.status.code(), Some(3), "{}", said(&unknown));
    assert!(said(&unknown).contains(nobody), "{}", said(&unknown));
    chat(&gateway, "after it", false);
    assert!(gateway.terminate());
    let verified = run(gatehouse().args(["audit", "verify", "--config"]).arg(&gateway.config));
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(said(&verified).contains("4 interactions ordered"), "{}", said(&verified));
}

#[test]
fn an_order_is_carried_out_after_a_kill() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__LEDGER__COMPRESS", "false")]);
    gateway.start();
    for _ in 0..3 {
        chat(&gateway, CANARY, false);
    }
    let ids = eventually("three calls are in the tables", || {
        let rows = gateway.query("Interactions | project CorrelationId");
        Some(rows).filter(|rows| rows.len() == 3)
    });
    let ids: Vec<String> = ids.iter().map(|row| text(row, "CorrelationId")).collect();
    let order = json!({ "correlation_ids": ids, "purpose": "right to erasure" });
    // Whoever orders may not hear of it: the order counts once it is on disk.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway_order(&gateway, &order));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let _ =
            std::process::Command::new("kill").args(["-KILL", &gateway.id().to_string()]).status();
        let _ = asked.join();
    });
    gateway.kill();
    gateway.start();
    let data = gateway.folder.path().join("data");
    let was_recorded = gateway.query("Erasures | count")[0]["Count"] == 3;
    if !was_recorded {
        let (status, told) = gateway.administer("POST", "/admin/v1/erasures", &order);
        assert_eq!(status, 200, "{told}");
    }
    eventually("the canary is nowhere", || {
        let mut found = Vec::new();
        sung(&data, &mut found);
        found.is_empty().then_some(())
    });
    assert!(gateway.terminate());
    let verified = run(gatehouse().args(["audit", "verify", "--config"]).arg(&gateway.config));
    assert!(verified.status.success(), "{}", said(&verified));
}

/// Sends an order; the connection may break off.
fn gateway_order(gateway: &Gateway, order: &Value) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        gateway.administer("POST", "/admin/v1/erasures", order)
    }));
}

//! The desired state of a running gateway, changed by the command line through its admin API.

use std::process::Output;

use serde_json::Value;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

fn command(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = gatehouse();
    command.args(arguments).arg("--config").arg(&gateway.config).envs(gateway.environment());
    run(&mut command)
}

/// Standard output of a command that succeeds.
fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = command(gateway, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn status(gateway: &Gateway, key: &str) -> u16 {
    let first = gateway.key.as_str();
    let key = if key.is_empty() { first } else { key };
    gateway.call_with(key, CHAT, BODY).status
}

#[test]
fn subscriptions_are_made_suspended_rotated_and_survive_a_restart() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    assert_eq!(status(&gateway, ""), 200, "the file seeds the state");

    let keys = done(&gateway, &["subscription", "create", "team", "--owner", "ann"]);
    let [primary, secondary] = keys.lines().collect::<Vec<_>>()[..] else { panic!("two keys") };
    assert_eq!(status(&gateway, primary), 200);
    assert_eq!(status(&gateway, secondary), 200);
    done(&gateway, &["subscription", "suspend", "team"]);
    assert_eq!(status(&gateway, primary), 401);
    done(&gateway, &["subscription", "activate", "team"]);
    let rotated = done(&gateway, &["subscription", "rotate", "team", "--grace-s", "3600"]);
    assert_eq!(status(&gateway, rotated.trim()), 200);
    assert_eq!(status(&gateway, primary), 200, "the old key is in its grace");
    done(&gateway, &["subscription", "rotate", "team", "--secondary"]);
    assert_eq!(status(&gateway, secondary), 401, "without grace the old key stops at once");

    // What came out goes in again and changes nothing; a version can be taken back.
    let export = gateway.folder.path().join("state.yaml");
    std::fs::write(&export, done(&gateway, &["export"])).expect("writes");
    let file = export.to_str().expect("UTF-8");
    assert_eq!(done(&gateway, &["apply", "-f", file, "--dry-run"]), "");
    let listed = done(&gateway, &["history", "list"]);
    let newest: Value = serde_json::from_str(listed.lines().next().expect("a line")).expect("JSON");
    assert_eq!(newest["version"], 6);
    done(&gateway, &["history", "rollback", "1"]);
    assert_eq!(status(&gateway, rotated.trim()), 401, "the team is gone");
    done(&gateway, &["apply", "-f", file, "--reason", "it was needed"]);
    assert_eq!(status(&gateway, rotated.trim()), 200, "and is back");

    // Everything is on record, and nothing secret is.
    let query = "AdminActions | where PrincipalKind == 'token' | project OperationName, Via, Before, After, Message";
    let rows = eventually("every change is on record", || {
        Some(gateway.query(query)).filter(|rows| rows.len() >= 7)
    });
    let all = serde_json::to_string(&rows).expect("serialises");
    for operation in ["create", "suspend", "activate", "rotate"] {
        assert!(all.contains(&format!("subscriptions/{operation}")), "{all}");
    }
    assert!(all.contains("it was needed") && all.contains("\"cli\""), "{all}");
    assert!(!all.contains("hmac-sha256") && !all.contains(primary), "{all}");

    gateway.kill();
    gateway.start();
    assert_eq!(status(&gateway, rotated.trim()), 200, "the state survives");
    let wrong = command(&gateway, &["subscription", "create", "team"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("is there already"));
}

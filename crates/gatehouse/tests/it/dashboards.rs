//! Dashboards that everybody sees: seeded by the file, made, changed and removed through the command line,
//! part of what is exported and applied, on record, and there after a restart.

use serde_json::{Value, json};

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const OF_THE_FILE: &str = r#"[{"id":"of-the-file","name":"Of the file","tiles":[{"title":"Calls","query":"Interactions | count"}]}]"#;
const YAML: &str = "id: team a
name: Calls of team a
parameters:
  - { name: Span, type: timespan, first: 24h }
tiles:
  - title: Calls
    query: |
      Interactions
      | where TimeGenerated > ago(Span)
      | count
";

/// Ids and titles of the first tiles.
fn listed(gateway: &Gateway) -> Vec<(String, String)> {
    let (status, listed, said) = gateway.command(&["dashboard", "list"], "");
    assert_eq!(status, Some(0), "{said}");
    let told = |line: &str| {
        let one: Value = serde_json::from_str(line).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&one["id"]), text(&one["tiles"][0]["title"]))
    };
    listed.lines().map(told).collect()
}

fn both(title: &str) -> [(String, String); 2] {
    [("of-the-file", "Calls"), ("team a", title)].map(|(id, title)| (id.into(), title.into()))
}

#[test]
fn the_command_line_makes_changes_lists_and_removes_dashboards() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__DASHBOARDS", OF_THE_FILE)]);
    gateway.start();
    assert_eq!(listed(&gateway), both("")[..1], "the file seeds the state");
    let put = ["dashboard", "put", "--reason", "ticket 4711"];
    let (status, shown, said) = gateway.command(&put, YAML);
    assert_eq!(status, Some(0), "{said}");
    let made: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&made["id"], &made["tiles"][0]["is_wide"]), (&json!("team a"), &json!(false)));
    assert_eq!(gateway.command(&put, &YAML.replace("title: Calls", "title: Count")).0, Some(0));
    for (wrong, code, why) in [
        (YAML.replace("| count", "| count |"), 78, "dashboard `team a`, tile `Calls`: line "),
        (
            YAML.replace("TimeGenerated", "Time"),
            78,
            "dashboard `team a`, tile `Calls`: line 2, column 9: ",
        ),
        (YAML.replace("timespan", "int"), 78, "timespan"),
        (YAML.replace("id: team a", "id: b"), 78, "has the name `Calls of team a` of dashboard"),
        (YAML.replace("id: team a\n", ""), 1, "the document has no `id`: give it one"),
    ] {
        let (status, _, said) = gateway.command(&put, &wrong);
        assert_eq!(status, Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    }

    gateway.kill();
    gateway.start();
    assert_eq!(listed(&gateway), both("Count"));
    let (_, changes, _) = gateway.command(&["history", "diff", "2"], "");
    assert!(changes.starts_with("added dashboard team a\n"), "{changes}");
    let exported = gateway.command(&["export"], "").1;
    let (status, _, said) =
        gateway.command(&["apply"], &exported.replace("title: Count", "title: Again"));
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(listed(&gateway), both("Again"));

    assert_eq!(
        gateway.command(&["dashboard", "delete", "team a", "--reason", "old"], "").0,
        Some(0)
    );
    let (status, _, said) = gateway.command(&["dashboard", "delete", "team a"], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no dashboard `team a`: list them"), "{said}");
    assert_eq!(listed(&gateway), both("")[..1]);
    let query = "AdminActions | where TargetId == 'team a' and Outcome == 'succeeded' \
                 | order by TimeGenerated asc | project OperationName, Message";
    let rows = eventually("each change is on record", || {
        Some(gateway.query(query)).filter(|rows| rows.len() >= 4)
    });
    let told: Vec<_> = rows.iter().map(|row| (&row["OperationName"], &row["Message"])).collect();
    let [made, old] = [("dashboards/put", "ticket 4711"), ("dashboards/delete", "old")]
        .map(|(operation, reason)| (json!(operation), json!(reason)));
    let applied = (json!("state/apply"), json!(""));
    let expected = [&made, &made, &applied, &old].map(|(operation, reason)| (operation, reason));
    assert_eq!(told, expected);
}

#[test]
fn dashboards_of_a_file_that_holds_the_state_are_read_and_not_changed() {
    let backend = Backend::start();
    let settings = [("GATEHOUSE__DASHBOARDS", OF_THE_FILE), ("GATEHOUSE__CONTROL__SOURCE", "file")];
    let mut gateway = Gateway::new(&backend, &settings);
    gateway.start();
    let (status, answer) = gateway.administer("GET", "/admin/v1/dashboards", &Value::Null);
    assert_eq!((status, &answer["items"][0]["name"]), (200, &json!("Of the file")), "{answer}");
    let target = "/admin/v1/dashboards/of-the-file";
    assert_eq!(gateway.administer("DELETE", target, &Value::Null).0, 409);
    for (wrong, why) in [
        (OF_THE_FILE.replace("| count", "|"), "dashboard `of-the-file`, tile `Calls`: line 1"),
        (OF_THE_FILE.replace("Of the file", " "), "needs a name of 1 to 100 characters"),
    ] {
        let mut command = gatehouse();
        command.args(["config", "validate", "--config"]).arg(&gateway.config);
        let wrong = command.envs(gateway.environment()).env("GATEHOUSE__DASHBOARDS", wrong);
        let output = run(wrong);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

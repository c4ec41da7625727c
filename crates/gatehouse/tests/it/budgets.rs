//! A budget from its making through the admin API to its removal: what is spent of it is shown at once, every
//! change is on record, and a restart keeps it.

use serde_json::{Value, json};

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
const ALL: &str = "/admin/v1/budgets";
const TEAM: &str = "/admin/v1/budgets/team%20a?reason=ticket%204711";

/// The budgets, by id and amount, and what is spent of the last one.
fn standing(gateway: &Gateway) -> (Vec<(String, f64)>, f64) {
    let (status, answer) = gateway.administer("GET", ALL, &Value::Null);
    assert_eq!(status, 200, "{answer}");
    let rows = answer["budgets"].as_array().expect("a list");
    let told = |row: &Value| {
        assert_eq!(row["failure"], "", "{row}");
        let id = row["budget"]["id"].as_str().expect("an id").to_owned();
        (id, row["budget"]["amount_usd"].as_f64().expect("an amount"))
    };
    let spent = rows.last().map_or(0.0, |row| row["spent_usd"].as_f64().expect("a number"));
    (rows.iter().map(told).collect(), spent)
}

#[test]
fn a_budget_is_made_changed_and_removed_while_the_gateway_serves() {
    let backend = Backend::start();
    let of_the_file = r#"[{"id":"of-the-file","amount_usd":5}]"#;
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__COST__BUDGETS", of_the_file)]);
    gateway.start();
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    eventually("the call is priced", || {
        let rows = gateway.query("Interactions | where isnotnull(CostUsd)");
        Some(rows).filter(|rows| !rows.is_empty())
    });
    let file = || ("of-the-file".to_owned(), 5.0);
    assert_eq!(standing(&gateway).0, [file()], "the file seeds the state");

    let budget = |amount_usd: f64| json!({ "amount_usd": amount_usd, "deployment": "gpt-4o" });
    for (wrong, why) in [
        (budget(0.0), "above 0"),
        (json!({ "id": "other", "amount_usd": 1 }), "path"),
        (json!({ "amount": 1 }), "amount"),
    ] {
        let (status, answer) = gateway.administer("PUT", TEAM, &wrong);
        assert_eq!(status, 422, "{answer}");
        assert!(answer.to_string().contains(why), "{answer}");
    }
    assert_eq!(gateway.administer("PUT", TEAM, &budget(1.0)).0, 200);
    let (told, spent) = standing(&gateway);
    assert_eq!(told, [file(), ("team a".to_owned(), 1.0)]);
    assert!(spent > 0.0, "what was spent before it was made counts");
    assert_eq!(gateway.administer("PUT", TEAM, &budget(2.0)).0, 200);

    gateway.kill();
    gateway.start();
    assert_eq!(standing(&gateway).0, [file(), ("team a".to_owned(), 2.0)]);
    assert_eq!(gateway.administer("DELETE", TEAM, &Value::Null).0, 200);
    assert_eq!(gateway.administer("DELETE", TEAM, &Value::Null).0, 404);
    assert_eq!(standing(&gateway).0, [file()]);

    let query = "AdminActions | where TargetId == 'team a' and Outcome == 'succeeded' \
                 | order by TimeGenerated asc | project OperationName, Before, After, Message";
    let rows = eventually("each change is on record", || {
        Some(gateway.query(query)).filter(|rows| rows.len() >= 3)
    });
    let names: Vec<_> = rows.iter().map(|row| row["OperationName"].as_str()).collect();
    let [put, delete] = [Some("budgets/put"), Some("budgets/delete")];
    assert_eq!(names, [put, put, delete]);
    assert!(rows.iter().all(|row| row["Message"] == "ticket 4711"), "{rows:?}");
    let amount = |row: &Value, side: &str| {
        let state = row[side].as_str().map(|text| serde_json::from_str(text).expect("JSON"));
        state.unwrap_or_else(|| row[side].clone())["amount_usd"].as_f64()
    };
    let amounts: Vec<_> =
        rows.iter().map(|row| (amount(row, "Before"), amount(row, "After"))).collect();
    assert_eq!(amounts, [(None, Some(1.0)), (Some(1.0), Some(2.0)), (Some(2.0), None)]);
}

#[test]
fn the_command_line_makes_changes_lists_and_removes_budgets() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    let budget = |arguments: &[&str]| {
        let mut command = gatehouse();
        command.arg("budget").args(arguments).arg("--config").arg(&gateway.config);
        let output = run(command.envs(gateway.environment()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let reason = ["--reason", "ticket 4711"];
    let (status, shown, said) =
        budget(&[&["set", "team a", "--usd", "2.5", "--model", "gpt-4o"][..], &reason].concat());
    assert_eq!(status, Some(0), "{said}");
    let made: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&made["id"], &made["period"]), (&json!("team a"), &json!("month")), "{shown}");
    let (status, _, said) = budget(&["set", "team a", "--usd", "3", "--period", "day"]);
    assert_eq!(status, Some(0), "{said}");
    let (_, listed, _) = budget(&["list"]);
    let lines: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [line] = &lines[..] else { panic!("{listed}") };
    let replaced = json!({ "id": "team a", "amount_usd": 3.0, "period": "day", "subscription": "",
        "product": "", "user": "", "deployment": "", "model": "" });
    assert_eq!((&line["budget"], &line["spent_usd"]), (&replaced, &json!(0.0)), "{listed}");
    for (wrong, code, words) in [
        (&["set", "b", "--usd", "0"][..], 78, "above 0"),
        (&["set", "b", "--usd", "1", "--period", "fortnight"], 2, "day, week, month, year"),
        (&["set", "b"], 2, "--usd"),
        (&["remove", "b"], 1, "no budget `b`: list them"),
    ] {
        let (status, _, said) = budget(wrong);
        assert_eq!(status, Some(code), "{wrong:?}: {said}");
        assert!(said.contains(words), "{wrong:?}: {said}");
    }
    assert_eq!(budget(&[&["remove", "team a"][..], &reason].concat()).0, Some(0));
    assert_eq!(budget(&["list"]).1, "");
    let query = "AdminActions | where TargetId == 'team a' and Message == 'ticket 4711'";
    eventually("both are on record with their reason", || {
        (gateway.query(query).len() == 2).then_some(())
    });
}

//! Prices change, and past days are rated anew: rows keep what they cost, reports show the new sum, and a
//! second time changes nothing.

use serde_json::Value;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

fn prices(input: &str, output: &str, as_of: &str) -> String {
    format!("model,input_per_1m,output_per_1m,as_of\ngpt-4o,{input},{output},{as_of}\n")
}

fn money(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn past_days_are_rated_anew_and_rows_keep_what_they_cost() {
    let backend = Backend::start();
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("prices.csv");
    std::fs::write(&list, prices("2", "8", "2026-01-01")).expect("writes");
    let list_path = list.to_str().expect("UTF-8").to_owned();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__PRICES_FILE", &list_path)]);
    gateway.start();
    for _ in 0..3 {
        assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    }
    let before = eventually("three calls are priced", || {
        let rows =
            gateway.query("Interactions | where PriceVersion == '2026-01-01' | project CostUsd");
        Some(rows).filter(|rows| rows.len() == 3)
    });
    let before: f64 = before.iter().map(|row| money(&row["CostUsd"])).sum();
    let cost = |arguments: &[&str]| {
        let mut command = gatehouse();
        command.arg("cost").args(arguments).arg("--config").arg(&gateway.config);
        let output = run(command.envs(gateway.environment()));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        (String::from_utf8(output.stdout).expect("UTF-8"), errors)
    };
    let reported = |by: &str| {
        let (text, _) = cost(&["report", "--from", "2d", "--by", by, "--output", "json"]);
        let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(rows.iter().map(|row| row["Calls"].as_i64().unwrap_or(0)).sum::<i64>(), 3);
        rows.iter().map(|row| money(&row["CostUsd"])).sum::<f64>()
    };
    let days = gateway.query(
        "print From = format_datetime(ago(1d), 'yyyy-MM-dd'), To = format_datetime(now() + 2d, 'yyyy-MM-dd')",
    );
    let day = |name: &str| days[0][name].as_str().expect("a day").to_owned();
    let (from, to) = (day("From"), day("To"));
    let range = ["rerate", "--from", &from, "--to", &to];

    std::fs::write(&list, prices("4", "16", "2026-02-01")).expect("writes");
    eventually("the new prices are in force", || {
        cost(&[&range[..], &["--dry-run"]].concat()).1.contains("2026-02-01").then_some(())
    });
    assert!((reported("model") - before).abs() < 1e-9, "a dry run changes nothing");
    assert!(gateway.query("CostAdjustments").is_empty());

    let (table, told) = cost(&[&range[..], &["--reason", "the contract was renewed"]].concat());
    assert!(told.contains("1 adjustments"), "{told}");
    let line = table.lines().nth(1).expect("a line");
    assert!(line.contains(",3,0,"), "three calls, none without a price: {table}");
    for by in ["model", "group", "day,user"] {
        assert!((reported(by) - 2.0 * before).abs() < 1e-9, "by {by}: {}", reported(by));
    }
    let (_, told) = cost(&range);
    assert!(told.contains("0 adjustments"), "a second time adds nothing: {told}");
    let rows = gateway.query("Interactions | summarize CostUsd = sum(CostUsd) by PriceVersion");
    assert_eq!((rows.len(), &rows[0]["PriceVersion"]), (1, &Value::from("2026-01-01")));
    assert!((money(&rows[0]["CostUsd"]) - before).abs() < 1e-9, "rows keep what they cost");
    let actions = eventually("both are on record", || {
        let rows = gateway.query(
            "AdminActions | where OperationName == 'cost/rerate' | project Outcome, Message | order by Message asc",
        );
        Some(rows).filter(|rows| rows.len() >= 2)
    });
    assert_eq!(actions.len(), 2, "dry runs change nothing and leave no record: {actions:?}");
    let told = actions[1]["Message"].as_str().expect("text");
    assert!(
        told.starts_with("the contract was renewed: ") && told.contains("2026-02-01"),
        "{told}"
    );
}

//! Scheduled reports of a running gateway: made by hand, put on record, refused where they contradict
//! themselves.

use serde_json::Value;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";

#[test]
fn a_report_is_made_by_hand_over_its_own_days_and_is_on_record() {
    let backend = Backend::start();
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("out");
    let reports = format!(
        "[{{id: usage, query: 'Interactions | summarize Calls = count() | extend Who = current_principal()', \
         folder: '{}', time_zone: Europe/Berlin}}, \
         {{id: content, query: 'Messages | project Content', folder: '{0}', purpose: review}}]",
        place.display()
    );
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__REPORTS", &reports)]);
    gateway.start();
    let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
    assert_eq!(gateway.call(CHAT, &[], body).status, 200);

    let report = |arguments: &[&str]| {
        let mut command = gatehouse();
        command.arg("report").args(arguments);
        run(command.arg("--config").arg(&gateway.config).envs(gateway.environment()))
    };
    let missing = report(&["run", "usage"]);
    let told = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert_eq!(missing.status.code(), Some(3), "there is no such folder: {told}");
    assert!(told.contains("cannot write"), "{told}");
    std::fs::create_dir(&place).expect("a folder");
    for id in ["usage", "content"] {
        let made = report(&["run", id]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let read = |id: &str| {
        let files = std::fs::read_dir(&place).expect("the folder");
        let mut files = files.map(|file| file.expect("a file").path());
        let file = files.find(|file| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id))
        });
        std::fs::read_to_string(file.expect("the report")).expect("text")
    };
    assert_eq!(
        read("usage"),
        "Calls,Who\r\n0,report:usage\r\n",
        "the call of today is not in yesterday's"
    );
    assert_eq!(read("content"), "Content\r\n");

    let listed: Value = serde_json::from_slice(&report(&["list"]).stdout).expect("JSON");
    assert_eq!(listed[1]["reads_content"], false, "nobody gave it the right: {listed}");
    let mut grant = gatehouse();
    grant.args(["role", "set", "content_reader", "--user", "report:content"]);
    assert!(
        run(grant.arg("--config").arg(&gateway.config).envs(gateway.environment()))
            .status
            .success()
    );
    assert!(report(&["run", "content"]).status.success());
    let reads = eventually("the read of content is on record", || {
        let rows = gateway.query("ContentReads | project PrincipalId, Purpose, Via, Columns");
        Some(rows).filter(|rows| !rows.is_empty())
    });
    assert_eq!(reads.len(), 1, "only the run that had the right: {reads:?}");
    assert_eq!(reads[0]["PrincipalId"], "report:content");
    assert_eq!(reads[0]["Purpose"], "review");
    let runs = gateway.query(
        "AdminActions | where OperationName == 'reports/run' | summarize Runs = count() by PrincipalKind",
    );
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0]["PrincipalKind"], "token");
    assert_eq!(runs[0]["Runs"].as_i64(), Some(4), "{runs:?}");
}

//! Stream jobs of a running gateway into a real PostgreSQL: killed both, nothing is missing and nothing doubled;
//! how far they are is told everywhere; jobs come and go with a reload.

use serde_json::{Value, json};
use testing::PostgresServer;

use crate::secrets::readiness;
use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello there"}]}"#;

fn sinks(server: &PostgresServer) -> String {
    format!("[{{id: warehouse, kind: postgres, url: '{}'}}]", server.url())
}

/// The rows of a query, each as its only column; none while there is no such table.
fn select(server: &PostgresServer, query: &str) -> Vec<String> {
    server.run(query).unwrap_or_default()
}

/// The jobs as the command line shows them.
fn listed(gateway: &Gateway) -> Value {
    let mut command = gatehouse();
    command.args(["stream-job", "list", "--config"]).arg(&gateway.config);
    let output = run(command.envs(gateway.environment()));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn call(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200);
    }
}

#[test]
fn gateway_and_database_are_killed_midway_and_every_call_is_there_once() {
    let Some(mut server) = PostgresServer::start() else { return };
    let backend = Backend::start();
    let jobs = "[{id: calls, table: Interactions, sink: warehouse, into: calls, \
                 query: '| project TimeGenerated, CorrelationId, ModelName, PromptTokens, RequestBody'}]";
    let settings = [("GATEHOUSE__SINKS", &*sinks(&server)), ("GATEHOUSE__STREAM_JOBS", jobs)];
    let mut gateway = Gateway::new(&backend, &settings);
    gateway.start();
    eventually("the job has begun", || {
        Some(gateway.folder.path().join("data/sinks/calls.json")).filter(|file| file.exists())
    });
    call(&gateway, 10);
    eventually("some have arrived", || {
        Some(select(&server, "SELECT 1 FROM calls")).filter(|rows| !rows.is_empty())
    });
    server.kill();
    call(&gateway, 10);
    let job = eventually("the job says what is wrong", || {
        Some(listed(&gateway)[0].clone()).filter(|job| job["state"] == "retrying")
    });
    assert!(!job["reason"].as_str().unwrap_or_default().is_empty(), "{job}");
    gateway.kill();
    gateway.start();
    call(&gateway, 10);
    server.restart();
    gateway.kill();
    gateway.start();
    call(&gateway, 10);
    let told = eventually("the tables have all calls", || {
        let all =
            "Interactions | project CorrelationId, LedgerSequence | order by LedgerSequence asc";
        Some(gateway.query(all)).filter(|rows| rows.len() == 40)
    });
    let expected: Vec<_> =
        told.iter().map(|row| row["CorrelationId"].as_str().expect("an id")).collect();
    let arrived = "SELECT \"CorrelationId\" FROM calls ORDER BY \"LedgerSequence\"";
    eventually("all have arrived", || Some(()).filter(|()| select(&server, arrived) == expected));
    let nodes = select(&server, "SELECT DISTINCT split_part(\"_Key\", ':', 2) FROM calls");
    assert!(nodes.len() == 1 && nodes[0].len() == 32, "over all starts: {nodes:?}");
    let content = select(&server, "SELECT DISTINCT \"RequestBody\" FROM calls");
    assert_eq!(content, [""], "nobody gave the job the right to read content");
    let line = &readiness(&gateway)["stream_jobs"][0];
    assert_eq!((line["id"].as_str(), line["state"].as_str()), (Some("calls"), Some("running")));
    assert_eq!(
        gateway.administer("GET", "/admin/v1/stream-jobs", &Value::Null).1["stream_jobs"][0]["rows"],
        40
    );
}

#[test]
fn jobs_come_with_a_reload_and_content_with_the_right_to_read_it() {
    let Some(server) = PostgresServer::start() else { return };
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    call(&gateway, 3);
    let mut grant = gatehouse();
    grant.args(["role", "set", "content_reader", "--user", "job:content", "--config"]);
    assert!(run(grant.arg(&gateway.config).envs(gateway.environment())).status.success());
    let file = std::fs::read_to_string(&gateway.config).expect("the configuration");
    let jobs = json!([
        {"id": "content", "table": "Interactions", "sink": "warehouse", "into": "content", "from": "beginning",
         "purpose": "archive", "query": "| project RequestBody"},
        {"id": "wrong", "table": "Interactions", "sink": "warehouse", "into": "wrong", "query": "| where Modl == ''"},
        {"id": "reads", "table": "ContentReads", "sink": "warehouse", "into": "reads", "from": "beginning"},
    ]);
    let added = format!("{file}\nsinks: {}\nstream_jobs: {jobs}\n", sinks(&server));
    std::fs::write(&gateway.config, added).expect("written");
    let mut reload = gatehouse();
    reload.args(["reload", "--config"]).arg(&gateway.config);
    assert!(run(reload.envs(gateway.environment())).status.success());
    let bodies = eventually("content arrives", || {
        Some(select(&server, "SELECT \"RequestBody\" FROM content")).filter(|rows| rows.len() == 3)
    });
    assert!(bodies.iter().all(|body| body.contains("hello there")), "{bodies:?}");
    let reads = eventually("the look is on record, and delivered itself", || {
        let rows = select(&server, "SELECT \"PrincipalId\" || ' ' || \"Purpose\" FROM reads");
        Some(rows).filter(|rows| !rows.is_empty())
    });
    assert_eq!(reads, ["job:content archive"]);
    call(&gateway, 1);
    let told = eventually("a query that cannot be is refused, on record", || {
        let query = "AdminActions | where OperationName == 'stream-jobs/deliver' | project TargetId, Message";
        Some(gateway.query(query)).filter(|rows| !rows.is_empty())
    });
    assert_eq!((told.len(), told[0]["TargetId"].as_str()), (1, Some("wrong")), "{told:?}");
    let states: Vec<_> =
        listed(&gateway).as_array().expect("jobs").iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["running", "refused", "running"]);
    std::fs::write(&gateway.config, format!("{file}\nstream_jobs: [{{id: a, table: Messages}}]\n"))
        .expect("written");
    let mut reload = gatehouse();
    reload.args(["reload", "--config"]).arg(&gateway.config);
    let refused = run(reload.envs(gateway.environment()));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("name one of Interactions"), "{why}");
    assert_eq!(listed(&gateway).as_array().map(Vec::len), Some(3), "those before stay");
}

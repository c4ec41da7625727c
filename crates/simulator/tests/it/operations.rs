//! Every operation of the API's table is known here: with the objects it names in place, none leads nowhere.

use std::collections::HashMap;

use serde_json::{Value, json};
use simulator::Simulator;

use crate::client::{Answer, form, get, post, send, start};

const TABLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../openai/data/operations.csv"));

#[tokio::test]
async fn every_operation_of_the_table_is_known() {
    let simulator = start("all").await;
    let mut operations: Vec<[&str; 4]> = TABLE
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let version = fields[5].rsplit('|').next().unwrap();
            [fields[0], fields[3], fields[4], version]
        })
        // A session is opened by a WebSocket: tests/it/sockets.rs.
        .filter(|[_, method, path, _]| !(*method == "GET" && path.ends_with("/realtime")))
        .collect();
    assert!(operations.len() > 390, "{}", operations.len());
    // What ends an object comes last, of what lies deepest first.
    operations.sort_by_key(|[_, method, path, _]| {
        let ends = *method == "DELETE" || path.ends_with("/hangup");
        (ends, std::cmp::Reverse(path.matches('/').count()))
    });
    let ids = objects(&simulator).await;
    let mut unknown = Vec::new();
    for [surface, method, path, version] in operations {
        let query = if ["azure-dated", "azure-ai-inference", "arm"].contains(&surface) {
            format!("?api-version={version}")
        } else {
            String::new()
        };
        let target = format!("{}{query}", filled(path, &ids));
        let headers =
            [("content-type", "application/json"), ("aoai-copy-ft-checkpoints", "preview")];
        let answer = send(&simulator, method, &target, &headers, "{}").await.unwrap();
        if is_unknown(&answer) {
            unknown.push(format!("{surface} {method} {path}: {target} {}", answer.text()));
        }
    }
    assert!(unknown.is_empty(), "{} unknown:\n{}", unknown.len(), unknown.join("\n"));
    simulator.stop().await;
}

/// Whether the path or its method leads nowhere; an object that is not there is another matter.
fn is_unknown(answer: &Answer) -> bool {
    let message = || answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    answer.status == 405
        || answer.status == 404
            && (message() == "Resource not found" || message().starts_with("Invalid URL"))
}

/// The path with an object's id for each name in braces; where none is at hand, `x`.
fn filled(path: &str, ids: &HashMap<&str, String>) -> String {
    let mut place = Vec::new();
    let fill = |segment: &str| {
        if !segment.starts_with('{') {
            if !["", "openai", "v1"].contains(&segment) {
                place.push(segment.to_owned());
            }
            return segment.to_owned();
        }
        ids.get(place.join(".").as_str()).map_or("x", String::as_str).to_owned()
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// One object of each kind below which others lie, by the words of the path that lead to it.
async fn objects(simulator: &Simulator) -> HashMap<&'static str, String> {
    let make = async |target: &str, body: Value| id(post(simulator, target, body).await);
    let file = [("purpose", None, &b"fine-tune"[..]), ("file", Some("x"), &b"{}"[..])];
    let file = id(form(simulator, "/v1/files", &file).await);
    let container = make("/v1/containers", json!({"name": "c"})).await;
    let container_files = format!("/v1/containers/{container}/files");
    let container_file = form(simulator, &container_files, &[("file", Some("a"), b"d")]).await;
    let eval = json!({"data_source_config": {"type": "custom"}, "testing_criteria": []});
    let eval = make("/v1/evals", eval).await;
    let source = json!({"source": {"content": [{"item": {}}]}});
    let run = make(&format!("/v1/evals/{eval}/runs"), json!({"data_source": source})).await;
    let skill = form(simulator, "/v1/skills", &[("files", Some("pdf.zip"), b"one")]).await;
    let upload =
        json!({"bytes": 6, "filename": "x", "mime_type": "text/plain", "purpose": "batch"});
    let picture = "/openai/images/generations:submit?api-version=2023-06-01-preview";
    let session = json!({"user": "ada", "workflow": {"id": "wf_1"}});
    let session = make("/v1/chatkit/sessions", session).await;
    let threads = get(simulator, "/v1/chatkit/threads").await.json();
    let ingestion = "/openai/ingestion/jobs/nightly?api-version=2025-04-01-preview";
    let headers = [("content-type", "application/json")];
    let body = json!({"kind": "SystemCompute"}).to_string();
    send(simulator, "PUT", ingestion, &headers, body).await.unwrap();
    let mut ids = HashMap::from([
        ("deployments", "gpt-4o".to_owned()),
        ("responses", make("/v1/responses", json!({"model": "gpt-4o", "input": "hi"})).await),
        ("conversations", make("/v1/conversations", json!({})).await),
        ("containers", container),
        ("containers.files", id(container_file)),
        ("evals", eval),
        ("evals.runs", run),
        ("skills", id(skill)),
        ("skills.versions", "1".to_owned()),
        ("uploads", make("/v1/uploads", upload).await),
        ("videos", make("/v1/videos", json!({"prompt": "cat", "seconds": "8"})).await),
        ("operations.images", make(picture, json!({"prompt": "a gate"})).await),
        ("chatkit.sessions", session),
        ("chatkit.threads", text(&threads["data"][0]["id"])),
        ("ingestion.jobs", "nightly".to_owned()),
    ]);
    ids.extend(threads_and_stores(simulator, &file).await);
    ids.extend(tuned(simulator, &file).await);
    ids.insert("files", file);
    ids
}

async fn threads_and_stores(simulator: &Simulator, file: &str) -> [(&'static str, String); 9] {
    let make = async |target: &str, body: Value| id(post(simulator, target, body).await);
    let hello = json!({"role": "user", "content": "hi", "attachments": [{"file_id": file}]});
    let chat = json!({"model": "gpt-4o", "messages": [hello], "store": true});
    let assistant = make("/v1/assistants", json!({"model": "gpt-4o"})).await;
    let thread = make("/v1/threads", json!({})).await;
    let message = make(&format!("/v1/threads/{thread}/messages"), hello).await;
    let run = json!({"assistant_id": assistant});
    let run = make(&format!("/v1/threads/{thread}/runs"), run).await;
    let store = make("/v1/vector_stores", json!({"file_ids": [file]})).await;
    let batches = format!("/v1/vector_stores/{store}/file_batches");
    [
        ("assistants", assistant),
        ("assistants.files", file.to_owned()),
        ("threads", thread),
        ("threads.messages", message),
        ("threads.messages.files", file.to_owned()),
        ("threads.runs", run),
        ("vector_stores.file_batches", make(&batches, json!({"file_ids": [file]})).await),
        ("vector_stores", store),
        ("chat.completions", make("/v1/chat/completions", chat).await),
    ]
}

async fn tuned(simulator: &Simulator, file: &str) -> [(&'static str, String); 5] {
    let job = json!({"model": "gpt-4o-mini", "training_file": file});
    let job = id(post(simulator, "/v1/fine_tuning/jobs", job).await);
    let place = format!("/v1/fine_tuning/jobs/{job}");
    let mut done = Value::Null;
    for _ in 0..4 {
        done = get(simulator, &place).await.json();
    }
    let checkpoint = get(simulator, &format!("{place}/checkpoints")).await.json()["data"][0].take();
    [
        ("models", text(&done["fine_tuned_model"])),
        ("fine-tunes", job.clone()),
        ("fine_tuning.jobs", job),
        ("fine_tuning.jobs.checkpoints", text(&checkpoint["id"])),
        ("fine_tuning.checkpoints", text(&checkpoint["fine_tuned_model_checkpoint"])),
    ]
}

fn id(answer: Answer) -> String {
    assert!(answer.status.is_success(), "{}", answer.text());
    text(&answer.json()["id"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

//! What clients were seen to send, sent again: every request is routed, authenticated and recorded as
//! what it is, whatever client it came from.
//!
//! `GATEHOUSE_CAPTURES` names another folder of captures (`cargo xtask replay --captures DIR`).

mod capture;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use simulator::{Deployment, Simulator, SimulatorConfig, Strictness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::capture::{Capture, Captured, read_all};
use crate::support::{KEY, LIMIT, Setup, Story, World, post};

/// Method, path below the family's prefix and operation: written by hand from the API's description.
const OPERATIONS: &str = include_str!("../../../../conformance/captures/operations.txt");
/// Method, path and mode of everything that clients were seen to send.
const MATRIX: &str = include_str!("../../../openai/testdata/matrix.json");
/// Operations whose `model` is the deployment, where the URL names none.
const CALL_A_MODEL: [&str; 9] = [
    "ChatCompletions_Create",
    "Completions_Create",
    "Embeddings_Create",
    "Create_Response",
    "ImageGenerations_Create",
    "ImageEdits_Create",
    "Speech_Create",
    "Transcriptions_Create",
    "Translations_Create",
];

/// A request that was sent, and what came of it.
struct Replayed<'a> {
    client: String,
    captured: &'a Captured,
    target: String,
    body: Vec<u8>,
    status: u16,
    correlation: String,
    answer: String,
}

fn folder() -> (PathBuf, bool) {
    match std::env::var_os("GATEHOUSE_CAPTURES") {
        Some(folder) => (folder.into(), false),
        None => {
            let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/captures");
            (own, true)
        }
    }
}

#[expect(clippy::print_stdout, reason = "whoever replays captures reads the table")]
#[tokio::test(flavor = "multi_thread")]
async fn captured_requests_are_routed_authenticated_and_recorded() {
    let (folder, is_own) = folder();
    let captures = read_all(&folder);
    let count: usize = captures.iter().map(|capture| capture.requests.len()).sum();
    assert!(count > 0, "no captured requests in {}", folder.display());
    if is_own {
        the_matrix_is_covered(&captures);
    }
    let backend = backend_for(&captures).await;
    // The captured calls name objects that were made elsewhere.
    let world = Setup::before(&[backend.url()])
        .with(|config| config.objects.unknown = gateway::UnknownObjects::Home)
        .start()
        .await;
    let mut replayed = Vec::with_capacity(count);
    for capture in &captures {
        let client = format!("{} {}", capture.client, capture.version.as_deref().unwrap_or(""));
        for captured in &capture.requests {
            replayed.push(replay(&world, client.clone(), captured).await);
        }
    }
    let stories: BTreeMap<String, Story> =
        world.stories().into_iter().map(|story| (story.id.clone(), story)).collect();
    let mut table = String::new();
    let mut failed = 0;
    for call in &replayed {
        let story = stories.get(&call.correlation);
        let wrong = story.map_or_else(
            || format!("no record; answered with {}: {}", call.status, call.answer),
            |story| call.check(story).err().unwrap_or_default(),
        );
        failed += usize::from(!wrong.is_empty());
        let target = story.map(|story| story.start().target.clone()).unwrap_or_default();
        writeln!(
            table,
            "{} {:4} {} {:9} {}  {}  [{} {}]  {}",
            if wrong.is_empty() { "ok  " } else { "FAIL" },
            call.status,
            call.captured.method,
            call.captured.mode(),
            call.target,
            target.operation_id,
            target.deployment,
            target.model,
            call.client,
        )
        .unwrap();
        if !wrong.is_empty() {
            writeln!(table, "     {wrong}").unwrap();
        }
    }
    println!("{table}{count} requests replayed, {failed} failed");
    assert_eq!(failed, 0, "see above");
}

/// Each row of the matrix is among the captures.
fn the_matrix_is_covered(captures: &[Capture]) {
    let matrix: Value = serde_json::from_str(MATRIX).unwrap();
    let rows = matrix["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 239);
    let all: Vec<&Captured> = captures.iter().flat_map(|capture| &capture.requests).collect();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap();
        let is_of_row = |captured: &&Captured| {
            captured.method == text("method")
                && captured.mode() == text("mode")
                && fits(text("path"), &captured.path)
        };
        assert!(all.iter().any(is_of_row), "{row} is not among the captures");
    }
}

/// A path is of a template, whose `{…}` are any segment.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(path)
            .all(|(known, segment)| known.starts_with('{') || *known == segment)
}

/// A resource with every deployment that the captures call.
async fn backend_for(captures: &[Capture]) -> Simulator {
    let mut names = BTreeSet::from(["gpt-4o".to_owned()]);
    for captured in captures.iter().flat_map(|capture| &capture.requests) {
        names.extend(url_deployment(captured));
        names.extend(captured.member("model"));
        names.extend(captured.query("model").map(str::to_owned));
        names.extend(captured.query("deployment").map(str::to_owned));
    }
    let config = SimulatorConfig {
        deployments: names.iter().map(|name| deployment(name)).collect(),
        api_keys: vec!["the-backends-own-key".into()],
        strictness: Strictness::Lenient,
        ..SimulatorConfig::default()
    };
    Simulator::start(config).await.unwrap()
}

fn deployment(name: &str) -> Deployment {
    // Some captures are long.
    Deployment { context_tokens_max: u64::MAX, ..Deployment::new(name, name) }
}

fn url_deployment(captured: &Captured) -> Option<String> {
    let (_, rest) = captured.path.split_once("/deployments/")?;
    rest.split('/').next().map(str::to_owned)
}

async fn replay<'a>(world: &World, client: String, captured: &'a Captured) -> Replayed<'a> {
    let ids = objects_for(world, captured).await;
    let target = captured.target(&ids, KEY);
    let body = captured.body(&ids);
    let wire = captured.wire(&target, &body, KEY);
    let answer = match captured.is_web_socket() {
        true => shake_hands(world, &wire).await,
        false => world.raw(&wire).await,
    };
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer).to_owned();
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let correlation = answer
        .lines()
        .find_map(|line| line.strip_prefix("x-gatehouse-correlation-id: "))
        .unwrap_or_default()
        .to_owned();
    Replayed { client, captured, target, body, status, correlation, answer }
}

/// Asks for a WebSocket and hangs up once that is answered.
async fn shake_hands(world: &World, wire: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(wire).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = tokio::time::timeout(LIMIT, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "the answer broke off: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Makes the objects that a request names by ids which the capture invented.
async fn objects_for(world: &World, captured: &Captured) -> BTreeMap<&'static str, String> {
    let mut ids = BTreeMap::new();
    let body = String::from_utf8_lossy(&captured.body(&ids)).into_owned();
    let names = |id: &str| {
        captured.path.split('/').any(|segment| segment == id)
            || body.contains(&format!("\"{id}\""))
            || body.contains(&format!("\n{id}\r"))
    };
    let make = async |path: &str, body: Value| {
        let answer = world.post(&format!("/openai/v1/{path}"), &body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    if names("asst_1") || names("run_1") {
        ids.insert("asst_1", make("assistants", json!({"model": "gpt-4o"})).await);
    }
    if names("thread_1") {
        let content = json!({"messages": [{"role": "user", "content": "hello"}]});
        ids.insert("thread_1", make("threads", content).await);
    }
    if names("run_1") {
        let path = format!("threads/{}/runs", ids["thread_1"]);
        let mut run = json!({"assistant_id": ids["asst_1"]});
        if names("call_1") {
            let function = json!({"name": "look", "parameters": {"type": "object"}});
            run["tools"] = json!([{"type": "function", "function": function}]);
            run["tool_choice"] = json!("required");
        }
        let id = make(&path, run).await;
        if names("call_1") {
            ids.insert("call_1", tool_call(world, &format!("/openai/v1/{path}/{id}")).await);
        }
        ids.insert("run_1", id);
    }
    if names("file-1") || names("batch_1") || names("ftjob-1") {
        let purpose =
            if names("ftjob-1") || names("training_file") { "fine-tune" } else { "batch" };
        ids.insert("file-1", upload_file(world, purpose).await);
    }
    if names("batch_1") {
        let batch = json!({"input_file_id": ids["file-1"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        ids.insert("batch_1", make("batches", batch).await);
    }
    if names("ftjob-1") {
        let job = json!({"model": "gpt-4o", "training_file": ids["file-1"]});
        ids.insert("ftjob-1", make("fine_tuning/jobs", job).await);
    }
    if names("resp_1") || names("resp_0") {
        let mut response = json!({"model": "gpt-4o", "input": "hello"});
        response["background"] = json!(captured.path.ends_with("/cancel"));
        let id = make("responses", response).await;
        ids.insert("resp_1", id.clone());
        ids.insert("resp_0", id);
    }
    if names("upload_1") {
        let upload = json!({"filename": "a.jsonl", "purpose": "batch", "bytes": 3, "mime_type": "text/jsonl"});
        let id = make("uploads", upload).await;
        if names("part_1") {
            let form = "--b\r\nContent-Disposition: form-data; name=\"data\"; filename=\"a\"\r\n\r\nabc\r\n--b--\r\n";
            ids.insert("part_1", send_form(world, &format!("uploads/{id}/parts"), form).await);
        }
        ids.insert("upload_1", id);
    }
    ids
}

async fn upload_file(world: &World, purpose: &str) -> String {
    let line = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{}\r\n--b--\r\n",
        format!("{line}\n").repeat(10)
    );
    send_form(world, "files", &form).await
}

/// The id of what a form makes.
async fn send_form(world: &World, path: &str, form: &str) -> String {
    let mut request = post(&format!("/openai/v1/{path}"), form);
    let content_type = "multipart/form-data; boundary=b".parse().unwrap();
    request.headers_mut().insert("content-type", content_type);
    let answer = world.call(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The call of a tool that a run waits for: it goes a step on with every look at it.
async fn tool_call(world: &World, run: &str) -> String {
    for _ in 0..10 {
        let mut look = post(run, "");
        *look.method_mut() = http::Method::GET;
        let run = world.call(look).await.json();
        let calls = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
        if let Some(id) = calls[0]["id"].as_str() {
            return id.to_owned();
        }
    }
    panic!("the run at {run} calls no tool");
}

impl Replayed<'_> {
    /// What is wrong with the answer or its record.
    fn check(&self, story: &Story) -> Result<(), String> {
        let captured = self.captured;
        let start = story.start();
        let target = &start.target;
        self.check_answer(story)?;
        expect("operation", &target.operation_id, &self.operation())?;
        let model = captured.member("model").or_else(|| captured.query("model").map(str::to_owned));
        let model = model.unwrap_or_default();
        expect("model", &target.model, &model)?;
        expect("deployment", &target.deployment, &self.deployment(story, &model))?;
        expect(
            "api-version",
            &target.api_version.as_str(),
            &captured.query("api-version").unwrap_or(""),
        )?;
        expect("stream", &target.is_stream, &(captured.mode() != "plain"))?;
        expect("method", &start.method, &captured.method)?;
        let url = format!("http://gateway.test{}", self.target.replace(KEY, "***"));
        expect("URL", &start.url, &url)?;
        expect("subscription", &start.subscription_id.as_str(), &"team")?;
        if story.request != self.body {
            return Err("the body in the record is not the body that was sent".into());
        }
        if format!("{story:?}").contains(KEY) {
            return Err("the key stands in the record".into());
        }
        for name in ["api-key", "authorization", "ocp-apim-subscription-key"] {
            let recorded = start.headers.read().first(name);
            let shown = recorded.is_some_and(|value| value.ends_with("***"));
            expect(name, &shown, &captured.header(name).is_some())?;
        }
        Ok(())
    }

    /// The backend answered, and well.
    fn check_answer(&self, story: &Story) -> Result<(), String> {
        if self.captured.is_web_socket() {
            return expect("status", &self.status, &101);
        }
        if !(200..300).contains(&self.status) {
            return Err(format!("answered with {}", self.answer));
        }
        let answered = story.answered.last().map(|answered| answered.status);
        expect("status of the backend", &answered, &Some(self.status))
    }

    fn operation(&self) -> String {
        let relative = below_prefix(&self.captured.path);
        OPERATIONS
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.next()?, words.next()?))
            })
            .filter(|(method, template, _)| {
                *method == self.captured.method && fits(template, relative)
            })
            // A word counts before any id.
            .min_by_key(|(_, template, _)| template.matches('{').count())
            .map(|(_, _, operation)| operation.to_owned())
            .unwrap_or_default()
    }

    fn deployment(&self, story: &Story, model: &str) -> String {
        let named = url_deployment(self.captured)
            .or_else(|| self.captured.query("deployment").map(str::to_owned));
        let recorded = &story.start().target;
        let calls_a_model = CALL_A_MODEL.contains(&recorded.operation_id.as_str());
        match named {
            Some(named) => named,
            None if calls_a_model || self.captured.is_web_socket() => model.to_owned(),
            // Of other operations the model may be the deployment, and nothing else.
            None if recorded.deployment == model => model.to_owned(),
            None => String::new(),
        }
    }
}

/// The path without its family's prefix.
fn below_prefix(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    let path = path.strip_prefix("openai/").unwrap_or(path);
    if let Some((_, rest)) = path.strip_prefix("deployments/").and_then(|rest| rest.split_once('/'))
    {
        return rest;
    }
    let path = path.strip_prefix("v1/").unwrap_or(path);
    match path.strip_prefix("models/") {
        Some(rest) if matches!(rest, "info" | "chat/completions" | "embeddings") => rest,
        _ => path,
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?} instead of {want:?}")) }
}

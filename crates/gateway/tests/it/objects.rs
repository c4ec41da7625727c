//! Objects are found where they were made, by whoever they were made for and nobody else.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gateway::UnknownObjects;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use ledger::Durability;
use ledger::fault::Call;
use serde_json::{Value, json};
use simulator::Simulator;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{
    Answer, KEY, LIMIT, OTHER_KEY, Setup, World, named_simulator, post, scripted, with_header,
};

/// A world of several instances that count the same.
async fn instances(count: usize) -> (World, Vec<Simulator>) {
    started(count, |_| {}).await
}

async fn started(count: usize, change: impl FnOnce(&mut Setup)) -> (World, Vec<Simulator>) {
    let mut backends = Vec::new();
    for number in 0..count {
        backends.push(named_simulator(&format!("instance-{number}")).await);
    }
    let urls: Vec<String> = backends.iter().map(Simulator::url).collect();
    let mut setup = Setup::before(&urls);
    setup.config.backends.iter_mut().for_each(|backend| backend.priority = 1);
    change(&mut setup);
    (setup.start().await, backends)
}

fn request(method: &Method, target: &str, key: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(target).header("host", "gateway.test");
    let builder = builder.header("api-key", key);
    match body {
        Some(body) => builder
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap(),
        None => builder.body(Full::default()).unwrap(),
    }
}

pub(crate) async fn call(
    world: &World,
    key: &str,
    method: Method,
    target: &str,
    body: &Value,
) -> Answer {
    let body = if body.is_null() { None } else { Some(body) };
    world.call(request(&method, target, key, body)).await
}

pub(crate) async fn make(world: &World, key: &str, target: &str, body: Value) -> Value {
    let answer = call(world, key, Method::POST, target, &body).await;
    assert!(answer.status < 300, "{target}: {} {}", answer.status, answer.text());
    answer.json()
}

pub(crate) async fn get(world: &World, key: &str, target: &str) -> Answer {
    call(world, key, Method::GET, target, &Value::Null).await
}

pub(crate) async fn upload(world: &World, key: &str, purpose: &str, content: &str) -> String {
    let fields = [("purpose", purpose), ("file", content)];
    let answer = form(world, key, "/v1/files", &fields).await;
    assert!(answer.status < 300, "{}", answer.text());
    id(&answer.json()).to_owned()
}

/// Sends a form; the last field is a file.
async fn form(world: &World, key: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = String::new();
    for (place, (name, value)) in fields.iter().enumerate() {
        let file = if place + 1 == fields.len() { "; filename=\"x.jsonl\"" } else { "" };
        body += &format!(
            "--B\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        );
    }
    let mut upload = post(target, &(body + "--B--\r\n"));
    upload.headers_mut().insert("api-key", key.parse().unwrap());
    world.call(with_header(upload, "content-type", "multipart/form-data; boundary=B")).await
}

pub(crate) fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// The backends that an id's story went to.
fn dispatched(world: &World, part: &str) -> HashSet<String> {
    let stories = world.stories();
    let all = stories.iter().flat_map(|story| &story.dispatched);
    all.filter(|to| to.url.contains(part)).map(|to| to.backend_id.clone()).collect()
}

/// What can be followed up: its owner's key, its id if it is a response, and its path.
pub(crate) type Target = (&'static str, String, String);

/// Follow-ups over all nodes by turns, every one of which must find its home.
pub(crate) async fn ten_thousand_follow_ups(nodes: &[&World], targets: Vec<Target>) {
    const FOLLOW_UPS: usize = 10_000;
    const CALLERS: usize = 8;
    let (targets, next) = (Arc::new(targets), Arc::new(AtomicUsize::new(0)));
    let addresses: Vec<_> = nodes.iter().map(|world| world.address()).collect();
    let callers = (0..CALLERS).map(|_| {
        let (targets, next, addresses) = (targets.clone(), next.clone(), addresses.clone());
        tokio::spawn(async move {
            let mut senders = Vec::new();
            for address in addresses {
                senders.push(connect(address).await);
            }
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= FOLLOW_UPS {
                    return;
                }
                // Every target on one node after the other.
                let node = (number + number / targets.len()) % senders.len();
                let (key, previous, target) = &targets[number % targets.len()];
                let follow_up = json!({
                    "model": "gpt-4o", "input": "and then?", "previous_response_id": previous,
                });
                let request = if number % 10 == 0 && !previous.is_empty() {
                    request(&Method::POST, "/v1/responses", key, Some(&follow_up))
                } else {
                    request(&Method::GET, target, key, None)
                };
                let answer = tokio::time::timeout(LIMIT, senders[node].send_request(request)).await;
                let answer = Answer::read(answer.unwrap().unwrap()).await;
                assert_eq!(answer.status, 200, "astray: {target}: {}", answer.text());
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_interleaved_follow_ups_all_go_home() {
    let (world, _backends) =
        started(3, |setup| setup.ledger.durability = Durability::Relaxed).await;
    let mut targets = Vec::new();
    for number in 0..48 {
        let key = if number % 2 == 0 { KEY } else { OTHER_KEY };
        let body = json!({"model": "gpt-4o", "input": format!("hello {number}")});
        let response = make(&world, key, "/v1/responses", body).await;
        targets.push((key, id(&response).to_owned(), format!("/v1/responses/{}", id(&response))));
    }
    for key in [KEY, OTHER_KEY] {
        let thread = make(&world, key, "/v1/threads", json!({})).await;
        targets.push((key, String::new(), format!("/v1/threads/{}", id(&thread))));
        let file = upload(&world, key, "assistants", "text").await;
        targets.push((key, String::new(), format!("/v1/files/{file}")));
    }
    let homes: HashSet<_> = dispatched(&world, "/responses");
    assert_eq!(homes.len(), 3, "responses are balanced over all backends");
    ten_thousand_follow_ups(&[&world], targets).await;
}

async fn connect(address: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One object of each kind, made with `key`: its path, and a body for what can only be posted to.
async fn one_of_each(world: &World, key: &str) -> Vec<String> {
    let file = upload(world, key, "fine-tune", "{\"messages\":[]}\n").await;
    let line = json!({
        "custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]},
    });
    let input = upload(world, key, "batch", &format!("{line}\n")).await;
    let window = json!({
        "input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let chat = json!({
        "model": "gpt-4o", "store": true, "messages": [{"role": "user", "content": "x"}],
    });
    let eval = json!({
        "data_source_config": {"type": "logs"}, "testing_criteria": [], "name": "e",
    });
    let bodies = [
        ("/v1/batches", window),
        ("/v1/fine_tuning/jobs", json!({"training_file": file, "model": "gpt-4o-mini"})),
        ("/v1/assistants", json!({"model": "gpt-4o"})),
        ("/v1/threads", json!({})),
        ("/v1/vector_stores", json!({"file_ids": [file]})),
        ("/v1/responses", json!({"model": "gpt-4o", "input": "x"})),
        ("/v1/conversations", json!({})),
        ("/v1/containers", json!({"name": "c"})),
        ("/v1/evals", eval),
        ("/v1/chat/completions", chat),
        (
            "/v1/uploads",
            json!({"filename": "x", "bytes": 3, "mime_type": "text/plain", "purpose": "assistants"}),
        ),
        ("/v1/videos", json!({"prompt": "x"})),
    ];
    let mut paths = vec![format!("/v1/files/{file}")];
    for (target, body) in bodies {
        let made = make(world, key, target, body).await;
        paths.push(format!("{target}/{}", id(&made)));
    }
    let forms: [(&str, &[(&str, &str)]); 3] = [
        ("/v1/skills", &[("files", "x")]),
        ("/v1/videos/characters", &[("name", "x"), ("video", "x")]),
        ("/v1/audio/voice_consents", &[("name", "x"), ("language", "en"), ("recording", "x")]),
    ];
    for (target, fields) in forms {
        let made = form(world, key, target, fields).await;
        assert_eq!(made.status, 200, "{target}: {}", made.text());
        paths.push(format!("{target}/{}", id(&made.json())));
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_object_is_not_there_in_the_backends_own_words() {
    let (world, _backends) = instances(2).await;
    let other = named_simulator("elsewhere").await;
    let elsewhere = Setup::before(&[other.url()])
        .with(|config| config.objects.unknown = UnknownObjects::Home)
        .start()
        .await;
    for path in one_of_each(&world, KEY).await {
        let is_upload = path.contains("/uploads/");
        let (method, target) = match is_upload {
            true => (Method::POST, format!("{path}/cancel")),
            false => (Method::GET, path.clone()),
        };
        let refused = call(&world, OTHER_KEY, method.clone(), &target, &Value::Null).await;
        let unknown = call(&elsewhere, KEY, method.clone(), &target, &Value::Null).await;
        assert_eq!((refused.status, unknown.status), (404, 404), "{target}");
        assert_eq!(refused.json(), unknown.json(), "{target}");
        let own = call(&world, KEY, method, &target, &Value::Null).await;
        assert_eq!(own.status, 200, "{target}: {}", own.text());
    }
    let stories = world.stories();
    let refused: Vec<_> = stories.iter().filter(|story| !story.refused.is_empty()).collect();
    assert_eq!(refused.len(), 16, "refusals are recorded");
    for story in refused {
        assert_eq!(story.start().subscription_id, "other");
        assert!(story.end().errors[0].message.contains("it belongs to subscription team"));
        assert!(!story.end().own_body.contains("team"), "whose it is is not told");
        assert!(story.dispatched.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_named_in_a_body_must_be_the_callers_and_in_one_place() {
    let (world, _backends) = instances(3).await;
    let file = upload(&world, KEY, "assistants", "text").await;
    let response =
        make(&world, KEY, "/v1/responses", json!({"model": "gpt-4o", "input": "x"})).await;
    let item = response["output"][0]["id"].as_str().unwrap();
    let previous = json!({"model": "gpt-4o", "input": "y", "previous_response_id": id(&response)});
    let by_item = json!({"model": "gpt-4o", "input": [{"type": "item_reference", "id": item}]});
    let tools = json!({
        "model": "gpt-4o", "input": "y",
        "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [file]}}],
    });
    for (target, body) in [
        ("/v1/vector_stores", json!({"file_ids": [file]})),
        ("/v1/responses", previous.clone()),
        ("/v1/responses", by_item.clone()),
        ("/v1/responses", tools),
        ("/v1/responses", json!({"model": "gpt-4o", "input": "y", "conversation": "conv_unknown"})),
    ] {
        let refused = call(&world, OTHER_KEY, Method::POST, target, &body).await;
        assert_eq!(refused.status, 404, "{target} {body}: {}", refused.text());
    }
    // What a client repeats whole brings along what it is; its id decides nothing.
    let repeated = json!({"model": "gpt-4o", "input": [
        {"type": "message", "role": "assistant", "id": "msg_of_elsewhere", "content": "hm"},
        {"type": "message", "role": "user", "content": "and?"},
    ]});
    make(&world, OTHER_KEY, "/v1/responses", repeated).await;
    make(&world, KEY, "/v1/vector_stores", json!({"file_ids": [file]})).await;
    make(&world, KEY, "/v1/responses", previous).await;
    make(&world, KEY, "/v1/responses", by_item).await;
    // A response at each backend; the file is at one of them.
    let home = dispatched(&world, "/files");
    let mut apart = None;
    for _ in 0..6 {
        let made =
            make(&world, KEY, "/v1/responses", json!({"model": "gpt-4o", "input": "x"})).await;
        let at = get(&world, KEY, &format!("/v1/responses/{}", id(&made))).await;
        assert_eq!(at.status, 200);
        if dispatched(&world, id(&made)) != home {
            apart = Some(id(&made).to_owned());
        }
    }
    let body = json!({
        "model": "gpt-4o", "previous_response_id": apart.unwrap(),
        "input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}],
    });
    let refused = call(&world, KEY, Method::POST, "/v1/responses", &body).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "ObjectsOnDifferentBackends"));
    assert!(refused.text().contains(&file), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn voices_and_videos_are_made_of_the_callers_own_things() {
    let (world, _backends) = instances(3).await;
    let consent = [("name", "x"), ("language", "en"), ("recording", "x")];
    let consent = form(&world, KEY, "/v1/audio/voice_consents", &consent).await.json();
    let voice = [("name", "x"), ("consent", id(&consent)), ("audio_sample", "x")];
    let video = make(&world, KEY, "/v1/videos", json!({"prompt": "x"})).await;
    let edit = json!({"prompt": "y", "video": {"id": id(&video)}});
    let remix = format!("/v1/videos/{}/remix", id(&video));
    for (key, status) in [(OTHER_KEY, 404), (KEY, 200)] {
        let answer = form(&world, key, "/v1/audio/voices", &voice).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        for (target, body) in [("/v1/videos/edits", &edit), (remix.as_str(), &edit)] {
            let answer = call(&world, key, Method::POST, target, body).await;
            assert_eq!(answer.status, status, "{target}: {}", answer.text());
        }
    }
    let stories = world.stories();
    let refused = stories.iter().filter(|story| story.dispatched.is_empty()).count();
    assert_eq!(refused, 3, "no backend was asked for a stranger");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_refused_or_goes_home() {
    let (world, _backends) = instances(2).await;
    let refused = get(&world, KEY, "/v1/files/file-of-before").await;
    assert_eq!(refused.status, 404);
    assert!(world.story().dispatched.is_empty());
    let open = |setup: &mut Setup| setup.config.objects.unknown = UnknownObjects::Home;
    let (world, backends) = started(2, open).await;
    let answer = get(&world, KEY, "/v1/files/file-of-before").await;
    assert_eq!(answer.status, 404);
    assert_eq!(backends.iter().map(Simulator::requests).sum::<u64>(), 1, "the backend was asked");
    let model = get(&world, KEY, "/v1/models/gpt-4o").await;
    assert_eq!(model.status, 200, "{}", model.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_forgotten_and_what_is_known_is_noted_once() {
    let (world, _backends) = instances(2).await;
    let file = upload(&world, KEY, "assistants", "text").await;
    let target = format!("/v1/files/{file}");
    let store = make(&world, KEY, "/v1/vector_stores", json!({"file_ids": [file]})).await;
    for _ in 0..5 {
        assert_eq!(get(&world, KEY, &target).await.status, 200);
    }
    let within = format!("/v1/vector_stores/{}/files/{file}", id(&store));
    let taken_out = call(&world, KEY, Method::DELETE, &within, &Value::Null).await;
    assert_eq!(taken_out.status, 200);
    assert_eq!(get(&world, KEY, &target).await.status, 200, "the file itself is still there");
    let deleted = call(&world, KEY, Method::DELETE, &target, &Value::Null).await;
    assert_eq!(deleted.status, 200);
    let before = world.stories().iter().flat_map(|story| &story.dispatched).count();
    assert_eq!(get(&world, KEY, &target).await.status, 404);
    let stories = world.stories();
    assert_eq!(stories.iter().flat_map(|story| &story.dispatched).count(), before, "not asked");
    let noted: Vec<_> = stories.iter().flat_map(|story| &story.objects).collect();
    let made: Vec<_> = noted.iter().flat_map(|record| &record.made).map(|o| &*o.id).collect();
    assert_eq!(made, [file.as_str(), id(&store)]);
    let gone: Vec<_> = noted.iter().flat_map(|record| &record.gone).map(|o| &*o.id).collect();
    assert_eq!(gone, [file.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_in_streams_are_known_before_the_caller_sees_them() {
    let (world, _backends) = instances(3).await;
    let assistant = make(&world, KEY, "/v1/assistants", json!({"model": "gpt-4o"})).await;
    let run = json!({
        "assistant_id": id(&assistant), "stream": true,
        "thread": {"messages": [{"role": "user", "content": "x"}]},
    });
    let answer = call(&world, KEY, Method::POST, "/v1/threads/runs", &run).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let thread = value_of(&answer.text(), "thread_id");
    let run = value_of(&answer.text(), "id\":\"run");
    let target = format!("/v1/threads/{thread}/runs/run{run}");
    assert_eq!(get(&world, KEY, &target).await.status, 200);
    assert_eq!(get(&world, OTHER_KEY, &target).await.status, 404);
    let stream = json!({"model": "gpt-4o", "input": "x", "stream": true});
    let answer = call(&world, KEY, Method::POST, "/v1/responses", &stream).await;
    let response = format!("resp{}", value_of(&answer.text(), "id\":\"resp"));
    let target = format!("/v1/responses/{response}");
    assert_eq!(get(&world, KEY, &target).await.status, 200);
    assert_eq!(get(&world, OTHER_KEY, &target).await.status, 404);
    let kinds: BTreeMap<String, usize> = world
        .stories()
        .iter()
        .flat_map(|story| story.objects.iter().flat_map(|record| record.made.clone()))
        .fold(BTreeMap::new(), |mut counts, object| {
            *counts.entry(object.kind).or_default() += 1;
            counts
        });
    let names: Vec<_> = kinds.keys().map(String::as_str).collect();
    assert_eq!(names, ["assistant", "item", "response", "run", "thread"], "{kinds:?}");
}

/// What follows a name in a text, up to the next quote but one.
fn value_of(text: &str, name: &str) -> String {
    let rest = text.split(name).nth(1).unwrap_or_else(|| panic!("{name} in {text}"));
    let rest = rest.trim_start_matches(['"', ':', ' ']);
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_with_an_id_that_cannot_be_kept_never_comes() {
    let (go, gone) = tokio::sync::mpsc::channel::<()>(1);
    let gone = Arc::new(tokio::sync::Mutex::new(gone));
    let url = scripted(move |_, mut stream| {
        let gone = gone.clone();
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: \
                        chunked\r\n\r\n7\r\n: hello\r\n2\r\n\n\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            gone.lock().await.recv().await.unwrap();
            let event = "event: response.created\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n";
            let chunk = format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
            // The gateway may have gone.
            let _ = stream.write_all(chunk.as_bytes()).await;
        }
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let body = r#"{"model":"gpt-4o","input":"x","stream":true}"#;
    let mut answer = world.open(post("/v1/responses", body)).await.into_body();
    let first = tokio::time::timeout(LIMIT, answer.frame()).await.unwrap().unwrap().unwrap();
    assert!(first.into_data().unwrap().starts_with(b": hello"));
    world.disk.fail(Call::Sync, ErrorKind::Other);
    world.disk.fail(Call::Create, ErrorKind::Other);
    go.send(()).await.unwrap();
    let mut rest = Vec::new();
    let is_broken = loop {
        match tokio::time::timeout(LIMIT, answer.frame()).await.expect("it ends") {
            Some(Ok(frame)) => rest.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    let text = String::from_utf8_lossy(&rest);
    assert!(!text.contains("resp_1"), "{text}");
    assert!(is_broken, "{text}");
    world.disk.heal();
    let stories = world.ended(1).await;
    assert!(stories[0].objects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fine_tuned_model_is_called_at_home_and_by_its_maker_only() {
    let (world, backends) = instances(3).await;
    let file = upload(&world, KEY, "fine-tune", "{\"messages\":[]}\n").await;
    let job = json!({"training_file": file, "model": "gpt-4o-mini"});
    let job = make(&world, KEY, "/v1/fine_tuning/jobs", job).await;
    let target = format!("/v1/fine_tuning/jobs/{}", id(&job));
    let mut model = Value::Null;
    for _ in 0..6 {
        model = get(&world, KEY, &target).await.json()["fine_tuned_model"].clone();
    }
    let model = model.as_str().expect("the job has ended");
    let home = dispatched(&world, id(&job));
    let chat = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    let before: Vec<u64> = backends.iter().map(Simulator::requests).collect();
    for _ in 0..12 {
        make(&world, KEY, "/v1/chat/completions", chat.clone()).await;
    }
    let asked = backends.iter().zip(&before).filter(|(b, before)| b.requests() > **before).count();
    assert_eq!(asked, 1, "inference of a fine-tuned model is never balanced");
    assert_eq!(dispatched(&world, "/chat/completions"), home);
    let refused = call(&world, OTHER_KEY, Method::POST, "/v1/chat/completions", &chat).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "DeploymentNotFound"));
    let files = get(&world, KEY, &target).await.json()["result_files"].clone();
    let content = format!("/v1/files/{}/content", files[0].as_str().unwrap());
    assert_eq!(get(&world, KEY, &content).await.status, 200, "files a job made are known too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subscription_makes_lands_together_and_elsewhere_when_home_is_gone() {
    let (world, backends) = instances(3).await;
    let paths = one_of_each(&world, KEY).await;
    assert_eq!(paths.len(), 16);
    let at_home =
        ["/files", "/batches", "/fine_tuning", "/assistants", "/threads", "/vector_stores"];
    let homes: HashSet<_> = at_home.iter().flat_map(|part| dispatched(&world, part)).collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
    let home = homes.into_iter().next().unwrap();
    let place: usize = home.trim_start_matches('b').parse().unwrap();
    for (number, backend) in backends.into_iter().enumerate() {
        if number == place {
            backend.stop().await;
        } else {
            // Kept alive until the end of the test.
            std::mem::forget(backend);
        }
    }
    let target = paths.iter().find(|path| path.contains("/threads/")).unwrap();
    let gone = get(&world, KEY, target).await;
    assert!(matches!(gone.status, 502 | 503), "{} {}", gone.status, gone.text());
    // The circuit opens, and new objects are made where there is somebody.
    let mut made = None;
    for _ in 0..20 {
        let answer = call(&world, KEY, Method::POST, "/v1/threads", &json!({})).await;
        if answer.status == 200 {
            made = Some(answer.json());
            break;
        }
    }
    let thread = made.expect("another backend takes over");
    let found = get(&world, KEY, &format!("/v1/threads/{}", id(&thread))).await;
    assert_eq!(found.status, 200);
}

/// Walks through a list page by page; the pages' ids, and all objects.
async fn pages(
    world: &World,
    key: &str,
    target: &str,
    limit: usize,
) -> (Vec<Vec<String>>, Vec<Value>) {
    let (mut pages, mut all) = (Vec::new(), Vec::new());
    let mut after = String::new();
    let gap = if target.contains('?') { '&' } else { '?' };
    loop {
        let answer = get(world, key, &format!("{target}{gap}limit={limit}{after}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let data = page["data"].as_array().unwrap().clone();
        let ids: Vec<String> = data.iter().map(|object| id(object).to_owned()).collect();
        assert!(data.len() <= limit);
        assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str));
        after = format!("&after={}", ids.last().cloned().unwrap_or_default());
        pages.push(ids);
        all.extend(data);
        assert!(pages.len() < 50, "it ends");
        if page["has_more"] == false {
            return (pages, all);
        }
        assert_eq!(pages.last().unwrap().len(), limit, "a page that is not the last is full");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_over_three_instances_is_what_one_instance_would_list() {
    let (world, backends) = instances(3).await;
    let (alone, _one) = instances(1).await;
    // Stored completions are balanced, so the three have some each; the other subscription's lie between.
    let chat = |n: usize| {
        let purpose = if n.is_multiple_of(3) { "x" } else { "y" };
        json!({
            "model": if n.is_multiple_of(4) { "gpt-4o-mini" } else { "gpt-4o" }, "store": true,
            "messages": [{"role": "user", "content": format!("{n}")}], "metadata": {"purpose": purpose},
        })
    };
    let (mut made, mut made_alone) = (Vec::new(), Vec::new());
    for number in 0..37 {
        let key = if number % 5 == 4 { OTHER_KEY } else { KEY };
        let answer = make(&world, key, "/v1/chat/completions", chat(number)).await;
        let twin = make(&alone, key, "/v1/chat/completions", chat(number)).await;
        if key == KEY {
            made.push(id(&answer).to_owned());
            made_alone.push(id(&twin).to_owned());
        }
    }
    assert_eq!(dispatched(&world, "/chat/completions").len(), 3);
    let place = |ids: &[String], id: &String| ids.iter().position(|other| other == id).unwrap();
    for (query, limit) in [
        ("", 4),
        ("?order=asc", 100),
        ("?order=desc", 7),
        ("?model=gpt-4o-mini", 2),
        ("?order=desc", 1),
    ] {
        let target = format!("/v1/chat/completions{query}");
        let (merged, objects) = pages(&world, KEY, &target, limit).await;
        let (single, twins) = pages(&alone, KEY, &target, limit).await;
        let places = |pages: &[Vec<String>], ids: &[String]| -> Vec<Vec<usize>> {
            pages.iter().map(|page| page.iter().map(|id| place(ids, id)).collect()).collect()
        };
        assert_eq!(places(&merged, &made), places(&single, &made_alone), "{query} {limit}");
        for (object, twin) in objects.iter().zip(&twins) {
            assert_eq!(object["model"], twin["model"]);
            assert_eq!(object.as_object().unwrap().len(), twin.as_object().unwrap().len());
        }
    }
    let before = format!("/v1/chat/completions?order=asc&before={}&limit=100", made[5]);
    let page = get(&world, KEY, &before).await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 5);
    let unknown = get(&world, KEY, "/v1/chat/completions?after=chatcmpl-no").await;
    assert_eq!(unknown.status, 404);
    let wrong = get(&world, KEY, "/v1/chat/completions?limit=1000").await;
    assert_eq!(wrong.status, 400, "the backend says what is wrong: {}", wrong.text());
    let requests: u64 = backends.iter().map(Simulator::requests).sum();
    assert!(requests < 37 + 3 * 80, "{requests} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_the_caller_owns_and_are_recorded_as_they_went_out() {
    let (world, _backends) = instances(3).await;
    let paths = one_of_each(&world, KEY).await;
    one_of_each(&world, OTHER_KEY).await;
    for path in &paths {
        let (collection, own) = path.rsplit_once('/').unwrap();
        let unlisted = ["uploads", "responses", "conversations", "threads", "videos/characters"];
        if unlisted.iter().any(|name| collection.strip_prefix("/v1/") == Some(name)) {
            continue;
        }
        let listed = get(&world, KEY, collection).await;
        assert_eq!(listed.status, 200, "{collection}: {}", listed.text());
        let listed = listed.json();
        let ids: Vec<&str> = listed["data"].as_array().unwrap().iter().map(id).collect();
        assert!(ids.contains(&own), "{collection}: {ids:?}");
        let count = if collection == "/v1/files" { 2 } else { 1 };
        assert_eq!(ids.len(), count, "{collection}: {ids:?}");
        assert_eq!(listed["has_more"], false);
    }
    let files = get(&world, KEY, "/v1/files?purpose=batch").await.json();
    assert_eq!(files["data"].as_array().unwrap().len(), 1, "filters hold");
    let nobody = get(&world, crate::support::NARROW_KEY, "/v1/files").await;
    assert_eq!(nobody.status, 403);
    let models = get(&world, KEY, "/v1/models").await.json();
    let names: Vec<&str> = models["data"].as_array().unwrap().iter().map(id).collect();
    assert!(names.contains(&"gpt-4o"), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "gpt-4o").count(), 1);
    let stories = world.stories();
    let story =
        stories.iter().find(|s| s.start().url.ends_with("/v1/files?purpose=batch")).unwrap();
    assert!(!story.dispatched.is_empty());
    let recorded: Value = serde_json::from_slice(&story.response).unwrap();
    assert_eq!(recorded, files);
}

//! New settings while requests are in flight.

use event::Outcome;
use gateway::{GatewayConfig, Settings};
use http_body_util::BodyExt;
use policy::{KeyHasher, Rules};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    CHAT, HELLO, HELLO_STREAM, KEY, Setup, World, named_simulator, post, rules, scripted,
};

/// A decree in which nobody may call.
fn nobody() -> Rules {
    Rules::new(8, KeyHasher::new(b"a secret of thirty-two bytes....."), &[], &[]).unwrap()
}

fn settings(config: &GatewayConfig, setup: &Setup, rules: Rules) -> Settings {
    Settings { config: config.clone(), rules, keys: setup.keys.clone(), waf: None }
}

/// The head of a chat request whose body comes later.
async fn begin(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\nconnection: close\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        HELLO_WITH_MODEL.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Asked to go on, the client knows that the request was admitted.
    let mut line = [0; 25];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

const HELLO_WITH_MODEL: &str =
    r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_snapshot_of_the_rules_serves_a_request_from_start_to_end() {
    let (old, new) = (named_simulator("old").await, named_simulator("new").await);
    let setup = Setup::before(&[old.url()]);
    let (config, keys) = (setup.config.clone(), Setup::before(&[old.url()]));
    let world = setup.start().await;
    let mut stream = begin(&world).await;
    let mut moved = config.clone();
    moved.backends[0].base_url = new.url();
    world.gateway.reload(settings(&moved, &keys, nobody())).unwrap();
    // The body names the deployment, which is decided by the rules of the beginning.
    stream.write_all(HELLO_WITH_MODEL.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!((old.requests(), new.requests()), (1, 0));
    assert_eq!(world.post(CHAT, HELLO).await.status, 401);
    world.gateway.reload(settings(&moved, &keys, rules())).unwrap();
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    assert_eq!((old.requests(), new.requests()), (1, 1));
    let versions: Vec<_> = world.ended(3).await.iter().map(|s| s.start().rules_version).collect();
    assert_eq!(versions, [7, 0, 7], "what nobody was admitted by has no version");
}

/// Streams held open at once; `cargo xtask bench` holds ten times as many.
const STREAMS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_cuts_none_of_a_thousand_streams() {
    let (go_on, wait) = tokio::sync::watch::channel(false);
    let url = scripted(move |_, mut stream| {
        let mut wait = wait.clone();
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: {\"a\":1}\n\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            wait.wait_for(|go_on| *go_on).await.unwrap();
            stream.write_all(b"data: {\"b\":2}\n\ndata: [DONE]\n\n").await.unwrap();
        }
    })
    .await;
    let setup = Setup::before(&[url]);
    let (mut config, keys) = (setup.config.clone(), Setup::before(&[]));
    let world = setup.start().await;
    let mut answers = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut answer = world.open(post(CHAT, HELLO_STREAM)).await;
        let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"data: {\"a\":1}\n\n");
        answers.push(answer);
    }
    // Neither the backend nor the subscription is there any more.
    config.backends.clear();
    world.gateway.reload(settings(&config, &keys, nobody())).unwrap();
    go_on.send(true).unwrap();
    for answer in answers {
        let rest = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&rest[..], b"data: {\"b\":2}\n\ndata: [DONE]\n\n");
    }
    let stories = world.ended(STREAMS).await;
    assert!(stories.iter().all(|story| story.end().outcome == Outcome::Complete));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_contradict_themselves_change_nothing() {
    let backend = named_simulator("sim").await;
    let setup = Setup::before(&[backend.url()]);
    let (mut config, keys) = (setup.config.clone(), Setup::before(&[backend.url()]));
    let world = setup.start().await;
    config.backends.push(config.backends[0].clone());
    let error = world.gateway.reload(settings(&config, &keys, nobody())).unwrap_err();
    assert!(error.to_string().contains("stands twice"), "{error}");
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
}

//! Three instances, one killed, one throttling, one slow: callers notice nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use simulator::{Deployment, Fault, LatencyModel, Simulator, SimulatorConfig};
use tokio::net::TcpStream;
use tokio::sync::RwLock;

use crate::support::{CHAT, HELLO, HELLO_STREAM, KEY, LIMIT, Setup, World};

/// Callers at once.
const CALLERS: usize = 16;
/// Calls while all is well, and afterwards.
const CALM: usize = 1_500;
const ROUGH: usize = 3_500;
/// Times that the official SDKs repeat a call by default.
const RETRIES: u32 = 2;

const EMBEDDINGS: &str =
    "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21";
const WITH_MODEL: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}"#;

/// Path and body of a kind of call; whether it streams.
const MIX: [(&str, &str, bool); 5] = [
    (CHAT, HELLO, false),
    (CHAT, HELLO_STREAM, true),
    (EMBEDDINGS, r#"{"input":"hello"}"#, false),
    ("/openai/v1/chat/completions", WITH_MODEL, false),
    ("/v1/responses", r#"{"model":"gpt-4o","input":"hello","store":false}"#, false),
];

/// What all callers share.
struct Crowd {
    world: World,
    next: AtomicUsize,
    /// Held while a stream runs: a stream that has begun cannot be repeated.
    streaming: RwLock<()>,
}

/// A caller with one connection, as an SDK keeps it.
struct Caller {
    crowd: Arc<Crowd>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Caller {
    /// One call as an official SDK makes it: repeated on 408, 409, 429 and from 500 on, when the
    /// server says, or else after half a second and twice as long each time.
    async fn call(&mut self, number: usize) -> Result<(), String> {
        let (target, body, is_stream) = MIX[number % MIX.len()];
        let crowd = self.crowd.clone();
        let _no_kill = if is_stream { Some(crowd.streaming.read().await) } else { None };
        let mut pause = Duration::from_millis(500);
        let mut attempt = 0;
        loop {
            let (status, headers, text) = self.send(target, body).await;
            if status == 200 {
                let is_whole = !is_stream || text.trim_end().ends_with("data: [DONE]");
                return if is_whole { Ok(()) } else { Err(format!("cut: {text}")) };
            }
            let is_repeated = matches!(status, 408 | 409 | 429 | 500..)
                && headers.get("x-should-retry").is_none_or(|value| value != "false");
            if !is_repeated || attempt == RETRIES {
                return Err(format!("{target}: {status} {text}"));
            }
            let told = headers.get("retry-after-ms").and_then(|v| v.to_str().ok()?.parse().ok());
            tokio::time::sleep(told.map_or(pause, Duration::from_millis)).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn send(&mut self, target: &str, body: &str) -> (u16, HeaderMap, String) {
        let mut sender = match self.connection.take() {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.crowd.world.address()).await.unwrap();
                let io = TokioIo::new(stream);
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender
            }
        };
        let request = Request::post(target)
            .header("host", "gateway.test")
            .header("api-key", KEY)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let answer = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
        let (parts, body) = answer.unwrap().unwrap().into_parts();
        let body = tokio::time::timeout(LIMIT, body.collect()).await.unwrap();
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        if sender.ready().await.is_ok() {
            self.connection = Some(sender);
        }
        (parts.status.as_u16(), parts.headers, text.unwrap_or_else(|error| error.to_string()))
    }
}

/// All callers call until so many calls were made in all; what they saw go wrong.
async fn calls(crowd: &Arc<Crowd>, until: usize) -> Vec<String> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let mut caller = Caller { crowd: crowd.clone(), connection: None };
            tokio::spawn(async move {
                let mut errors = Vec::new();
                loop {
                    let number = caller.crowd.next.fetch_add(1, Ordering::Relaxed);
                    if number >= until {
                        return errors;
                    }
                    errors.extend(caller.call(number).await.err());
                }
            })
        })
        .collect();
    let mut errors = Vec::new();
    for caller in callers {
        errors.extend(caller.await.unwrap());
    }
    errors
}

async fn instance(name: &str, latency: LatencyModel) -> Simulator {
    let config = SimulatorConfig {
        name: name.into(),
        latency,
        requests_kept_max: 0,
        deployments: ["gpt-4o", "text-embedding-3-small"]
            .map(|model| Deployment::new(model, model))
            .to_vec(),
        ..SimulatorConfig::default()
    };
    Simulator::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_notice_neither_a_dead_nor_a_throttling_nor_a_slow_instance() {
    let slow_model = LatencyModel { first_byte_ms: 10.0, ..LatencyModel::default() };
    let doomed = instance("doomed", LatencyModel::default()).await;
    let throttling = instance("throttling", LatencyModel::default()).await;
    let slow = instance("slow", slow_model).await;
    let weights = [5, 3, 2];
    let world = Setup::before(&[doomed.url(), throttling.url(), slow.url()])
        .with(|config| {
            for (backend, weight) in config.backends.iter_mut().zip(weights) {
                (backend.priority, backend.weight) = (1, weight);
            }
        })
        .start()
        .await;
    let crowd = Arc::new(Crowd { world, next: AtomicUsize::new(0), streaming: RwLock::new(()) });
    assert_eq!(calls(&crowd, CALM).await, Vec::<String>::new());
    let got = [&doomed, &throttling, &slow].map(|instance| instance.requests() as f64);
    for (got, weight) in got.into_iter().zip(weights) {
        let share = got / CALM as f64 * 10.0 / f64::from(weight);
        assert!((0.95..=1.05).contains(&share), "{got} of {CALM} calls for weight {weight}");
    }
    crowd.next.store(CALM, Ordering::Relaxed);
    let rough = tokio::spawn({
        let crowd = crowd.clone();
        async move { calls(&crowd, CALM + ROUGH).await }
    });
    while crowd.next.load(Ordering::Relaxed) < CALM + ROUGH / 10 {
        tokio::task::yield_now().await;
    }
    throttling.set_fault(Some("status=429;retry-after-ms=300".parse().unwrap()));
    let no_stream = crowd.streaming.write().await;
    doomed.set_fault(Some(Fault::Refuse));
    drop(no_stream);
    assert_eq!(rough.await.unwrap(), Vec::<String>::new());
    check_record(&crowd.world).await;
}

/// The dead instance is left alone within a second of its first failure, but for trials, and the
/// throttling one until it may be asked again.
async fn check_record(world: &World) {
    let stories = world.ended(CALM + ROUGH).await;
    let mut dispatched: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failed_at = Vec::new();
    let mut throttled = 0;
    for story in &stories {
        for sent in &story.dispatched {
            *dispatched.entry(&sent.backend_id).or_default() += 1;
        }
        for error in &story.end().errors {
            if error.message.contains("b0: ") {
                let begun = story.start().received_at.unix_micros();
                failed_at.push(begun + error.elapsed_ms * 1_000);
            }
            throttled += usize::from(error.message.contains("status 429 discarded"));
        }
    }
    let first_failure = *failed_at.iter().min().expect("the dead one was called");
    let is_open = |note: &event::BackendState| note.backend_id == "b0" && note.state == "open";
    let notes = world.health(is_open).await;
    let ejected_at = notes.last().unwrap().noted_at.unix_micros();
    assert!(ejected_at - first_failure < 1_000_000, "{} µs", ejected_at - first_failure);
    // Calls that were on their way when it died, and one trial now and then.
    assert!(failed_at.len() < 3 * CALLERS + 10, "{} calls to the dead one", failed_at.len());
    let rough_share = dispatched["b1"] - CALM * 3 / 10;
    assert!(throttled > 0 && throttled < rough_share, "{throttled} of {rough_share} throttled");
    assert!(dispatched["b2"] > ROUGH / 2, "the slow one does most: {dispatched:?}");
}

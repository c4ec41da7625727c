//! A gateway with everything around it, a small client, and the record read back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::{
    Answered, BackendState, Charges, Closed, Dispatched, InteractionId, MessageChunk, Objects,
    Opened, Record, Refused, Side, Timestamp,
};
use gateway::{
    BackendConfig, BackendKeys, Gateway, GatewayConfig, ListenerConfig, Settings, Wiring,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ledger::fault::FaultyDisk;
use ledger::{Ledger, LedgerConfig};
use openai::Catalogue;
use policy::{KeyHasher, ProductConfig, Rules, SubscriptionConfig};
use shared::{Follower, Snapshot};
use simulator::{Simulator, SimulatorConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// Key of the only subscription.
pub(crate) const KEY: &str = "a-key-of-a-subscription";
/// Key of another subscription that may do all that the first may.
pub(crate) const OTHER_KEY: &str = "a-key-of-another-subscription";
/// Key of a suspended subscription.
pub(crate) const SUSPENDED_KEY: &str = "a-suspended-key";
/// Key of a subscription whose product holds only embeddings on one deployment.
pub(crate) const NARROW_KEY: &str = "a-narrow-key";
/// Key of a subscription whose product holds only `gpt-4o`.
pub(crate) const SESSION_KEY: &str = "a-key-for-one-model";
/// A chat call as Azure's SDKs make it.
pub(crate) const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
/// A body for it.
pub(crate) const HELLO: &str = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
/// The same, streamed with its usage.
pub(crate) const HELLO_STREAM: &str = r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}"#;

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) ledger: Ledger,
    pub(crate) disk: FaultyDisk,
    _follower: Follower,
    _dir: tempfile::TempDir,
}

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) config: GatewayConfig,
    pub(crate) ledger: LedgerConfig,
    pub(crate) keys: BackendKeys,
    /// Rules in place of [`rules`].
    pub(crate) rules: Option<Rules>,
    pub(crate) limiter: shared::Limiter,
    /// Where nodes tell one another of objects.
    pub(crate) directory: Option<shared::Directory>,
    pub(crate) identity: identity::Verifier,
    pub(crate) waf: gateway::WafConfig,
}

impl Setup {
    /// A gateway before these backends, on a free port, nothing probed.
    pub(crate) fn before(urls: &[String]) -> Self {
        let mut setup = Self::default();
        setup.config.edge.listeners = vec![listener()];
        setup.config.egress = net::EgressConfig::loopback();
        setup.ledger.segment_bytes = 4 << 20;
        for (place, url) in urls.iter().enumerate() {
            let mut backend = BackendConfig {
                id: format!("b{place}"),
                base_url: url.clone(),
                priority: u32::try_from(place).unwrap(),
                ..BackendConfig::default()
            };
            backend.probe.enabled = false;
            setup.keys.insert(backend.id.clone(), key(backend.kind));
            setup.config.backends.push(backend);
        }
        setup
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        change(&mut self.config);
        for backend in &self.config.backends {
            self.keys.insert(backend.id.clone(), key(backend.kind));
        }
        self
    }

    pub(crate) async fn start(self) -> World {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let now = || Timestamp::from(std::time::SystemTime::now());
        let folder = dir.path().join("ledger");
        let (ledger, _) =
            Ledger::open_on(Arc::new(disk.clone()), &folder, self.ledger, now).unwrap();
        let snapshot = Arc::new(Snapshot::open(dir.path().join("shared.redb")).unwrap());
        let objects = shared::Objects::new(snapshot.clone(), 1000);
        let follower = Follower::start(&ledger, snapshot, vec![objects.projection()]).unwrap();
        if let Some(directory) = self.directory {
            objects.share(directory);
            tokio::spawn(objects.clone().run());
        }
        let security = shared::SecurityLog::default();
        tokio::spawn(
            security.clone().write(ledger.clone(), tokio_util::sync::CancellationToken::new()),
        );
        let gateway = Gateway::start(Wiring {
            settings: Settings {
                config: self.config,
                rules: self.rules.unwrap_or_else(rules),
                keys: self.keys,
                waf: gateway::Waf::load(&self.waf).unwrap(),
            },
            catalogue: Arc::new(Catalogue::builtin()),
            ledger: ledger.clone(),
            limiter: self.limiter,
            identity: self.identity,
            objects,
            security,
            spool_dir: dir.path().join("spool"),
            ordered: gateway::OrderedCertificates::default(),
        })
        .await
        .unwrap();
        World { gateway, ledger, disk, _follower: follower, _dir: dir }
    }
}

/// A key that follows nothing, where a backend of this kind wants it.
pub(crate) fn key(kind: gateway::BackendKind) -> Arc<vault::Credential> {
    let carrier = match kind {
        gateway::BackendKind::Azure => vault::Carrier::ApiKey,
        gateway::BackendKind::Openai => vault::Carrier::Bearer,
    };
    let secret = vault::Secret::new("the-backends-own-key");
    Arc::new(vault::Credential::fixed(carrier, &secret).unwrap())
}

pub(crate) fn listener() -> ListenerConfig {
    ListenerConfig { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..ListenerConfig::default() }
}

pub(crate) fn rules() -> Rules {
    let hasher = KeyHasher::new(b"a secret of thirty-two bytes.....");
    let product = ProductConfig {
        id: "narrow".into(),
        operations: vec!["Embeddings_Create".into()],
        deployments: vec!["text-embedding-3-small".into()],
        ..ProductConfig::default()
    };
    let one_model = ProductConfig {
        id: "one-model".into(),
        deployments: vec!["gpt-4o".into()],
        ..ProductConfig::default()
    };
    let subscription = |id: &str, key: &str| SubscriptionConfig {
        id: id.into(),
        owner: "ann".into(),
        primary_key_hash: hasher.hash(key).to_string(),
        ..SubscriptionConfig::default()
    };
    let mut suspended = subscription("suspended", SUSPENDED_KEY);
    suspended.state = policy::SubscriptionState::Suspended;
    let mut narrow = subscription("narrow", NARROW_KEY);
    narrow.product = "narrow".into();
    let mut session = subscription("session", SESSION_KEY);
    session.product = "one-model".into();
    let other = subscription("other", OTHER_KEY);
    let subscriptions = [subscription("team", KEY), suspended, narrow, other, session];
    Rules::new(7, hasher.clone(), &[product, one_model], &subscriptions).unwrap()
}

pub(crate) async fn simulator() -> Simulator {
    named_simulator("sim").await
}

pub(crate) async fn named_simulator(name: &str) -> Simulator {
    let config = SimulatorConfig {
        name: name.into(),
        api_keys: vec!["the-backends-own-key".into()],
        ..SimulatorConfig::default()
    };
    Simulator::start(config).await.unwrap()
}

/// A backend that reads a request and then does as `script` says with its head, for each connection.
pub(crate) async fn scripted<F, R>(script: F) -> String
where
    F: Fn(String, TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", bound.local_addr().unwrap());
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = bound.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                let length = head
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
                // What is left unread would reset the connection when it is closed.
                let mut body = vec![0; length.unwrap_or(0)];
                if stream.read_exact(&mut body).await.is_ok() {
                    script(head, stream).await;
                }
            });
        }
    });
    url
}

/// Reads up to the end of a head, byte by byte.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

impl World {
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.addresses()[0]
    }

    /// Calls with the key in `api-key`.
    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.call(post(target, body)).await
    }

    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::read(self.open(request).await).await
    }

    /// The answer's head; its body is still to be read.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(LIMIT, sender.send_request(request)).await.unwrap().unwrap()
    }

    pub(crate) async fn call_http2(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let executor = TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("http://{}{}", self.address(), parts.uri).parse().unwrap();
        parts.headers.remove("host");
        let request = Request::from_parts(parts, body);
        let answer = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
        Answer::read(answer.unwrap().unwrap()).await
    }

    /// Sends raw bytes and reads until the connection closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as a close.
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What is durable at this moment.
    pub(crate) fn stories(&self) -> Vec<Story> {
        let mut reader = self.ledger.reader(1).unwrap();
        let mut stories = Stories::default();
        while let Some(entry) = reader.next(Duration::ZERO).unwrap() {
            stories.add(entry.frame);
        }
        stories.list
    }

    /// Waits for it.
    pub(crate) async fn first_security_event(&self) -> event::SecurityEvent {
        let mut reader = self.ledger.reader(1).unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut stories = Stories::default();
            while stories.security.is_empty() {
                stories.add(reader.next(LIMIT).unwrap().expect("it is noted in time").frame);
            }
            stories.security.remove(0)
        });
        waiting.await.unwrap()
    }

    /// What has been noted of backends up to the first note that `is_last`.
    pub(crate) async fn health(
        &self,
        is_last: impl Fn(&BackendState) -> bool + Send + 'static,
    ) -> Vec<BackendState> {
        let mut reader = self.ledger.reader(1).unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut stories = Stories::default();
            while !stories.health.last().is_some_and(&is_last) {
                let entry = reader.next(LIMIT).unwrap();
                let entry = entry.unwrap_or_else(|| panic!("not noted: {:?}", stories.health));
                stories.add(entry.frame);
            }
            stories.health
        });
        waiting.await.unwrap()
    }

    /// The only story.
    pub(crate) fn story(&self) -> Story {
        let mut stories = self.stories();
        assert_eq!(stories.len(), 1, "{stories:?}");
        stories.remove(0)
    }

    /// Waits until so many interactions have ended.
    pub(crate) async fn ended(&self, count: usize) -> Vec<Story> {
        let mut reader = self.ledger.reader(1).unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut stories = Stories::default();
            while stories.list.iter().filter(|story| story.has_ended()).count() < count {
                let entry = reader.next(LIMIT).unwrap().expect("the end is recorded in time");
                stories.add(entry.frame);
            }
            stories.list
        });
        waiting.await.unwrap()
    }
}

pub(crate) fn post(target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(target)
        .header("host", "gateway.test")
        .header("api-key", KEY)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

pub(crate) fn with_header(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// An answer, read to its end or its break.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) is_broken: bool,
}

impl Answer {
    pub(crate) async fn read(answer: Response<Incoming>) -> Self {
        let (parts, mut incoming) = answer.into_parts();
        let mut body = Vec::new();
        let mut is_broken = false;
        while let Some(frame) =
            tokio::time::timeout(LIMIT, incoming.frame()).await.expect("the answer ends in time")
        {
            match frame {
                Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(_) => {
                    is_broken = true;
                    break;
                }
            }
        }
        let status = parts.status.as_u16();
        Self { status, headers: parts.headers, body: body.into(), is_broken }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an error in the SDKs' shape.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One interaction, as recorded.
#[derive(Debug, Default, Clone)]
pub(crate) struct Story {
    /// Its id, as the answer names it.
    pub(crate) id: String,
    pub(crate) opened: Vec<Opened>,
    pub(crate) request: Vec<u8>,
    pub(crate) dispatched: Vec<Dispatched>,
    pub(crate) answered: Vec<Answered>,
    pub(crate) response: Vec<u8>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) objects: Vec<Objects>,
    pub(crate) messages: Vec<MessageChunk>,
    pub(crate) charges: Vec<Charges>,
}

impl Story {
    pub(crate) fn has_ended(&self) -> bool {
        !self.closed.is_empty() || !self.refused.is_empty()
    }

    /// The start, opened or refused.
    pub(crate) fn start(&self) -> &Opened {
        self.opened.first().unwrap_or_else(|| &self.refused[0].opened)
    }

    /// The one end.
    pub(crate) fn end(&self) -> &Closed {
        assert_eq!(self.closed.len() + self.refused.len(), 1, "exactly one end: {self:?}");
        self.closed.first().unwrap_or_else(|| &self.refused[0].closed)
    }
}

#[derive(Default)]
struct Stories {
    places: BTreeMap<InteractionId, usize>,
    list: Vec<Story>,
    health: Vec<BackendState>,
    security: Vec<event::SecurityEvent>,
}

impl Stories {
    fn add(&mut self, frame: event::Frame) {
        let record = Record::decode(frame.kind, &frame.payload).unwrap();
        if let Record::BackendState(state) = record {
            return self.health.push(*state);
        }
        if let Record::Note(note) = record {
            if let event::Note::SecurityEvent(event) = *note {
                self.security.push(event);
            }
            return;
        }
        let list = &mut self.list;
        let place = *self.places.entry(frame.interaction).or_insert_with(|| {
            list.push(Story { id: frame.interaction.to_string(), ..Story::default() });
            list.len() - 1
        });
        let story = &mut self.list[place];
        match record {
            Record::BackendState(_) | Record::Note(_) => unreachable!("it has no story"),
            Record::Opened(record) => story.opened.push(*record),
            Record::Dispatched(record) => story.dispatched.push(*record),
            Record::Answered(record) => story.answered.push(*record),
            Record::Closed(record) => story.closed.push(*record),
            Record::Refused(record) => story.refused.push(*record),
            Record::Objects(record) => story.objects.push(*record),
            Record::MessageChunk(chunk) => story.messages.push(chunk),
            Record::Charges(record) => story.charges.push(*record),
            Record::BodyChunk(chunk) => match chunk.side {
                Side::Request => story.request.extend_from_slice(&chunk.data),
                Side::Response => story.response.extend_from_slice(&chunk.data),
            },
        }
    }
}

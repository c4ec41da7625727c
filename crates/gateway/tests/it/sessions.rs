//! WebSocket sessions, with a client of another make and with bytes made by hand.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Opcode, Outcome, Side};
use flate2::{Compress, Compression, FlushCompress};
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ledger::fault::Call;
use policy::{KeyHasher, LimitConfig, QuotaPeriod, Rules, SubscriptionConfig};
use serde_json::{Value, json};
use simulator::{Fault, SimulatorConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{
    KEY, LIMIT, NARROW_KEY, OTHER_KEY, SESSION_KEY, Setup, Story, World, named_simulator,
    read_head, scripted, simulator,
};

const REALTIME: &str = "/openai/v1/realtime?model=gpt-realtime";
const PREVIEW: &str =
    "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-4o-realtime-preview";
const RESPONSES: &str = "/openai/v1/responses";

type Socket = WebSocketStream<TcpStream>;

/// Connects; with the answer's subprotocol.
async fn dial(
    world: &World,
    target: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, String), Error> {
    let url = format!("ws://{}{target}", world.address());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let tcp = TcpStream::connect(world.address()).await.unwrap();
    let (socket, answer) = tokio_tungstenite::client_async(request, tcp).await?;
    assert!(answer.headers().contains_key("x-gatehouse-correlation-id"));
    let protocol = answer.headers().get("sec-websocket-protocol");
    Ok((socket, protocol.map_or("", |value| value.to_str().unwrap()).to_owned()))
}

async fn connect(world: &World, target: &str, headers: &[(&'static str, &str)]) -> Socket {
    let mut headers = headers.to_vec();
    headers.push(("api-key", KEY));
    dial(world, target, &headers).await.unwrap().0
}

async fn say(socket: &mut Socket, event: Value) {
    socket.send(Message::text(event.to_string())).await.unwrap();
}

async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    tokio::time::timeout(LIMIT, socket.next()).await.expect("something comes in time")
}

/// Texts up to the event of this name.
async fn until(socket: &mut Socket, name: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match next(socket).await {
            Some(Ok(Message::Text(text))) => {
                texts.push(text.to_string());
                let event: Value = serde_json::from_str(&text).unwrap();
                if event["type"] == name {
                    return texts;
                }
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?} before {name}: {texts:?}"),
        }
    }
}

/// Reads to the end: the close code that came, or 1006.
async fn close_code(socket: &mut Socket) -> u16 {
    let mut code = 1006;
    while let Some(Ok(message)) = next(socket).await {
        if let Message::Close(frame) = message {
            code = frame.map_or(1005, |frame| frame.code.into());
        }
    }
    code
}

/// The recorded messages of one side, joined; pings and the like too.
fn messages(story: &Story, side: Side) -> Vec<(Opcode, Vec<u8>)> {
    let mut joined: Vec<(Opcode, Vec<u8>)> = Vec::new();
    for chunk in story.messages.iter().filter(|chunk| chunk.side == side) {
        let is_of_it = |entry: &&mut (Opcode, Vec<u8>)| entry.0 == chunk.opcode;
        match joined.iter_mut().rev().find(is_of_it).filter(|_| !chunk.is_start) {
            Some((_, data)) => data.extend_from_slice(&chunk.data),
            None => joined.push((chunk.opcode, chunk.data.to_vec())),
        }
    }
    joined
}

fn texts(story: &Story, side: Side) -> Vec<String> {
    let messages = messages(story, side).into_iter();
    let texts = messages.filter(|(opcode, _)| *opcode == Opcode::Text);
    texts.map(|(_, data)| String::from_utf8(data).unwrap()).collect()
}

fn session(story: &Story) -> (u16, &str, u64, u64) {
    let end = story.end().session.as_ref().expect("it was a session");
    (end.close_code, &end.closed_by, end.client_messages, end.server_messages)
}

fn create() -> Value {
    json!({"type": "response.create", "response": {"output_modalities": ["text"]}})
}

/// Nothing of the ledger's frames holds one of the keys.
fn assert_no_key(world: &World) {
    let mut reader = world.ledger.reader(1).unwrap();
    while let Some(entry) = reader.next(Duration::ZERO).unwrap() {
        let text = String::from_utf8_lossy(&entry.frame.payload).into_owned();
        assert!(!text.contains(KEY) && !text.contains("the-backends-own-key"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_taken_wherever_sdks_put_them_and_go_no_further() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let bearer = format!("Bearer {KEY}");
    let protocols = format!("realtime,openai-insecure-api-key.{KEY}");
    let in_query = format!("{PREVIEW}&api-key={KEY}");
    let as_bearer = format!("{PREVIEW}&Authorization=Bearer%20{KEY}");
    type Carrier<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a str);
    let carriers: [Carrier<'_>; 6] = [
        (PREVIEW, &[("api-key", KEY), ("openai-beta", "realtime=v1")], ""),
        (REALTIME, &[("authorization", &bearer)], ""),
        ("/v1/realtime?model=gpt-realtime", &[("authorization", &bearer)], ""),
        (&in_query, &[("sec-websocket-protocol", "realtime")], "realtime"),
        (&as_bearer, &[("sec-websocket-protocol", "realtime")], "realtime"),
        (REALTIME, &[("sec-websocket-protocol", &protocols)], "realtime"),
    ];
    for (place, (target, headers, protocol)) in carriers.into_iter().enumerate() {
        let (mut socket, agreed) = dial(&world, target, headers).await.unwrap();
        assert_eq!(agreed, protocol, "{target}");
        until(&mut socket, "session.created").await;
        socket.close(None).await.unwrap();
        close_code(&mut socket).await;
        let story = world.ended(place + 1).await.remove(place);
        assert_eq!((story.end().outcome, story.end().status), (Outcome::Complete, 101));
        let opened = story.start();
        assert_eq!((opened.target.kind.as_str(), opened.target.is_stream), ("realtime", true));
        assert_eq!(opened.subscription_id, "team");
        let received = backend.received().remove(place);
        assert_eq!(received.headers["api-key"], "the-backends-own-key");
        assert!(!received.target.contains(KEY) && !format!("{:?}", received.headers).contains(KEY));
    }
    assert_no_key(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_thousand_frames_is_recorded_whole() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[("x-sim-tokens", "300")]).await;
    let mut heard = until(&mut socket, "session.created").await;
    let mut said = Vec::new();
    for turn in 0..4 {
        let text = format!("turn {turn}: {}", "ä€😀".repeat(100));
        let item = json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}});
        for event in [item, create()] {
            said.push(event.to_string());
            say(&mut socket, event).await;
        }
        heard.extend(until(&mut socket, "rate_limits.updated").await);
    }
    assert!(heard.len() > 1_200, "{}", heard.len());
    let frame = CloseFrame { code: 1000.into(), reason: "done".into() };
    socket.close(Some(frame)).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 1000);
    // The close frame is here, so the end record is kept.
    let story = world.story();
    assert_eq!(story.end().outcome, Outcome::Complete);
    assert_eq!(texts(&story, Side::Request), said);
    assert_eq!(texts(&story, Side::Response), heard);
    let (client, server) = (said.len() as u64, heard.len() as u64);
    assert_eq!(session(&story), (1000, "client", client, server));
    let last = messages(&story, Side::Response).pop().unwrap();
    assert_eq!(last, (Opcode::Close, b"\x03\xe8done".to_vec()));
    assert!(story.messages.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let mut reader = openai::SessionReader::default();
    for chunk in texts(&story, Side::Response) {
        reader.server(&chunk);
    }
    let usage = reader.finish().extraction.usage.unwrap();
    assert_eq!(usage.completion, Some(4 * 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_refused_are_records() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let checks = [
        (REALTIME, "wrong", 401, "SubscriptionKeyInvalid"),
        (REALTIME, NARROW_KEY, 403, "OperationNotAllowed"),
        ("/v1/embeddings", KEY, 405, "MethodWrong"),
        ("/v1/chat/completions", KEY, 400, "WebSocketNotSupported"),
        ("/v1/models", KEY, 400, "WebSocketNotSupported"),
        ("/openai/openai/v1/realtime?model=m", KEY, 404, "BaseUrlDoubled"),
    ];
    for (place, (target, key, status, code)) in checks.into_iter().enumerate() {
        let Err(Error::Http(answer)) = dial(&world, target, &[("api-key", key)]).await else {
            panic!("{target} was not refused");
        };
        assert_eq!(answer.status(), status, "{target}");
        let story = world.ended(place + 1).await.remove(place);
        assert_eq!(story.end().errors[0].reason, code, "{target}");
    }
    let head = format!(
        "GET {REALTIME} HTTP/1.1\r\nhost: x\r\napi-key: {KEY}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\n\r\n"
    );
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(backend.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backends_refusal_is_passed_on_and_another_backend_is_tried() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let world = Setup::before(&[first.url(), second.url()]).start().await;
    first.set_fault(Some(Fault::Status { status: 429, retry_after: None }));
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    drop(socket);
    assert_eq!((first.requests(), second.requests()), (1, 1));
    second.set_fault(Some(Fault::Status { status: 403, retry_after: None }));
    let refused = dial(&world, REALTIME, &[("api-key", KEY)]).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 403));
}

/// A frame of a client.
fn masked(bits: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![bits];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    let mask = [7, 77, 177, 200];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A connection whose handshake was made by hand.
async fn dial_raw(world: &World, more: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = format!(
        "GET {REALTIME} HTTP/1.1\r\nhost: gateway.test\r\napi-key: {KEY}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    (stream, answer)
}

/// A backend that accepts a handshake, with these header lines more, and then does as it is told.
async fn accepting<F, R>(more: &'static str, script: F) -> String
where
    F: Fn(TcpStream) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    scripted(move |head, mut stream| {
        let script = script.clone();
        async move {
            let key = head.split("sec-websocket-key: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n{more}\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            script(stream).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_pings_and_compression_pass_byte_for_byte_and_are_understood() {
    // The backend sends back what it gets, but for the mask, and says what it got at the end.
    let echo = |mut stream: TcpStream| async move {
        let mut compress = Compress::new(Compression::default(), false);
        let mut all = Vec::new();
        for text in ["first first first", "first again, first again"] {
            let mut packed = Vec::with_capacity(1000);
            compress.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Sync).unwrap();
            packed.truncate(packed.len() - 4);
            all.extend_from_slice(&[0xc1, u8::try_from(packed.len()).unwrap()]);
            all.extend_from_slice(&packed);
        }
        // Byte by byte: every frame is cut everywhere.
        for byte in all {
            stream.write_all(&[byte]).await.unwrap();
        }
        let mut got = vec![0; expected_bytes().len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected_bytes(), "the bytes were changed");
        stream.write_all(&[0x8a, 2, b'h', b'i', 0x88, 2, 0x0f, 0xa1]).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    };
    let url = accepting(
        "sec-websocket-extensions: permessage-deflate; client_no_context_takeover\r\n",
        echo,
    )
    .await;
    let world = Setup::before(&[url]).start().await;
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut stream, answer) = dial_raw(&world, offer).await;
    assert!(answer.contains("permessage-deflate; client_no_context_takeover"), "{answer}");
    for piece in expected_bytes().chunks(3) {
        stream.write_all(piece).await.unwrap();
    }
    let mut got = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).await.unwrap() > 0 {
        got.push(byte[0]);
    }
    assert!(got.ends_with(&[0x8a, 2, b'h', b'i', 0x88, 2, 0x0f, 0xa1]), "{got:?}");
    let story = world.story();
    let mut from_client = messages(&story, Side::Request);
    from_client.retain(|(opcode, _)| *opcode != Opcode::Ping);
    assert_eq!(
        from_client,
        [
            (Opcode::Text, b"one two three".to_vec()),
            (Opcode::Text, b"packed packed packed".to_vec()),
        ]
    );
    let pings = story.messages.iter().filter(|chunk| chunk.opcode == Opcode::Ping).count();
    assert_eq!(pings, 1);
    let from_backend = messages(&story, Side::Response);
    assert_eq!(
        from_backend,
        [
            (Opcode::Text, b"first first first".to_vec()),
            (Opcode::Text, b"first again, first again".to_vec()),
            (Opcode::Pong, b"hi".to_vec()),
            (Opcode::Close, vec![0x0f, 0xa1]),
        ]
    );
    assert_eq!(session(&story), (4001, "backend", 2, 2));
}

/// A message in three fragments with a ping between them, then a compressed one.
fn expected_bytes() -> Vec<u8> {
    let mut packed = Vec::with_capacity(1000);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(b"packed packed packed", &mut packed, FlushCompress::Sync).unwrap();
    packed.truncate(packed.len() - 4);
    [
        masked(0x01, b"one "),
        masked(0x89, b"hi"),
        masked(0x00, b"two "),
        masked(0x80, b"three"),
        masked(0xc1, &packed),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_by_the_backend_and_close_codes_pass() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[("x-sim-fault", "close=4999")]).await;
    until(&mut socket, "session.created").await;
    socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    let pong = next(&mut socket).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"there?")));
    say(&mut socket, create()).await;
    assert_eq!(close_code(&mut socket).await, 4999);
    let story = world.story();
    assert_eq!((session(&story).0, session(&story).1), (4999, "backend"));
    assert_eq!(story.end().outcome, Outcome::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_stops_sending_still_hears_its_answer() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let (mut stream, _) = dial_raw(&world, "x-sim-tokens: 40\r\n").await;
    stream.write_all(&masked(0x81, create().to_string().as_bytes())).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(heard.contains("response.done"), "{heard}");
    let story = world.ended(1).await.remove(0);
    assert_eq!((story.end().outcome, session(&story).0), (Outcome::ClientGone, 1006));
    let done =
        texts(&story, Side::Response).iter().filter(|text| text.contains("response.done")).count();
    assert_eq!(done, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_that_has_gone_had_asked_for_is_recorded_to_its_end() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let headers = [("x-sim-tokens", "200"), ("x-sim-fault", "stall=300")];
    let mut socket = connect(&world, REALTIME, &headers).await;
    say(&mut socket, create()).await;
    until(&mut socket, "response.created").await;
    drop(socket);
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::ClientGone);
    let last = texts(&story, Side::Response);
    assert!(last.iter().any(|text| text.contains("\"response.done\"")), "the usage is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_off_is_told_to_the_client() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    backend.set_fault(Some(Fault::Reset));
    assert_eq!(close_code(&mut socket).await, 1011);
    let story = world.story();
    assert_eq!((story.end().outcome, session(&story).1), (Outcome::BackendFailed, "gateway"));
    assert_eq!(story.end().errors[0].reason, "BackendConnectionFailure");
    backend.set_fault(None);
    // In the middle of a frame nothing can be said.
    let url = accepting("", |mut stream: TcpStream| async move {
        stream.write_all(&[0x81, 100, b'h', b'a', b'l', b'f']).await.unwrap();
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    assert_eq!(close_code(&mut socket).await, 1006);
    let story = world.ended(1).await.remove(0);
    assert_eq!((story.end().outcome, session(&story).0), (Outcome::BackendFailed, 1006));
    assert_eq!(messages(&story, Side::Response), [(Opcode::Text, b"half".to_vec())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_unrecorded_passes_when_the_ledger_fails() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    world.disk.fail(Call::Sync, ErrorKind::Other);
    world.disk.fail(Call::Create, ErrorKind::Other);
    let mut seen = 0;
    // The first pieces may pass while the failure is not known yet; then it ends.
    let code = loop {
        let update = json!({"type": "session.update", "session": {"instructions": "x"}});
        if socket.send(Message::text(update.to_string())).await.is_err() {
            break 1006;
        }
        match next(&mut socket).await {
            Some(Ok(Message::Close(frame))) => break frame.map_or(1005, |frame| frame.code.into()),
            Some(Ok(_)) => seen += 1,
            _ => break 1006,
        }
        assert!(seen < 1_000, "the session goes on without a record");
    };
    assert_eq!(code, 1013);
    world.disk.heal();
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::GatewayFailed);
    assert_eq!(story.end().errors.last().unwrap().reason, "AuditLogUnavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_limit_and_broken_frames_end_the_session() {
    let backend = simulator().await;
    let setup = Setup::before(&[backend.url()]);
    let world = setup.with(|config| config.edge.websocket.message_bytes_max = 5_000).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    socket.send(Message::text("x".repeat(5_001))).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 1009);
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::Refused);
    assert_eq!(story.end().errors[0].reason, "WebSocketMessageTooLarge");
    assert!(texts(&story, Side::Request).is_empty(), "nothing of it was passed on");
    let (mut stream, _) = dial_raw(&world, "").await;
    stream.write_all(b"\x81\x05hello").await.unwrap();
    let mut heard = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert!(heard.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xea]), "1002");
    let story = world.ended(2).await.remove(1);
    assert_eq!(story.end().errors[0].reason, "WebSocketProtocolError");
    // The backend's are no better.
    let url = accepting("", |mut stream: TcpStream| async move {
        stream.write_all(&[0x81, 126, 0xff, 0xff]).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    })
    .await;
    let setup = Setup::before(&[url]);
    let world = setup.with(|config| config.edge.websocket.message_bytes_max = 5_000).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    assert_eq!(close_code(&mut socket).await, 1011);
    assert_eq!(world.ended(1).await[0].end().outcome, Outcome::BackendFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_sessions_end_after_their_time_and_when_the_gateway_stops() {
    let backend = simulator().await;
    let setup = Setup::before(&[backend.url()]);
    let world = setup.with(|config| config.edge.websocket.idle_timeout_ms = 200).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    assert_eq!(close_code(&mut socket).await, 1001);
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().errors[0].reason, "WebSocketIdle");
    assert_eq!((story.end().outcome, session(&story).1), (Outcome::Complete, "gateway"));
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    let began = Instant::now();
    let gateway = world.gateway;
    let stopping = tokio::spawn(async move { gateway.shutdown().await });
    assert_eq!(close_code(&mut socket).await, 1001);
    stopping.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "the drain time was not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_over_a_socket_go_to_the_backend_of_their_model() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let setup = Setup::before(&[first.url(), second.url()]);
    let world = setup
        .with(|config| {
            config.backends[0].deployments = vec!["gpt-4.1".into()];
            config.backends[1].deployments = vec!["gpt-4o".into()];
        })
        .start()
        .await;
    let mut socket = connect(&world, RESPONSES, &[]).await;
    // Before a backend is found, the gateway answers pings.
    socket.send(Message::Ping(Bytes::new())).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Pong(Bytes::new()));
    let ask = json!({"type": "response.create", "model": "gpt-4o", "input": "hi"});
    say(&mut socket, ask.clone()).await;
    let mut heard = until(&mut socket, "response.completed").await;
    say(&mut socket, json!({"type": "response.create", "input": "on", "model": "gpt-4o"})).await;
    heard.extend(until(&mut socket, "response.completed").await);
    socket.close(None).await.unwrap();
    close_code(&mut socket).await;
    assert_eq!((first.requests(), second.requests()), (0, 1));
    let story = world.story();
    assert_eq!(story.start().target.operation_id, "Create_Response");
    assert_eq!(story.start().target.deployment, "gpt-4o");
    assert_eq!(texts(&story, Side::Request)[0], ask.to_string());
    assert_eq!(texts(&story, Side::Response), heard);
    assert_eq!(session(&story).2, 2);
    // What was made in the session is at home there, and its maker's.
    let last: Value = serde_json::from_str(heard.last().unwrap()).unwrap();
    let made = last["response"]["id"].as_str().unwrap();
    let follow = json!({"type": "response.create", "model": "gpt-4o", "input": "so?", "previous_response_id": made});
    let mut over_http = follow.clone();
    over_http.as_object_mut().unwrap().remove("type");
    let answer = world.post(RESPONSES, &over_http.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for is_first in [true, false] {
        let (mut socket, _) = dial(&world, RESPONSES, &[("api-key", OTHER_KEY)]).await.unwrap();
        if !is_first {
            say(&mut socket, ask.clone()).await;
            until(&mut socket, "response.completed").await;
        }
        say(&mut socket, follow.clone()).await;
        assert_eq!(close_code(&mut socket).await, 1008, "{is_first}");
    }
    let mut socket = connect(&world, RESPONSES, &[]).await;
    say(&mut socket, follow).await;
    until(&mut socket, "response.completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_allowed_or_not_there_is_refused_in_the_session() {
    let backend = simulator().await;
    let setup = Setup::before(&[backend.url()]);
    let world = setup
        .with(|c| c.backends[0].deployments = vec!["gpt-4o".into(), "o4-mini".into()])
        .start()
        .await;
    let ask =
        |model: &str| json!({"type": "response.create", "model": model, "input": "hi"}).to_string();
    let refused = [
        (KEY, vec![ask("gpt-9")], "DeploymentNotFound"),
        (SESSION_KEY, vec![ask("o4-mini")], "DeploymentNotAllowed"),
        (SESSION_KEY, vec![ask("gpt-4o"), ask("o4-mini")], "DeploymentNotAllowed"),
        (KEY, vec!["{\"type\":".to_owned()], "BadRequest"),
    ];
    for (place, (key, asks, reason)) in refused.into_iter().enumerate() {
        let (mut socket, _) = dial(&world, RESPONSES, &[("api-key", key)]).await.unwrap();
        let last = asks.len() - 1;
        for (turn, ask) in asks.into_iter().enumerate() {
            socket.send(Message::text(ask)).await.unwrap();
            if turn < last {
                until(&mut socket, "response.completed").await;
            }
        }
        let mut error = Value::Null;
        let mut code = 1006;
        while let Some(Ok(message)) = next(&mut socket).await {
            match message {
                Message::Text(text) => error = serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => code = frame.unwrap().code.into(),
                _ => {}
            }
        }
        assert_eq!(code, 1008, "{reason}");
        if last == 0 {
            assert_eq!(error["error"]["code"], reason);
        }
        let story = world.ended(place + 1).await.remove(place);
        // The record names the mistake more closely than the code that SDKs know.
        let recorded = if place == 0 { "ModelInsteadOfDeployment" } else { reason };
        assert_eq!(story.end().errors[0].reason, recorded);
        assert_eq!(story.end().outcome, Outcome::Refused);
    }
    assert_eq!(backend.requests(), 1, "nothing refused reached a backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_responses_use_counts_at_once_and_a_used_up_quota_ends_the_session() {
    let backend = simulator().await;
    let quota = LimitConfig {
        token_quota: Some(100),
        token_quota_period: Some(QuotaPeriod::Yearly),
        ..LimitConfig::default()
    };
    let hasher = KeyHasher::new(b"a secret of thirty-two bytes.....");
    let subscription = SubscriptionConfig {
        id: "team".into(),
        primary_key_hash: hasher.hash(KEY).to_string(),
        limits: vec![quota],
        ..SubscriptionConfig::default()
    };
    let mut setup = Setup::before(&[backend.url()]);
    setup.rules = Some(Rules::new(3, hasher, &[], &[subscription]).unwrap());
    let world = setup.start().await;
    let mut socket = connect(&world, REALTIME, &[("x-sim-tokens", "60")]).await;
    say(&mut socket, create()).await;
    let first = until(&mut socket, "rate_limits.updated").await;
    say(&mut socket, create()).await;
    let second = until(&mut socket, "response.done").await;
    assert_eq!(close_code(&mut socket).await, 1008);
    let story = world.ended(1).await.remove(0);
    assert_eq!(story.end().outcome, Outcome::Refused);
    let used: u64 = [first, second]
        .concat()
        .iter()
        .filter_map(|text| {
            let event: Value = serde_json::from_str(text).unwrap();
            event["response"]["usage"]["total_tokens"].as_u64()
        })
        .sum();
    assert!(used > 100, "{used}");
    assert_eq!(story.charges.len(), 4, "set aside, counted twice, settled: {:?}", story.charges);
    let refused = dial(&world, REALTIME, &[("api-key", KEY)]).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http2_is_connected_too() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let tcp = TcpStream::connect(world.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{}{REALTIME}", world.address()))
        .header("api-key", KEY)
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "realtime")
        .body(Empty::<Bytes>::new())
        .unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    sender.ready().await.unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "realtime");
    let io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    socket.send(Message::text(create().to_string())).await.unwrap();
    let mut names = Vec::new();
    while !names.iter().any(|name| name == "response.done") {
        let message = tokio::time::timeout(LIMIT, socket.next()).await.unwrap();
        let event: Value =
            serde_json::from_str(message.unwrap().unwrap().to_text().unwrap()).unwrap();
        names.push(event["type"].as_str().unwrap().to_owned());
    }
    socket.close(None).await.unwrap();
    while let Ok(Some(Ok(_))) = tokio::time::timeout(LIMIT, socket.next()).await {}
    let story = world.ended(1).await.remove(0);
    assert_eq!((story.start().protocol.as_str(), story.end().status), ("HTTP/2", 200));
    assert!(texts(&story, Side::Response).len() >= names.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_slows_the_backend_down_and_memory_stays_small() {
    // The backend sends as long as it can; the client reads nothing for a while.
    let (told, mut sent) = tokio::sync::mpsc::channel::<usize>(1);
    let url = accepting("", move |mut stream: TcpStream| {
        let told = told.clone();
        async move {
            let mut frame = vec![0x82, 127];
            frame.extend_from_slice(&(64u64 << 10).to_be_bytes());
            frame.resize(frame.len() + (64 << 10), 7);
            let mut bytes = 0;
            while let Ok(Ok(())) =
                tokio::time::timeout(Duration::from_millis(1500), stream.write_all(&frame)).await
            {
                bytes += frame.len();
            }
            told.send(bytes).await.unwrap();
        }
    })
    .await;
    let world = Setup::before(&[url]).start().await;
    let socket = connect(&world, REALTIME, &[]).await;
    let bytes = tokio::time::timeout(LIMIT, sent.recv()).await.unwrap().unwrap();
    assert!(bytes < 64 << 20, "{bytes} bytes went somewhere");
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_counts_as_a_connection_until_it_ends() {
    let config = SimulatorConfig {
        api_keys: vec!["the-backends-own-key".into()],
        ..SimulatorConfig::default()
    };
    let backend = simulator::Simulator::start(config).await.unwrap();
    let world = Setup::before(&[backend.url()]).start().await;
    let mut socket = connect(&world, REALTIME, &[]).await;
    until(&mut socket, "session.created").await;
    assert_eq!((world.gateway.status().connections, world.gateway.status().in_flight), (1, 1));
    socket.close(None).await.unwrap();
    close_code(&mut socket).await;
    world.ended(1).await;
    let deadline = Instant::now() + LIMIT;
    while world.gateway.status().connections > 0 {
        assert!(Instant::now() < deadline, "the connection still counts");
        tokio::task::yield_now().await;
    }
}

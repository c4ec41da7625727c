//! WebSockets: the handshake, and the loop that passes messages between a client and a dialogue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::call::Reply;
use crate::config::LatencyModel;
use crate::entry;
use crate::failure::Failure;
use crate::fault::{Fault, Faults};
use crate::instance::Instance;
use crate::models::{self, Task};
use crate::realtime::Realtime;
use crate::responses_socket::ResponsesSocket;
use crate::route;
use crate::script::Script;
use crate::text::mix;

/// Longest message accepted: Azure's is 15 MiB of audio in an event.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// What the key stands behind in a subprotocol, as browsers send it.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// What is said on a WebSocket.
pub(crate) enum Dialogue {
    Realtime(Box<Realtime>),
    Responses(Box<ResponsesSocket>),
}

/// How a session goes wrong.
struct Troubles {
    cut_after: Option<u64>,
    stall: Option<Duration>,
    close: Option<u16>,
    malformed: bool,
}

/// A connection that became a WebSocket.
struct Session {
    instance: Arc<Instance>,
    dialogue: Dialogue,
    outbox: VecDeque<Value>,
    troubles: Troubles,
    latency: LatencyModel,
    sent_bytes: u64,
    sent: u64,
}

/// Whether a request asks for a WebSocket.
pub(crate) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    *request.method() == Method::GET
        && upgrade.is_some_and(|name| name.eq_ignore_ascii_case("websocket"))
}

/// Answers a handshake; the session begins once the answer has gone out.
pub(crate) fn accept(
    instance: &Arc<Instance>,
    head: &Parts,
    upgrade: OnUpgrade,
    faults: &Faults,
) -> Result<Reply, Failure> {
    if faults.has(&Fault::ResetBeforeHead) {
        return Err(Failure::reset());
    }
    if let Some((status, retry_after)) = faults.status() {
        return Err(Failure::of_status(status, retry_after));
    }
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| {
        Failure::bad_request("The header Sec-WebSocket-Key is missing from the handshake")
    })?;
    let query = route::query(head.uri.query().unwrap_or_default());
    let path = head.uri.path();
    let is_responses = path.ends_with("/responses");
    // Over HTTP the same path takes a POST.
    let method = if is_responses { Method::POST } else { Method::GET };
    let route = instance.table.route(&method, path, &query)?;
    entry::authenticate(instance, &with_credentials(&head.headers, &query), &route)?;
    let mut call = entry::call(instance, head, (method, route, query), faults);
    let dialogue = match call.route.segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["responses"] => {
            Dialogue::Responses(Box::new(ResponsesSocket::new(instance, head, call.route, faults)))
        }
        ["realtime"] => {
            // The path's deployment is that of the client's settings, the query's that of the call.
            let model = call.query("deployment").or(call.query("model")).map(str::to_owned);
            if model.is_some() {
                call.route.deployment = None;
            }
            let deployment = models::serve(&call, model.as_deref(), Task::Realtime)?;
            Dialogue::Realtime(Box::new(Realtime::new(&call, instance, deployment)))
        }
        _ => return Err(call.unknown()),
    };
    let session = Session {
        instance: instance.clone(),
        outbox: VecDeque::new(),
        dialogue,
        troubles: Troubles {
            cut_after: faults.cut_after(),
            stall: faults.stall(),
            close: faults.close(),
            malformed: faults.has(&Fault::MalformedJson),
        },
        latency: instance.config.latency,
        sent_bytes: 0,
        sent: 0,
    };
    instance.sessions.spawn(session.begin(upgrade));
    let mut reply = Reply::new("", Script::default())
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", &derive_accept_key(key.as_bytes()));
    if protocols(&head.headers).any(|name| name == "realtime") {
        reply = reply.header("sec-websocket-protocol", "realtime");
    }
    Ok(reply)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim)
}

/// The headers, with a key that stands in the query or a subprotocol.
fn with_credentials(headers: &HeaderMap, query: &[(String, String)]) -> HeaderMap {
    let mut headers = headers.clone();
    let of_query = query.iter().find(|(name, _)| {
        name.eq_ignore_ascii_case("api-key") || name.eq_ignore_ascii_case("authorization")
    });
    let of_query = of_query.map(|(_, value)| value.trim_start_matches("Bearer ").to_owned());
    let of_protocol = || protocols(&headers).find_map(|name| name.strip_prefix(KEY_PROTOCOL));
    let Some(key) = of_query.or_else(|| of_protocol().map(str::to_owned)) else { return headers };
    for (name, value) in [("api-key", key.clone()), ("authorization", format!("Bearer {key}"))] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
    headers
}

impl Session {
    async fn begin(mut self, upgrade: OnUpgrade) {
        let mut fault = self.instance.fault.subscribe();
        let stopping = self.instance.stopping.clone();
        let broken = fault.wait_for(|fault| matches!(fault, Some(Fault::Refuse | Fault::Reset)));
        tokio::select! {
            done = self.run(upgrade) => if let Err(error) = done {
                tracing::debug!(%error, "simulator's session ended");
            },
            () = stopping.cancelled() => {}
            _ = broken => {}
        }
    }

    async fn run(
        &mut self,
        upgrade: OnUpgrade,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let io = TokioIo::new(upgrade.await?);
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        self.outbox.extend(self.dialogue.greeting());
        loop {
            let Some(next) = self.outbox.front() else {
                let Some(message) = socket.next().await else { return Ok(()) };
                self.hear(message?);
                continue;
            };
            let is_delta = next["type"].as_str().is_some_and(|name| name.ends_with(".delta"));
            let pause = if is_delta { self.pause() } else { Duration::ZERO };
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause), if !pause.is_zero() => {}
                () = std::future::ready(()), if pause.is_zero() => {}
                message = socket.next() => {
                    let Some(message) = message else { return Ok(()) };
                    self.hear(message?);
                    continue;
                }
            }
            let Some(event) = self.outbox.pop_front() else { continue };
            if !self.say(&mut socket, &event, is_delta).await? {
                return Ok(());
            }
        }
    }

    fn pause(&mut self) -> Duration {
        let wait = self.latency.per_token(mix(self.sent, 0));
        wait + self.troubles.stall.take().unwrap_or_default()
    }

    fn hear(&mut self, message: Message) {
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Binary(_) => "",
            _ => return,
        };
        let answers = self.dialogue.hear(text, &mut self.outbox);
        self.outbox.extend(answers);
    }

    /// Sends one event; false once the connection is to be dropped.
    async fn say(
        &mut self,
        socket: &mut WebSocketStream<TokioIo<Upgraded>>,
        event: &Value,
        is_delta: bool,
    ) -> Result<bool, tokio_tungstenite::tungstenite::Error> {
        let mut text = event.to_string();
        if is_delta && std::mem::take(&mut self.troubles.malformed) {
            text.truncate(text.len() / 2);
        }
        self.sent += 1;
        self.sent_bytes += text.len() as u64;
        if self.troubles.cut_after.is_some_and(|cut| self.sent_bytes > cut) {
            return Ok(false);
        }
        socket.send(Message::text(text)).await?;
        let Some(code) = self.troubles.close.filter(|_| is_delta) else { return Ok(true) };
        let frame = CloseFrame { code: CloseCode::from(code), reason: "a simulated fault".into() };
        socket.close(Some(frame)).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok(false)
    }
}

impl Dialogue {
    fn greeting(&mut self) -> Vec<Value> {
        match self {
            Self::Realtime(realtime) => realtime.greeting(),
            Self::Responses(_) => Vec::new(),
        }
    }

    /// What is answered to a message; `outbox` is what is still to be said.
    fn hear(&mut self, text: &str, outbox: &mut VecDeque<Value>) -> Vec<Value> {
        match self {
            Self::Realtime(realtime) => realtime.hear(text, outbox),
            Self::Responses(responses) => responses.hear(text),
        }
    }
}

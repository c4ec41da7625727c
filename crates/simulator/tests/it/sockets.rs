//! Realtime sessions and responses over WebSockets, with a client of another make.

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use simulator::{Fault, Simulator, SimulatorConfig};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{post, start, start_with};

struct Socket {
    stream: WebSocketStream<TcpStream>,
    protocol: Option<String>,
}

async fn connect(
    simulator: &Simulator,
    target: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let url = format!("ws://{}{target}", simulator.addr());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let tcp = TcpStream::connect(simulator.addr()).await.unwrap();
    let (stream, answer) = tokio_tungstenite::client_async(request, tcp).await?;
    let protocol = answer.headers().get("sec-websocket-protocol");
    let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
    Ok(Socket { stream, protocol })
}

impl Socket {
    async fn say(&mut self, event: Value) {
        self.stream.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// All events up to the one of this name.
    async fn until(&mut self, name: &str) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.hear().await {
            let is_last = event["type"] == name;
            events.push(event);
            if is_last {
                return events;
            }
        }
        panic!("it ended before {name}: {events:?}");
    }
}

/// Names in order, each with how often it came.
fn names(events: &[Value]) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for event in events {
        *names.entry(event["type"].as_str().unwrap()).or_default() += 1;
    }
    names
}

fn user(text: &str) -> Value {
    json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}})
}

#[tokio::test]
async fn a_realtime_session_answers_in_text() {
    let simulator = start("realtime").await;
    let headers = [("x-sim-tokens", "7"), ("authorization", "Bearer k")];
    let mut socket =
        connect(&simulator, "/openai/v1/realtime?model=gpt-realtime", &headers).await.unwrap();
    let created = socket.hear().await.unwrap();
    assert_eq!(created["type"], "session.created");
    assert_eq!(created["session"]["model"], "gpt-realtime");
    let session =
        json!({"type": "realtime", "output_modalities": ["text"], "instructions": "Be brief."});
    socket.say(json!({"type": "session.update", "session": session})).await;
    assert_eq!(socket.hear().await.unwrap()["session"]["instructions"], "Be brief.");
    socket.say(user("Hello")).await;
    socket.say(json!({"type": "response.create"})).await;
    let events = socket.until("response.done").await;
    let seen = names(&events);
    assert_eq!(seen["response.output_text.delta"], 7);
    assert_eq!((seen["conversation.item.added"], seen["response.created"]), (2, 1));
    assert!(!seen.contains_key("response.output_audio.delta"));
    let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"][0]["content"][0]["text"], deltas.as_str());
    assert_eq!(response["usage"]["output_tokens"], 7);
    assert!(response["usage"]["input_tokens"].as_u64().unwrap() > 3);
    socket.until("rate_limits.updated").await;
    socket.stream.close(None).await.unwrap();
    assert!(socket.hear().await.is_none());
}

#[tokio::test]
async fn the_older_dialect_speaks_what_was_spoken_to_it() {
    let simulator = start("preview").await;
    let target =
        "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-4o-realtime-preview";
    let mut socket = connect(&simulator, target, &[("x-sim-tokens", "4")]).await.unwrap();
    socket.until("session.created").await;
    let settings = json!({"input_audio_transcription": {"model": "whisper-1"}});
    socket.say(json!({"type": "session.update", "session": settings})).await;
    socket.say(json!({"type": "input_audio_buffer.append", "audio": "?"})).await;
    assert_eq!(socket.until("error").await.last().unwrap()["error"]["code"], "invalid_value");
    let second = "AAAA".repeat(16_000);
    socket.say(json!({"type": "input_audio_buffer.append", "audio": second})).await;
    socket.say(json!({"type": "input_audio_buffer.commit"})).await;
    let heard = socket.until("conversation.item.input_audio_transcription.completed").await;
    assert_eq!(names(&heard)["conversation.item.created"], 1);
    assert_eq!(heard.last().unwrap()["usage"]["seconds"], 1.0);
    socket.say(json!({"type": "response.create"})).await;
    let events = socket.until("response.done").await;
    let seen = names(&events);
    assert_eq!((seen["response.audio.delta"], seen["response.audio_transcript.delta"]), (4, 4));
    let usage = &events.last().unwrap()["response"]["usage"];
    assert_eq!(usage["input_token_details"]["audio_tokens"], 10);
    assert_eq!(usage["output_token_details"], json!({"text_tokens": 4, "audio_tokens": 8}));
}

#[tokio::test]
async fn tools_are_called_and_mistakes_are_named() {
    let simulator = start("tools").await;
    let mut socket = connect(&simulator, "/v1/realtime?model=gpt-realtime", &[]).await.unwrap();
    socket.until("session.created").await;
    let tool = json!({"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}});
    socket.say(json!({"type": "session.update", "session": {"tools": [tool]}})).await;
    socket.say(user("How is the weather?")).await;
    socket.say(json!({"type": "response.create"})).await;
    let events = socket.until("response.done").await;
    let item = &events.last().unwrap()["response"]["output"][0];
    assert_eq!((&item["type"], &item["name"]), (&json!("function_call"), &json!("get_weather")));
    for (event, code) in [
        (json!({"type": "response.cancel", "event_id": "mine"}), "response_cancel_not_active"),
        (json!({"type": "input_audio_buffer.commit"}), "input_audio_buffer_commit_empty"),
        (json!({"type": "conversation.item.delete", "item_id": "no"}), "item_not_found"),
        (json!({"type": "telepathy"}), "invalid_value"),
        (json!([1]), "invalid_json"),
    ] {
        let sent_id = event["event_id"].clone();
        socket.say(event).await;
        let error = socket.until("error").await.pop().unwrap();
        assert_eq!(
            (&error["error"]["code"], &error["error"]["event_id"]),
            (&json!(code), &sent_id)
        );
    }
}

#[tokio::test]
async fn a_running_answer_can_be_cancelled() {
    let mut config = SimulatorConfig { name: "slow".into(), ..SimulatorConfig::default() };
    config.latency.per_token_ms = 10_000.0;
    let simulator = start_with(config).await;
    let mut socket = connect(&simulator, "/v1/realtime?model=gpt-realtime", &[]).await.unwrap();
    socket.until("session.created").await;
    socket.say(json!({"type": "response.create"})).await;
    socket.until("response.content_part.added").await;
    socket.say(json!({"type": "response.create"})).await;
    socket.say(json!({"type": "response.cancel"})).await;
    let events = socket.until("response.done").await;
    let codes: Vec<&Value> = events.iter().map(|event| &event["error"]["code"]).collect();
    assert!(codes.contains(&&json!("conversation_already_has_active_response")), "{events:?}");
    assert_eq!(events.last().unwrap()["response"]["status"], "cancelled");
}

#[tokio::test]
async fn the_same_session_gives_the_same_events() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let simulator = start("twin").await;
        let mut socket = connect(&simulator, "/v1/realtime?model=gpt-realtime", &[]).await.unwrap();
        socket.say(user("Once more")).await;
        socket.say(json!({"type": "response.create"})).await;
        seen.push(socket.until("rate_limits.updated").await);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn responses_are_made_over_a_socket() {
    let simulator = start("responses").await;
    let mut socket = connect(&simulator, "/openai/v1/responses", &[]).await.unwrap();
    socket.say(json!({"type": "response.create", "model": "gpt-4o", "input": "hi"})).await;
    let events = socket.until("response.completed").await;
    assert_eq!(events[0]["type"], "response.created");
    let id = events.last().unwrap()["response"]["id"].clone();
    socket.say(json!({"type": "response.create", "model": "gpt-4o", "input": "on", "previous_response_id": id})).await;
    let events = socket.until("response.completed").await;
    assert_eq!(events.last().unwrap()["response"]["previous_response_id"], id);
    socket.say(json!({"type": "response.create", "model": "none", "input": "hi"})).await;
    let error = socket.until("error").await.pop().unwrap();
    assert_eq!(
        (&error["status"], &error["error"]["code"]),
        (&json!(404), &json!("DeploymentNotFound"))
    );
}

#[tokio::test]
async fn sessions_go_wrong_on_demand() {
    let simulator = start("faults").await;
    let target = "/v1/realtime?model=gpt-realtime";
    let refused =
        connect(&simulator, target, &[("x-sim-fault", "status=429;retry-after-ms=5")]).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 429));
    let wrong = connect(&simulator, "/v1/realtime?model=gpt-4o", &[]).await;
    assert!(matches!(wrong, Err(Error::Http(answer)) if answer.status() == 400));
    let mut socket = connect(&simulator, target, &[("x-sim-fault", "close=1011")]).await.unwrap();
    socket.say(json!({"type": "response.create"})).await;
    let mut closed = None;
    while let Some(Ok(message)) = socket.stream.next().await {
        if let Message::Close(Some(frame)) = message {
            closed = Some(u16::from(frame.code));
        }
    }
    assert_eq!(closed, Some(1011));
    let mut socket =
        connect(&simulator, target, &[("x-sim-fault", "cut-after=2000")]).await.unwrap();
    socket.say(json!({"type": "response.create"})).await;
    let mut last = None;
    while let Some(event) = socket.hear().await {
        last = Some(event);
    }
    assert_ne!(last.unwrap()["type"], "response.done");
    let mut socket = connect(&simulator, target, &[]).await.unwrap();
    socket.until("session.created").await;
    simulator.set_fault(Some(Fault::Reset));
    assert!(socket.hear().await.is_none(), "the connection breaks");
}

#[tokio::test]
async fn keys_are_found_wherever_a_browser_puts_them() {
    let api_keys = vec!["k".to_owned()];
    let simulator = start_with(SimulatorConfig { api_keys, ..SimulatorConfig::default() }).await;
    let azure = "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-realtime";
    let with_key = format!("{azure}&api-key=k");
    let protocols = "realtime, openai-insecure-api-key.k";
    type Check<'a> = (&'a str, &'a [(&'static str, &'a str)], Option<&'a str>);
    let checks: [Check<'_>; 4] = [
        (&with_key, &[("sec-websocket-protocol", "realtime")], Some("realtime")),
        (
            "/v1/realtime?model=gpt-realtime",
            &[("sec-websocket-protocol", protocols)],
            Some("realtime"),
        ),
        (azure, &[("api-key", "k")], None),
        ("/openai/v1/realtime?model=gpt-realtime", &[("authorization", "Bearer k")], None),
    ];
    for (target, headers, protocol) in checks {
        let socket = connect(&simulator, target, headers).await.unwrap();
        assert_eq!(socket.protocol.as_deref(), protocol, "{target}");
    }
    let refused = connect(&simulator, azure, &[]).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 401));
}

#[tokio::test]
async fn secrets_for_browsers_are_minted() {
    let simulator = start("secrets").await;
    let body = json!({"session": {"type": "realtime", "model": "gpt-realtime"}});
    for path in ["/openai/v1/realtime/client_secrets", "/v1/realtime/client_secrets"] {
        let minted = post(&simulator, path, body.clone()).await.json();
        assert!(minted["value"].as_str().unwrap().starts_with("ek_"), "{minted}");
        assert_eq!(minted["session"]["model"], "gpt-realtime");
    }
    let body = json!({"model": "gpt-4o-realtime-preview"});
    let path = "/openai/realtimeapi/sessions?api-version=2025-04-01-preview";
    let minted = post(&simulator, path, body.clone()).await.json();
    assert!(minted["client_secret"]["value"].is_string(), "{minted}");
    let path = "/v1/realtime/transcription_sessions";
    let minted = post(&simulator, path, json!({})).await.json();
    assert_eq!(minted["object"], "realtime.transcription_session");
}

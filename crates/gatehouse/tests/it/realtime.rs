//! A realtime session and the Responses API over WebSocket, through the whole system.

use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::support::{PATIENCE, System};

struct Session(WebSocket<TcpStream>);

impl Session {
    fn open(system: &System, target: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut request =
            format!("ws://{}{target}", system.address).into_client_request().expect("a URL");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(system.address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(tungstenite::client(request, stream).expect("it is connected").0)
    }

    fn say(&mut self, event: &Value) {
        self.0.send(Message::text(event.to_string())).expect("sent");
    }

    fn until(&mut self, name: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let Message::Text(text) = self.0.read().expect("something comes") else { continue };
            let event: Value = serde_json::from_str(&text).expect("JSON");
            let is_last = event["type"] == name;
            events.push(event);
            if is_last {
                return events;
            }
        }
    }

    fn close(mut self) {
        self.0.close(None).expect("closing");
        while self.0.read().is_ok() {}
    }
}

/// A spoken question and four written ones; what the server said.
fn talk(mut session: Session, sound: &str) -> Vec<Value> {
    let mut heard = session.until("session.created");
    let settings = json!({"instructions": "Speak like a tide table.", "audio": {"input": {"transcription": {"model": "whisper-1"}}}});
    session.say(&json!({"type": "session.update", "session": settings}));
    heard.extend(session.until("session.updated"));
    session.say(&json!({"type": "input_audio_buffer.append", "audio": sound}));
    session.say(&json!({"type": "input_audio_buffer.commit"}));
    heard.extend(session.until("conversation.item.input_audio_transcription.completed"));
    for turn in 0..4 {
        let text = format!("when is high water, turn {turn}?");
        session.say(&json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}}));
        session.say(&json!({"type": "response.create"}));
        heard.extend(session.until("rate_limits.updated"));
    }
    session.close();
    heard
}

#[test]
fn a_realtime_session_of_a_thousand_frames_is_found_with_its_words_and_its_cost() {
    let system = System::demo();
    let target = "/openai/v1/realtime?model=gpt-realtime";
    let headers = [("api-key", system.key.as_str()), ("x-sim-tokens", "150")];
    let sound = "AAAA".repeat(16_000);
    let heard = talk(Session::open(&system, target, &headers), &sound);
    assert!(heard.len() > 1_200, "{}", heard.len());
    let used = |name: &str| -> i64 {
        let done = heard.iter().filter(|event| event["type"] == "response.done");
        done.map(|event| {
            event["response"]["usage"].pointer(name).and_then(Value::as_i64).expect("told")
        })
        .sum()
    };
    let row = system.row("Interactions | where Kind == 'realtime'");
    assert_eq!(
        (row["ResponseCode"].as_i64(), row["OperationId"].as_str()),
        (Some(101), Some("onHandshake"))
    );
    assert_eq!(
        (row["StreamOutcome"].as_str(), row["IsRequestSuccess"].as_bool()),
        (Some("complete"), Some(true))
    );
    for (column, member) in [
        ("PromptTokens", "/input_tokens"),
        ("CompletionTokens", "/output_tokens"),
        ("TotalTokens", "/total_tokens"),
        ("AudioPromptTokens", "/input_token_details/audio_tokens"),
        ("AudioCompletionTokens", "/output_token_details/audio_tokens"),
    ] {
        assert_eq!(row[column].as_i64(), Some(used(member)), "{column}");
    }
    assert!(row["CostUsd"].as_str().is_some_and(|cost| cost > "0.0"), "{row}");
    let bodies = system.row(
        "Interactions | where Kind == 'realtime' \
         | project Client = array_length(parse_json(RequestBody)), Server = array_length(parse_json(ResponseBody)), \
           Closed = toint(parse_json(RequestParameters).close_code), Sound = tostring(parse_json(RequestBody)[1].audio)",
    );
    assert_eq!(
        (bodies["Client"].as_u64(), bodies["Server"].as_u64()),
        (Some(11), Some(heard.len() as u64))
    );
    assert_eq!(bodies["Sound"], sound);
    assert_eq!(bodies["Closed"], 1005, "the client gave no code");
    let messages =
        system.rows("Messages | where Kind == 'realtime' | sort by SequenceNumber asc", 10);
    let said: Vec<(&str, &str)> = messages
        .iter()
        .map(|row| {
            (
                row["Role"].as_str().unwrap_or_default(),
                row["ContentType"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let turn = [("user", "text"), ("assistant", "transcript")];
    let expected =
        [&[("system", "instructions"), ("user", "transcript")][..], &turn, &turn, &turn, &turn]
            .concat();
    assert_eq!(said, expected);
    assert!(
        messages.iter().all(|row| !row["Content"].as_str().unwrap_or_default().contains("AAAA"))
    );
    let log = system.rows("ApiManagementGatewayLlmLog | where TotalTokens > 0", 1);
    assert_eq!(log[0]["TotalTokens"].as_i64(), Some(used("/total_tokens")));
    assert!(system.verify().status.success());
}

#[test]
fn responses_over_a_websocket_are_one_interaction() {
    let system = System::demo();
    let bearer = format!("Bearer {}", system.key);
    let mut session = Session::open(&system, "/v1/responses", &[("authorization", &bearer)]);
    for text in ["socket one", "socket two"] {
        session.say(&json!({"type": "response.create", "model": "gpt-4o", "input": text}));
        session.until("response.completed");
    }
    session.close();
    let row = system.row("Interactions | where OperationId == 'Create_Response'");
    assert_eq!(
        (row["Kind"].as_str(), row["DeploymentName"].as_str()),
        (Some("chat"), Some("gpt-4o"))
    );
    assert!(row["TotalTokens"].as_i64() > Some(10), "{row}");
    let parts = system.rows("Messages | where Content startswith 'socket' | project Content", 2);
    assert_eq!(parts.len(), 2);
}

//! WebSocket sessions: their rows, however their messages were cut, and in bounded memory.

use std::time::Instant;

use bytes::Bytes;
use event::{
    Closed, Frame, Interaction, Message, MessageChunk, Opcode, Outcome, Record, SessionEnd, Side,
    Timestamp,
};
use serde_json::{Value, json};

use crate::PipelineConfig;
use crate::tests::sink::MemorySink;
use crate::tests::story::{START_MICROS, Story, entry, line, run, run_with, told};

/// What passes: `>` from the client, `<` from the backend.
type Said<'a> = (char, Opcode, &'a [u8]);

fn story() -> Story {
    let url = "wss://gw.example/openai/v1/realtime?model=gpt-realtime";
    let mut story =
        Story::of("realtime", "websocket", "onHandshake", url).ends(Outcome::Complete, 101);
    story.opened.method = "GET".into();
    story.opened.target.deployment = "my-realtime".into();
    story.closed.session = Some(SessionEnd {
        close_code: 1000,
        close_reason: "bye".into(),
        closed_by: "client".into(),
        client_messages: 4,
        server_messages: 5,
    });
    story
}

/// The frames of a session whose messages were cut into pieces of this size.
fn frames(story: &Story, said: &[Said<'_>], size: usize) -> Vec<Frame> {
    let mut frames = story.frames();
    let closed = frames.pop().expect("a story ends");
    for (side, opcode, data) in said {
        let side = if *side == '>' { Side::Request } else { Side::Response };
        let pieces: Vec<&[u8]> =
            if data.is_empty() { vec![&[][..]] } else { data.chunks(size).collect() };
        for (at, piece) in pieces.iter().enumerate() {
            let chunk = MessageChunk {
                side,
                at: Timestamp::from_unix_micros(START_MICROS + 5_000),
                opcode: *opcode,
                is_start: at == 0,
                is_end: at + 1 == pieces.len(),
                data: Bytes::copy_from_slice(piece),
            };
            frames.push(Record::MessageChunk(chunk).encode(story.id));
        }
    }
    frames.push(closed);
    frames
}

fn only(sink: &MemorySink) -> (Interaction, Vec<Message>) {
    let mut rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    (rows.remove(0), sink.messages())
}

const TALK: [Said<'static>; 12] = [
    ('<', Opcode::Text, br#"{"type":"session.created","session":{"id":"sess_1","model":"gpt-realtime"}}"#),
    ('>', Opcode::Text, br#"{"type":"session.update","session":{"instructions":"Rhyme.","voice":"marin"}}"#),
    ('>', Opcode::Ping, b"are you there"),
    ('<', Opcode::Pong, b"are you there"),
    ('>', Opcode::Text, br#"{"type":"input_audio_buffer.append","audio":"UklGRg=="}"#),
    ('>', Opcode::Binary, b"\x00\xff\x10\x20"),
    ('>', Opcode::Text, b"this is no JSON"),
    ('<', Opcode::Text, br#"{"type":"error","error":{"code":"invalid_json","message":"no JSON"}}"#),
    ('<', Opcode::Text, br#"{"type":"conversation.item.input_audio_transcription.completed","transcript":"Good morning"}"#),
    ('<', Opcode::Text, br#"{"type":"response.output_audio.delta","delta":"AAAA"}"#),
    ('<', Opcode::Text, br#"{"type":"response.done","response":{"id":"resp_1","status":"completed","output":[{"id":"item_1","type":"message","role":"assistant","content":[{"type":"output_audio","transcript":"Fine dawning"}]}],"usage":{"total_tokens":80,"input_tokens":50,"output_tokens":30,"input_token_details":{"audio_tokens":40,"cached_tokens":10},"output_token_details":{"audio_tokens":25}}}}"#),
    ('<', Opcode::Close, b"\x03\xe8bye"),
];

#[test]
fn a_session_is_one_row_with_what_was_said_however_it_was_cut() {
    let story = story();
    let mut seen = Vec::new();
    for size in [1, 7, 64, 1 << 20] {
        let sink = run(frames(&story, &TALK, size));
        let (row, messages) = only(&sink);
        assert_eq!(
            told(&sink, &messages),
            [
                "prompt system instructions: Rhyme.",
                "prompt user transcript: Good morning",
                "completion assistant transcript: Fine dawning",
            ]
        );
        assert_eq!((row.kind.as_str(), row.response_code), ("realtime", 101));
        assert!(row.is_request_success && row.is_stream_completion);
        assert_eq!(row.stream_outcome, "complete");
        assert_eq!(
            (row.prompt_tokens, row.completion_tokens, row.total_tokens),
            (Some(50), Some(30), Some(80))
        );
        assert_eq!(
            (row.cached_tokens, row.audio_prompt_tokens, row.audio_completion_tokens),
            (Some(10), Some(40), Some(25))
        );
        assert!(row.cost_usd.is_some_and(|cost| cost.0 > 0), "{row:?}");
        assert_eq!((row.model_name.as_str(), row.request_id.as_str()), ("gpt-realtime", "sess_1"));
        assert_eq!(row.last_error_reason, "invalid_json");
        let client: Vec<Value> =
            serde_json::from_str(&sink.text(&row.request_body)).expect("a list");
        assert_eq!(client.len(), 4);
        assert_eq!(client[0]["session"]["voice"], "marin");
        assert_eq!(client[1]["audio"], "UklGRg==");
        assert_eq!(client[2], json!({"base64": "AP8QIA=="}));
        assert_eq!(client[3], "this is no JSON");
        let server: Vec<Value> =
            serde_json::from_str(&sink.text(&row.response_body)).expect("a list");
        assert_eq!(server.len(), 5);
        let parameters: Value = serde_json::from_str(&row.request_parameters.0).expect("JSON");
        assert_eq!(parameters["session"], json!({"voice": "marin"}));
        assert_eq!(
            (&parameters["close_code"], &parameters["closed_by"]),
            (&json!(1000), &json!("client"))
        );
        seen.push(Interaction { ledger_sequence: 0, ..row });
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_session_that_a_crash_left_open_holds_what_came() {
    let mut story = story();
    let at = story.closed.closed_at;
    let outcome = Outcome::Interrupted;
    story.closed = Closed { closed_at: at, outcome, ..Closed::default() };
    let mut all = frames(&story, &TALK[..2], 10);
    // The last message was cut.
    let last = all.len() - 2;
    all.remove(last);
    let sink = run(all);
    let (row, messages) = only(&sink);
    assert!(messages.is_empty(), "half a message says nothing");
    let body = sink.text(&row.request_body);
    assert!(body.contains("session.update"), "{body}");
    assert_eq!(
        (row.outcome.as_str(), row.stream_outcome.as_str()),
        ("interrupted", "gateway_abort")
    );
}

#[test]
fn a_message_too_long_for_memory_is_kept_whole_and_said_to_be_unsearched() {
    let config = PipelineConfig {
        body_memory_bytes_max: 2_000,
        inline_bytes_max: 500,
        extract_bytes_max: 1_024,
        ..PipelineConfig::default()
    };
    let long =
        format!(r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#, "QUJD".repeat(2_000));
    let bytes: Vec<u8> = (0..5_000u32).map(|byte| byte as u8).collect();
    let said = [
        ('>', Opcode::Text, long.as_bytes()),
        ('>', Opcode::Binary, &bytes[..]),
        (
            '>',
            Opcode::Text,
            &br#"{"type":"response.create","response":{"instructions":"Go on."}}"#[..],
        ),
    ];
    let sink = run_with(config, frames(&story(), &said, 100));
    let (row, messages) = only(&sink);
    assert_eq!(told(&sink, &messages), ["prompt system instructions: Go on."]);
    assert_eq!(row.last_error_reason, "MessageTooLong");
    let client: Vec<Value> = serde_json::from_str(&sink.text(&row.request_body)).expect("a list");
    assert_eq!(client[0], serde_json::from_str::<Value>(&long).expect("JSON"));
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &bytes);
    assert_eq!(client[1], json!({ "base64": encoded }));
    assert_eq!(client.len(), 3);
}

#[test]
fn memory_stays_flat_however_long_a_session_is() {
    let config = PipelineConfig {
        body_memory_bytes_max: 16 << 10,
        inline_bytes_max: 1 << 10,
        memory_bytes_max: 256 << 10,
        ..PipelineConfig::default()
    };
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut line = line(&sink, config, work_dir.path());
    let story = story();
    let mut all = story.frames();
    let closed = all.pop().expect("a story ends");
    let audio = format!(r#"{{"type":"response.audio.delta","delta":"{}"}}"#, "QUJD".repeat(1_000));
    let item = r#"{"type":"conversation.item.create","item":{"role":"user","content":[{"type":"input_text","text":"one more line of talk"}]}}"#;
    let mut sequence = 0;
    let mut take = |frame: Frame| {
        sequence += 1;
        line.take(entry(sequence, frame), Instant::now()).expect("taken");
    };
    all.into_iter().for_each(&mut take);
    let message = |side, text: &str| {
        let chunk = MessageChunk {
            side,
            at: Timestamp::from_unix_micros(START_MICROS),
            opcode: Opcode::Text,
            is_start: true,
            is_end: true,
            data: Bytes::copy_from_slice(text.as_bytes()),
        };
        Record::MessageChunk(chunk).encode(story.id)
    };
    for _ in 0..3_000 {
        take(message(Side::Response, &audio));
        take(message(Side::Request, item));
    }
    take(closed);
    line.flush().expect("written");
    assert!(line.memory_highest() <= 256 << 10, "{}", line.memory_highest());
    let (row, messages) = only(&sink);
    assert_eq!(messages.len(), 3_000);
    assert_eq!(row.response_body_bytes, 3_000 * (audio.len() as i64 + 2));
}

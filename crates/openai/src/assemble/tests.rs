//! Cases of `assemble`.

use std::path::PathBuf;

use serde_json::json;

use super::*;

/// Streams as they come over the wire, and what kind of answer they are.
const STREAMS: [(&str, Kind, &str); 22] = [
    ("chat-azure", Kind::Chat, "chat"),
    ("chat-openai-tools", Kind::Chat, "chat"),
    ("chat-two-choices", Kind::Chat, "chat"),
    ("chat-async-filter", Kind::Chat, "chat"),
    ("chat-audio", Kind::Chat, "chat"),
    ("chat-cut", Kind::Chat, "chat"),
    ("chat-error", Kind::Chat, "chat"),
    ("chat-odd", Kind::Chat, "chat"),
    ("completion", Kind::Completion, "completion"),
    ("responses-plain", Kind::Chat, "responses"),
    ("responses-cut", Kind::Chat, "responses"),
    ("responses-failed", Kind::Chat, "responses"),
    ("responses-error", Kind::Chat, "responses"),
    ("assistants-run", Kind::Assistants, "run"),
    ("assistants-cut", Kind::Assistants, "run"),
    ("assistants-tool", Kind::Assistants, "run"),
    ("transcription", Kind::SpeechToText, "transcribe"),
    ("transcription-cut", Kind::SpeechToText, "transcribe"),
    ("speech", Kind::TextToSpeech, "speech"),
    ("images", Kind::Image, "generate"),
    ("other", Kind::Other, "eval"),
    ("empty", Kind::Chat, "chat"),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/streams")
}

fn assemble(kind: Kind, subkind: &str, stream: &[u8], size: usize) -> Assembled {
    let mut assembler = StreamAssembler::new(kind, subkind);
    for piece in stream.chunks(size.max(1)) {
        assembler.push(piece);
    }
    assembler.finish()
}

fn shown(assembled: &Assembled) -> String {
    let shown = json!({
        "body": assembled.body,
        "has_usage": assembled.has_usage,
        "terminated": format!("{:?}", assembled.terminated),
        "error": assembled.error,
        "events": assembled.events,
        "malformed_events": assembled.malformed_events,
        "truncated": assembled.truncated,
    });
    serde_json::to_string_pretty(&shown).expect("it is JSON") + "\n"
}

/// Every stream gives the answer beside it, whatever the pieces. `UPDATE_EXPECT=1` rewrites the answers.
#[test]
fn streams_become_the_answers_they_stand_for() {
    for (name, kind, subkind) in STREAMS {
        let stream = std::fs::read(folder().join(format!("{name}.sse"))).expect("the stream");
        let whole = assemble(kind, subkind, &stream, usize::MAX);
        let expected = folder().join(format!("{name}.json"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, shown(&whole)).expect("the answer can be written");
        }
        let expected = std::fs::read_to_string(expected).expect("the answer");
        assert_eq!(shown(&whole), expected, "{name}");
        for size in (1..40).chain([100, 1000]) {
            assert_eq!(assemble(kind, subkind, &stream, size), whole, "{name} in pieces of {size}");
        }
    }
}

/// Chunks are joined as if each were parsed, whether or not it is like the one before.
#[test]
fn chunks_that_differ_in_their_text_alone_add_up_as_others_do() {
    let chunk = |delta: &str, rest: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}}{rest}}}],\"id\":\"a\"}}\n\n"
        )
    };
    let message = |deltas: &[(&str, &str)]| {
        let stream: String = deltas.iter().map(|(delta, rest)| chunk(delta, rest)).collect();
        let assembled = assemble(Kind::Chat, "chat", stream.as_bytes(), usize::MAX);
        assert_eq!(assembled.malformed_events, 0, "{stream}");
        assembled.body["choices"][0].clone()
    };
    let text = |text| (text, "");
    let plain = message(&[
        text(r#""content":"a""#),
        text(r#""content":"""#),
        text(r#""content":"é""#),
        text(r#""content":"\n\"""#),
        text(r#""content":"b","content":"c""#),
        text(r#""content":"d""#),
    ]);
    assert_eq!(plain["message"]["content"], "aé\n\"cd");
    let refused = r#""content":"x","refusal":"no""#;
    assert_eq!(message(&[text(refused), text(refused)])["message"]["refusal"], "nono");
    let logprobs = (r#""content":"x""#, r#","logprobs":{"content":[1]}"#);
    assert_eq!(message(&[logprobs, logprobs])["logprobs"]["content"], json!([1, 1]));
    let other = r#""content":"x","audio":{"data":"y"}"#;
    assert_eq!(message(&[text(other), text(other)])["message"]["audio"]["data"], "yy");
}

#[test]
fn a_stream_cut_anywhere_never_fails() {
    for (name, kind, subkind) in STREAMS {
        let stream = std::fs::read(folder().join(format!("{name}.sse"))).expect("the stream");
        let whole = assemble(kind, subkind, &stream, usize::MAX);
        for end in (0..stream.len()).step_by(5) {
            let cut = assemble(kind, subkind, &stream[..end], usize::MAX);
            assert!(cut.events <= whole.events, "{name} cut at {end}");
            assert!(cut.body.is_object(), "{name} cut at {end}");
        }
    }
}

#[test]
fn every_stream_survives_an_assembler_of_another_kind() {
    for (name, _, _) in STREAMS {
        let stream = std::fs::read(folder().join(format!("{name}.sse"))).expect("the stream");
        for (_, kind, subkind) in STREAMS {
            assert!(assemble(kind, subkind, &stream, 77).body.is_object(), "{name} as {kind}");
        }
    }
}

#[test]
fn text_over_the_limit_is_left_out_and_told() {
    let mut assembler = StreamAssembler::with_limit(Kind::Chat, "chat", 8);
    for text in ["12345", "678", "9"] {
        let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]});
        assembler.push(format!("data: {chunk}\n\n").as_bytes());
    }
    let assembled = assembler.finish();
    assert!(assembled.truncated);
    assert_eq!(assembled.body["choices"][0]["message"]["content"], "12345678");
}

#[test]
fn a_whole_message_at_the_end_does_not_replace_what_passed() {
    let mut assembler = StreamAssembler::new(Kind::Chat, "chat");
    let first = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "passed"}}]});
    let last = json!({"id": "c", "choices": [
        {"index": 0, "delta": {}, "message": {"content": "other"}, "finish_reason": "stop"}
    ]});
    assembler.push(format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n").as_bytes());
    let assembled = assembler.finish();
    assert_eq!(assembled.body["choices"][0]["message"]["content"], "passed");
    assert_eq!(assembled.terminated, Terminated::Done);
}

#[test]
fn a_huge_event_is_dropped_and_told() {
    let mut assembler = StreamAssembler::new(Kind::Image, "generate");
    let big = vec![b'x'; 1 << 20];
    assembler.push(b"event: image_generation.completed\ndata: {\"b64_json\":\"");
    for _ in 0..17 {
        assembler.push(&big);
    }
    assembler
        .push(b"\"}\n\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"eA==\"}\n\n");
    let assembled = assembler.finish();
    assert_eq!((assembled.oversized_events, assembled.truncated), (1, true));
    assert_eq!(assembled.body["data"].as_array().map(Vec::len), Some(1));
}

//! Bodies of every size, shape and encoding.

use std::io::Write;
use std::time::Instant;

use event::{BodyChunk, BodyText, Outcome, Record, Side};
use sha2::{Digest, Sha256};

use crate::PipelineConfig;
use crate::body::hexadecimal;
use crate::tests::sink::MemorySink;
use crate::tests::story::{
    Story, add_header, chat_stream, entries, entry, headers, line, one, run_with, told,
};

/// JSON of exactly this size, with characters of several bytes in it.
fn prompt_of(bytes: usize) -> String {
    let (head, tail) = (r#"{"messages":[{"role":"user","content":"€"#, r#""}]}"#);
    let filler = "abcdefghij klmnop ".chars().cycle().take(bytes - head.len() - tail.len());
    format!("{head}{}{tail}", filler.collect::<String>())
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

#[test]
fn prompts_of_all_sizes_come_back_byte_for_byte() {
    for bytes in [1_000, 8_193, 201_000, (2 << 20) + 1, 64 << 20] {
        let body = prompt_of(bytes);
        assert_eq!(body.len(), bytes);
        let story = Story::chat(1).asks(&body).in_pieces(65_521);
        let (row, messages, sink) = one(&story);
        assert!(sink.bytes(&row.request_body) == body.as_bytes(), "{bytes} bytes differ");
        assert_eq!(row.request_body_sha256, sha256(&body));
        assert_eq!(row.request_body_bytes, bytes as i64);
        let is_inline = matches!(row.request_body, BodyText::Inline(_));
        assert_eq!(is_inline, bytes <= 64 << 10);
        if bytes <= 16 << 20 {
            assert!(told(&sink, &messages)[0].starts_with("prompt user text: €abcdefghij"));
        } else {
            assert!(row.request_parameters.0.contains("not_extracted"));
            assert_eq!(told(&sink, &messages), ["completion assistant text: Hi there"]);
        }
    }
}

#[test]
fn memory_stays_flat_however_long_bodies_are() {
    let config = PipelineConfig { memory_bytes_max: 3 << 20, ..PipelineConfig::default() };
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut line = line(&sink, config, work_dir.path());
    let opened = Story::chat(1).frames().remove(0);
    let closed = Story::chat(1).frames().pop().expect("it ends");
    let piece = Record::BodyChunk(BodyChunk {
        side: Side::Request,
        data: bytes::Bytes::from(vec![b'x'; 1 << 20]),
    });
    // Others that are open at the same time take the rest of the budget.
    let mut frames: Vec<_> = (2..12)
        .flat_map(|n| {
            let frames = Story::chat(n).asks("y".repeat(900_000)).frames();
            frames[..2].to_vec()
        })
        .collect();
    frames.push(opened);
    for entry in entries(frames) {
        line.take(entry, Instant::now()).expect("it is taken");
    }
    for sequence in 100..356 {
        let frame = piece.clone().encode(Story::chat(1).id);
        line.take(entry(sequence, frame), Instant::now()).expect("it is taken");
        assert!(line.memory_highest() <= 3 << 20);
    }
    line.take(entry(356, closed), Instant::now()).expect("it is taken");
    line.flush().expect("it is written");
    let rows = sink.interactions();
    assert_eq!(rows[0].request_body_bytes, 256 << 20);
    assert_eq!(sink.bytes(&rows[0].request_body).len(), 256 << 20);
    assert!(line.memory_highest() > 1 << 20, "the budget was used");
}

#[test]
fn a_stream_is_held_as_what_it_says_not_as_it_came() {
    let prompt = prompt_of(4_000);
    let story = Story::chat(1).asks(&prompt).answers("text/event-stream", chat_stream());
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut line = line(&sink, PipelineConfig::default(), work_dir.path());
    for entry in entries(story.in_pieces(200).frames()) {
        line.take(entry, Instant::now()).expect("it is taken");
    }
    assert!(chat_stream().len() > 3 * 200, "the answer has more pieces than one");
    assert_eq!(
        line.memory_highest(),
        4_000 + 200,
        "the prompt, and what tells that it is a stream"
    );
}

#[test]
fn a_small_budget_changes_nothing_but_where_bytes_wait() {
    let config = PipelineConfig {
        memory_bytes_max: 1 << 10,
        inline_bytes_max: 256,
        body_memory_bytes_max: 2_000,
        ..PipelineConfig::default()
    };
    let story = Story::chat(1).asks(prompt_of(5_000)).in_pieces(100);
    let sink = run_with(config, story.frames());
    let rows = sink.interactions();
    assert_eq!(sink.text(&rows[0].request_body), prompt_of(5_000));
    assert_eq!(rows[0].finish_reason, "stop");
    assert_eq!(sink.messages().len(), 2);
}

#[test]
fn a_text_that_looks_like_a_reference_is_a_blob() {
    let (row, _, sink) = one(&Story::chat(1).asks("\0blob:mine"));
    assert!(matches!(row.request_body, BodyText::Blob { .. }));
    assert_eq!(sink.text(&row.request_body), "\0blob:mine");
}

fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match encoding {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(bytes).and_then(|()| writer.finish()).expect("memory")
        }
        "deflate" => {
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            writer.write_all(bytes).and_then(|()| writer.finish()).expect("memory")
        }
        "bare deflate" => {
            let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), level);
            writer.write_all(bytes).and_then(|()| writer.finish()).expect("memory")
        }
        "br" => {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 20);
            writer.write_all(bytes).expect("memory");
            writer.into_inner()
        }
        _ => zstd::encode_all(bytes, 3).expect("memory"),
    }
}

#[test]
fn compressed_streams_and_answers_are_shown_decoded() {
    let (plain, plain_messages, _) = one(&Story::chat(1));
    for encoding in ["gzip", "deflate", "bare deflate", "br", "zstd"] {
        let name = encoding.trim_start_matches("bare ");
        let raw = compressed(encoding, chat_stream().as_bytes());
        let stream = Story::chat(1).answers("text/event-stream", &raw);
        let (row, messages, _) = one(&stream.answer_header("content-encoding", name).in_pieces(5));
        assert_eq!(messages, plain_messages, "{encoding}");
        assert_eq!(row.response_body_sha256, sha256(&raw));
        assert_eq!(row.response_body_bytes, raw.len() as i64);

        let json = Story::chat(1).response.concat();
        let unary = Story::chat(1).answers("application/json", compressed(encoding, &json));
        let (row, messages, _) = one(&unary.answer_header("content-encoding", name));
        assert_eq!(row.response_body, plain.response_body);
        assert_eq!(messages, plain_messages, "{encoding}");
    }
}

#[test]
fn a_compressed_stream_that_is_cut_keeps_what_came() {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let stream = chat_stream();
    let middle = stream.find("data: [DONE]").expect("it ends");
    writer.write_all(&stream.as_bytes()[..middle]).and_then(|()| writer.flush()).expect("memory");
    let story = Story::chat(1).answers("text/event-stream", writer.get_ref());
    let story = story.answer_header("content-encoding", "gzip").ends(Outcome::ClientGone, 200);
    let (row, messages, sink) = one(&story);
    assert_eq!(told(&sink, &messages)[1], "completion assistant text: Hi there");
    assert_eq!(row.stream_outcome, "client_abort");
}

#[test]
fn a_compressed_request_is_shown_as_text_and_kept_as_sent() {
    let body = prompt_of(3_000);
    let raw = compressed("gzip", body.as_bytes());
    let mut story = Story::chat(1).asks(&raw);
    add_header(&mut story.opened.headers, "content-encoding", "gzip");
    let (row, messages, sink) = one(&story);
    assert_eq!(sink.text(&row.request_body), body);
    assert_eq!(row.request_body_sha256, sha256(&raw));
    assert_eq!(sink.state().blobs.get(&sha256(&raw)), Some(&raw));
    assert_eq!(messages.len(), 2);
}

#[test]
fn a_bomb_is_given_up_and_what_only_claims_to_be_compressed_is_described() {
    let config = PipelineConfig { decoded_bytes_max: 1 << 20, ..PipelineConfig::default() };
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let bomb = compressed(encoding, &vec![b' '; 8 << 20]);
        let mut story = Story::chat(1).asks(&bomb);
        add_header(&mut story.opened.headers, "content-encoding", encoding);
        let sink = run_with(config.clone(), story.frames());
        let row = sink.interactions().remove(0);
        let shown = format!(
            r#"{{"media_type":"application/json","bytes":{},"sha256":"{}"}}"#,
            bomb.len(),
            sha256(&bomb)
        );
        assert_eq!(sink.text(&row.request_body), shown);
        assert!(row.request_parameters.0.contains("too long when decompressed"), "{encoding}");

        let mut story = Story::chat(1).asks(b"\x01 this is not compressed \xff");
        add_header(&mut story.opened.headers, "content-encoding", encoding);
        let (row, ..) = one(&story);
        assert!(row.request_parameters.0.contains("cannot be decompressed"), "{encoding}");
    }
}

#[test]
fn a_form_is_a_list_of_its_parts_and_kept_as_sent() {
    let audio: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let mut body = Vec::new();
    for (name, value) in [("model", "whisper-1"), ("prompt", "Namen: Zoë"), ("language", "de")] {
        let head =
            format!("--B0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    body.extend_from_slice(b"--B0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n");
    body.extend_from_slice(&audio);
    body.extend_from_slice(b"\r\n--B0--\r\n");
    let url = "https://gw/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21";
    let story = Story::of("speech-to-text", "transcription", "Transcriptions_Create", url)
        .asks_as("multipart/form-data; boundary=B0", &body)
        .answers("application/json", r#"{"text":"Guten Tag"}"#)
        .in_pieces(1_009);
    let (row, messages, sink) = one(&story);
    let shown: serde_json::Value =
        serde_json::from_str(&sink.text(&row.request_body)).expect("a JSON list");
    assert_eq!(shown[0], serde_json::json!({"name": "model", "text": "whisper-1"}));
    assert_eq!(shown[1]["text"], "Namen: Zoë");
    let file = serde_json::json!({
        "name": "file", "filename": "a.wav", "content_type": "audio/wav",
        "bytes": audio.len(), "sha256": sha256(&audio),
    });
    assert_eq!(shown[3], file);
    assert_eq!(sink.state().blobs.get(&row.request_body_sha256), Some(&body));
    let said = told(&sink, &messages);
    assert!(said.iter().any(|text| text.ends_with("transcript: Guten Tag")), "{said:?}");
}

#[test]
fn a_file_of_json_lines_is_searched_up_to_the_limit_and_then_only_counted() {
    let line_of = |text: &str| {
        format!("{{\"body\":{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}}}\n")
    };
    let filler = line_of(&"x".repeat(1_000));
    for (bytes, is_searched) in [(500 << 10, true), (3 << 20, true), (17 << 20, false)] {
        let lines = line_of("first") + &filler.repeat(bytes / filler.len()) + &line_of("last");
        let head =
            "--B0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n";
        let body = format!("{head}{lines}\r\n--B0--\r\n");
        let story = Story::of(
            "files",
            "",
            "Files_Upload",
            "https://gw/openai/files?api-version=2024-10-21",
        )
        .asks_as("multipart/form-data; boundary=B0", &body)
        .in_pieces(65_521);
        let (row, messages, sink) = one(&story);
        let shown: serde_json::Value =
            serde_json::from_str(&sink.text(&row.request_body)).expect("a JSON list");
        assert_eq!(shown[0]["bytes"], lines.len());
        assert_eq!(shown[0]["sha256"], sha256(&lines));
        assert_eq!(shown[0].get("text").is_some(), is_searched, "{bytes} bytes");
        assert!(sink.state().blobs.get(&row.request_body_sha256) == Some(&body.into_bytes()));
        let said = told(&sink, &messages);
        assert_eq!(said.iter().any(|text| text.ends_with(": first")), is_searched);
        assert_eq!(said.iter().any(|text| text.ends_with(": last")), is_searched);
    }
}

#[test]
fn audio_is_described_and_kept() {
    let audio = b"ID3\x04\xff\xfb\x90\x00".repeat(50);
    let url = "https://gw/openai/deployments/tts-1/audio/speech?api-version=2025-04-01-preview";
    let mut story = Story::of("text-to-speech", "speech", "Speech_Create", url)
        .asks(r#"{"model":"tts-1","input":"Hello","voice":"alloy"}"#)
        .answers("audio/mpeg; x=y", &audio);
    story.opened.target.deployment = "tts-1".into();
    let (row, messages, sink) = one(&story);
    let shown =
        format!(r#"{{"media_type":"audio/mpeg","bytes":400,"sha256":"{}"}}"#, sha256(&audio));
    assert_eq!(sink.text(&row.response_body), shown);
    assert_eq!(sink.state().blobs.get(&row.response_body_sha256), Some(&audio));
    assert!(told(&sink, &messages)[0].ends_with("speech_input: Hello"));
    // Five characters at 15 dollars per million.
    assert_eq!(row.cost_usd.map(|cost| cost.0), Some(75_000_000));
}

#[test]
fn headers_of_the_same_name_do_not_hide_each_other() {
    let mut story = Story::chat(1);
    story.opened.headers = headers(&[("x-a", "1"), ("x-a", "2")]);
    let (row, ..) = one(&story);
    assert_eq!(row.request_headers.0, r#"{"x-a":"1, 2"}"#);
}

#[test]
fn headers_told_as_changes_are_put_together() {
    let mut story = Story::chat(1).answer_header("x-a", "1").answer_header("connection", "close");
    story.closed.headers = headers(&[("x-b", "2")]);
    story.closed.dropped_headers = Some("connection".into());
    let (row, ..) = one(&story);
    let sent = r#"{"content-type":"application/json","accept":"*/*"}"#;
    assert_eq!(row.backend_request_headers.0, sent);
    let told = r#"{"content-type":"application/json","x-a":"1","x-b":"2"}"#;
    assert_eq!(row.response_headers.0, told);
}

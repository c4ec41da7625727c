//! What is done per request or per chunk while it passes.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use openai::{Catalogue, Kind, Peeker, SseParser, StreamAssembler};

fn main() {
    divan::main();
}

#[divan::bench(args = [
    "/openai/deployments/gpt-4o/chat/completions",
    "/openai/v1/responses",
    "/v1/threads/thread_abc/runs/run_abc/steps/step_abc",
    "/openai/deployments/gpt-4o/threads/thread_abc/messages",
    "/chat/completions",
])]
fn identify(bencher: Bencher, path: &str) {
    let catalogue = Catalogue::builtin();
    let method = if path.contains("steps") { "GET" } else { "POST" };
    let query = Some("api-version=2024-10-21");
    assert!(catalogue.identify(method, path, query).operation.is_some());
    bencher.bench(|| catalogue.identify(divan::black_box(method), divan::black_box(path), query));
}

/// A chat stream as Azure sends it: about 600 bytes a chunk.
fn stream(chunks: usize) -> String {
    let mut stream = String::new();
    let safe = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
    for at in 0..chunks {
        stream.push_str(&format!(
            "data: {{\"choices\":[{{\"content_filter_results\":{safe},\"delta\":{{\"content\":\" word{at}\"}},\"finish_reason\":null,\"index\":0,\"logprobs\":null}}],\"created\":1718000000,\"id\":\"chatcmpl-9abcdefghijklmnopqrstuvwxyz\",\"model\":\"gpt-4o-2024-08-06\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"fp_44709d6fcb\",\"usage\":null}}\n\n"
        ));
    }
    stream.push_str("data: [DONE]\n\n");
    stream
}

const CHUNKS: usize = 400;

#[divan::bench]
fn parse_events(bencher: Bencher) {
    let stream = stream(CHUNKS);
    bencher.counter(ItemsCount::new(CHUNKS)).counter(BytesCount::new(stream.len())).bench(|| {
        let mut parser = SseParser::new();
        let mut bytes = 0;
        for piece in stream.as_bytes().chunks(1400) {
            parser.push(piece, |event| bytes += event.data.len());
        }
        bytes
    });
}

#[divan::bench]
fn assemble_chat(bencher: Bencher) {
    let stream = stream(CHUNKS);
    bencher.counter(ItemsCount::new(CHUNKS)).counter(BytesCount::new(stream.len())).bench(|| {
        let mut assembler = StreamAssembler::new(Kind::Chat, "chat");
        for piece in stream.as_bytes().chunks(1400) {
            assembler.push(piece);
        }
        assembler.finish()
    });
}

#[divan::bench(args = ["text", "escapes", "base64"])]
fn peek(bencher: Bencher, shape: &str) {
    let content = match shape {
        "text" => "The quick brown fox jumps over the lazy dog. ".repeat(200),
        "escapes" => "line\\n\\\"quoted\\\" \\u00e9 ".repeat(400),
        _ => "QUJD".repeat(250_000),
    };
    let body = format!(
        "{{\"messages\":[{{\"role\":\"system\",\"content\":\"Be kind\"}},{{\"role\":\"user\",\"content\":\"{content}\"}}],\"model\":\"gpt-4o\",\"stream\":true,\"stream_options\":{{\"include_usage\":true}},\"temperature\":0.5}}"
    );
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let mut peeker = Peeker::new(Some("application/json"));
        for piece in body.as_bytes().chunks(16 * 1024) {
            peeker.push(piece);
        }
        peeker.finish()
    });
}

//! What the pipeline does for ordinary interactions, to be looked at under a profiler.
//!
//! `cost fill FOLDER unary 2000` writes so many calls to a ledger, `cost fill FOLDER streamed 200` streams of 200
//! pieces. `valgrind --tool=callgrind --toggle-collect='*follow_until_stopped*' cost run FOLDER` counts the
//! instructions that it takes to make rows of them; SHA-256 counts for more there than it costs where the
//! processor has instructions for it.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "void/sink.rs"]
mod void;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::{
    Answered, BodyChunk, CallerAddress, Closed, Dispatched, HeaderList, InteractionId, Opened,
    Record, Side, Target, Timestamp,
};
use ledger::{Ledger, LedgerConfig};
use pipeline::{Pipeline, PipelineConfig};
use policy::Prices;
use void::Void;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_MICROS: i64 = 1_795_435_200_000_000;
/// How long the pipeline may take.
const WAIT: Duration = Duration::from_secs(600);
const URL: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const SAFE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", folder, "unary", count] => fill(Path::new(folder), unary, count.parse()?),
        ["fill", folder, "streamed", count] => fill(Path::new(folder), streamed, count.parse()?),
        ["run", folder] => run(Path::new(folder)),
        _ => Err("fill FOLDER unary|streamed COUNT, or run FOLDER".into()),
    }
}

fn open(folder: &Path) -> Result<Ledger, ledger::Error> {
    let now = || Timestamp::from_unix_micros(START_MICROS);
    Ok(Ledger::open(&folder.join("ledger"), LedgerConfig::default(), now)?.0)
}

#[tokio::main(flavor = "current_thread")]
async fn fill(
    folder: &Path,
    interaction: fn(u32) -> Vec<Record>,
    count: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = open(folder)?;
    for number in 0..count {
        let mut last = None;
        for record in interaction(number) {
            last = Some(ledger.append(vec![record.encode(id(number))]).await?);
        }
        // Many interactions share a commit.
        if let Some(last) = last.filter(|_| number % 64 == 63) {
            last.durable().await?;
        }
    }
    ledger.close().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn run(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = open(folder)?;
    let prices = Arc::new(Prices::builtin());
    let config = PipelineConfig::default();
    let work_dir = folder.join("work");
    let pipeline = Pipeline::start(ledger.clone(), Arc::new(Void), prices, config, work_dir)?;
    assert!(pipeline.settle(WAIT), "{:?}", pipeline.status());
    println!("{} rows, {} messages", pipeline.status().rows, pipeline.status().messages);
    pipeline.stop();
    ledger.close().await?;
    Ok(())
}

fn id(number: u32) -> InteractionId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    InteractionId::mint(Timestamp::from_unix_micros(START_MICROS), random)
}

fn chunk(side: Side, data: &str) -> Record {
    Record::BodyChunk(BodyChunk { side, data: Bytes::copy_from_slice(data.as_bytes()) })
}

fn request_headers(host: &str, length: usize) -> HeaderList {
    [
        ("host", host),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("content-type", "application/json"),
        ("user-agent", "AzureOpenAI/Python 1.54.0"),
        ("api-key", "[redacted]"),
        ("x-stainless-lang", "python"),
        ("x-stainless-package-version", "1.54.0"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-runtime", "CPython"),
        ("content-length", &length.to_string()),
    ]
    .into_iter()
    .collect()
}

fn opened(is_stream: bool, length: usize) -> Opened {
    Opened {
        received_at: Timestamp::from_unix_micros(START_MICROS),
        method: "POST".into(),
        url: format!("https://gateway.example{URL}"),
        protocol: "HTTP/1.1".into(),
        tls_version: "1.3".into(),
        caller: CallerAddress {
            caller_ip: "10.1.2.3".into(),
            peer_ip: "10.1.2.3".into(),
            peer_port: 40_000,
            ..CallerAddress::default()
        },
        target: Target {
            operation_id: "ChatCompletions_Create".into(),
            surface_operation_id: "ChatCompletions_Create".into(),
            surface: "azure-dated".into(),
            kind: "chat".into(),
            subkind: "chat".into(),
            deployment: "gpt-4o".into(),
            model: "gpt-4o".into(),
            api_version: "2024-10-21".into(),
            is_stream,
        },
        headers: request_headers("gateway.example", length),
        head_bytes: 600,
        product_id: "ai".into(),
        subscription_id: "team-a".into(),
        user_id: "team-a".into(),
        region: "westeurope".into(),
        rules_version: 7,
        ..Opened::default()
    }
}

/// What stands in the ledger before an answer.
fn beginning(number: u32, is_stream: bool) -> Vec<Record> {
    let prompt = "Explain how the quarterly report relates to gateway logs\\nand \\\"budgets\\\" of the team. ".repeat(25);
    let body = format!(
        r#"{{"messages":[{{"role":"system","content":"You are a helpful assistant of the finance department."}},{{"role":"user","content":"{prompt}{number}"}}],"model":"gpt-4o","max_tokens":800,"temperature":0.7,"top_p":0.95,"stream":{is_stream}}}"#
    );
    vec![
        Record::Opened(Box::new(opened(is_stream, body.len()))),
        chunk(Side::Request, &body),
        Record::Dispatched(Box::new(Dispatched {
            sent_at: Timestamp::from_unix_micros(START_MICROS + 800),
            attempt: 1,
            backend_id: "backend".into(),
            method: "POST".into(),
            url: format!("https://backend.openai.azure.com{URL}"),
            headers: [("api-key", "***")].into_iter().collect(),
            dropped_headers: Some("host,connection,authorization".into()),
            ..Dispatched::default()
        })),
        Record::Answered(Box::new(Answered {
            answered_at: Timestamp::from_unix_micros(START_MICROS + 500_000),
            protocol: "HTTP/1.1".into(),
            status: 200,
            headers: answer_headers(is_stream),
            attempt: 1,
        })),
    ]
}

fn answer_headers(is_stream: bool) -> HeaderList {
    let content_type =
        if is_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    [
        ("apim-request-id", "e5292af5-3693-4eb1-90f4-eb59820fb5e4"),
        ("x-request-id", "43bcd894-ba9a-4c9c-87fe-65999ca4efb7"),
        ("x-ms-client-request-id", "e5292af5-3693-4eb1-90f4-eb59820fb5e4"),
        ("x-ms-region", "East US"),
        ("x-ms-deployment-name", "gpt-4o"),
        ("azureml-model-session", "d291-20240601000000"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
        ("content-type", content_type),
        ("content-length", "1500"),
        ("x-ratelimit-remaining-requests", "5999"),
        ("x-ratelimit-remaining-tokens", "999991"),
        ("date", "Sun, 29 Nov 2026 14:25:52 GMT"),
    ]
    .into_iter()
    .collect()
}

fn end(bytes: usize, chunks: u64) -> Record {
    Record::Closed(Box::new(Closed {
        closed_at: Timestamp::from_unix_micros(START_MICROS + 900_000),
        status: 200,
        headers: [("x-gatehouse-correlation-id", "019f02a3-4b1c-7de0-8f4a-5b6c7d8e9fa0")]
            .into_iter()
            .collect(),
        dropped_headers: Some(String::new()),
        request_bytes: 3_100,
        response_bytes: bytes as u64 + 600,
        client_ms: 1,
        backend_ms: 890,
        first_byte_ms: Some(500),
        overhead_micros: 700,
        chunk_gap_ms_max: 30,
        chunks,
        ..Closed::default()
    }))
}

fn unary(number: u32) -> Vec<Record> {
    let mut records = beginning(number, false);
    let text =
        "The report names the gateway's logs as its source.\\nBudgets follow from them. ".repeat(9);
    let answer = format!(
        r#"{{"choices":[{{"content_filter_results":{SAFE},"finish_reason":"stop","index":0,"logprobs":null,"message":{{"annotations":[],"content":"{text}","refusal":null,"role":"assistant"}}}}],"created":1795962352,"id":"chatcmpl-{number:024}","model":"gpt-4o-2024-08-06","object":"chat.completion","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{SAFE}}}],"system_fingerprint":"fp_07d24ec6ee","usage":{{"completion_tokens":150,"completion_tokens_details":{{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0}},"prompt_tokens":480,"prompt_tokens_details":{{"audio_tokens":0,"cached_tokens":0}},"total_tokens":630}}}}"#
    );
    records.push(chunk(Side::Response, &answer));
    records.push(end(answer.len(), 1));
    records
}

/// As Azure streams: verdicts on the prompt, the role, word by word, the reason, the usage.
fn streamed(number: u32) -> Vec<Record> {
    let mut records = beginning(number, true);
    let mut bytes = 0;
    let mut push = |records: &mut Vec<Record>, data: String| {
        bytes += data.len();
        records.push(chunk(Side::Response, &data));
    };
    push(
        &mut records,
        format!(
            r#"data: {{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{SAFE}}}]}}{}"#,
            "\n\n"
        ),
    );
    let piece = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"choices":[{choices}],"created":1795962352,"id":"chatcmpl-{number:024}","model":"gpt-4o-2024-08-06","object":"chat.completion.chunk","system_fingerprint":"fp_07d24ec6ee"{rest}}}{}"#,
            "\n\n"
        )
    };
    let choice = |verdicts: &str, delta: &str, reason: &str| {
        format!(
            r#"{{"content_filter_results":{verdicts},"delta":{delta},"finish_reason":{reason},"index":0,"logprobs":null}}"#
        )
    };
    push(
        &mut records,
        piece(&choice("{}", r#"{"content":"","refusal":null,"role":"assistant"}"#, "null"), ""),
    );
    for word in 0..196 {
        push(
            &mut records,
            piece(
                &choice(SAFE, &format!(r#"{{"content":" word{word}"}}"#), "null"),
                r#","usage":null"#,
            ),
        );
    }
    push(&mut records, piece(&choice("{}", "{}", r#""stop""#), ""));
    push(
        &mut records,
        piece("", r#","usage":{"completion_tokens":196,"prompt_tokens":480,"total_tokens":676}"#)
            + "data: [DONE]\n\n",
    );
    records.push(end(bytes, 200));
    records
}

//! What the pipeline holds of each stream that is open.
//!
//! `cargo run -p pipeline --example open_streams -- 10000`
//!
//! Chats with a prompt of 4 kB are opened and answered in pieces as Azure sends them, and none ends. The growth of
//! resident memory, with the allocator of the released program, is divided by their number.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "void/sink.rs"]
mod void;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::{
    Answered, BodyChunk, CallerAddress, Dispatched, Frame, InteractionId, Opened, Record, Side,
    Target, Timestamp,
};
use ledger::{Ledger, LedgerConfig};
use pipeline::{Pipeline, PipelineConfig};
use policy::Prices;
use void::Void;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_MICROS: i64 = 1_795_435_200_000_000;
const URL: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
/// Numbers of pieces after which memory is looked at.
const STEPS: [usize; 4] = [1, 12, 24, 60];
/// How long the pipeline may take for a step.
const WAIT: Duration = Duration::from_secs(300);
const PAGE_BYTES: u64 = 4096;
/// Streams before those that are counted, for what is allocated once.
const WARM: u32 = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let streams: u32 = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let now = || Timestamp::from_unix_micros(START_MICROS);
    let (ledger, _) = Ledger::open(&dir.path().join("ledger"), LedgerConfig::default(), now)?;
    let config = PipelineConfig { flush_interval_ms: 10, ..PipelineConfig::default() };
    let prices = Arc::new(Prices::builtin());
    let work_dir = dir.path().join("work");
    let pipeline = Pipeline::start(ledger.clone(), Arc::new(Void), prices, config, work_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let append = |records: &dyn Fn() -> Vec<Record>, numbers: std::ops::Range<u32>| {
        runtime.block_on(async {
            let mut last = None;
            for number in numbers {
                let frames: Vec<Frame> =
                    records().into_iter().map(|record| record.encode(id(number))).collect();
                last = Some(ledger.append(frames).await?);
            }
            if let Some(last) = last {
                last.durable().await?;
            }
            Ok::<_, ledger::Error>(())
        })?;
        assert!(pipeline.settle(WAIT), "{:?}", pipeline.status());
        resident_bytes().map_err(Box::<dyn std::error::Error>::from)
    };
    let piece = |number| move || vec![chunk(Side::Response, &answer_piece(number))];
    append(&beginning, 0..WARM)?;
    for number in 0..STEPS[STEPS.len() - 1] {
        append(&piece(number), 0..WARM)?;
    }
    let all = WARM..WARM + streams;
    let before = append(&Vec::new, 0..0)?;
    let each = |now: u64| now.saturating_sub(before) / u64::from(streams);
    println!("{streams} streams: bytes for each");
    println!("opened and answered: {}", each(append(&beginning, all.clone())?));
    let mut pieces = 0;
    for step in STEPS {
        let mut grown = before;
        for number in pieces..step {
            grown = append(&piece(number), all.clone())?;
        }
        pieces = step;
        println!("{step} pieces: {}", each(grown));
    }
    pipeline.stop();
    runtime.block_on(ledger.close())?;
    Ok(())
}

fn id(number: u32) -> InteractionId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    InteractionId::mint(Timestamp::from_unix_micros(START_MICROS), random)
}

/// Memory of this process that lies in pages of the machine.
fn resident_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn chunk(side: Side, data: &str) -> Record {
    Record::BodyChunk(BodyChunk { side, data: Bytes::copy_from_slice(data.as_bytes()) })
}

/// All that stands in the ledger of a streamed chat before the first piece of its answer.
fn beginning() -> Vec<Record> {
    let prompt = "explain how the quarterly report relates to gateway logs and budgets ".repeat(55);
    let body = format!(
        r#"{{"stream":true,"max_tokens":40,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    );
    vec![
        Record::Opened(Box::new(opened(body.len()))),
        chunk(Side::Request, &body),
        Record::Dispatched(Box::new(Dispatched {
            attempt: 1,
            backend_id: "backend".into(),
            method: "POST".into(),
            url: format!("https://backend.openai.azure.com{URL}"),
            headers: [
                ("host", "backend.openai.azure.com"),
                ("content-type", "application/json"),
                ("api-key", "[redacted]"),
            ]
            .into_iter()
            .collect(),
            body_changes: vec!["stream_options.include_usage".into()],
            ..Dispatched::default()
        })),
        Record::Answered(Box::new(Answered {
            protocol: "HTTP/1.1".into(),
            status: 200,
            headers: [
                ("apim-request-id", "e5292af5-3693-4eb1-90f4-eb59820fb5e4"),
                ("x-request-id", "43bcd894-ba9a-4c9c-87fe-65999ca4efb7"),
                ("x-ms-region", "East US"),
                ("x-ms-deployment-name", "gpt-4o"),
                ("azureml-model-session", "d291-20240601000000"),
                ("content-type", "text/event-stream; charset=utf-8"),
                ("x-ratelimit-remaining-requests", "5999"),
                ("x-ratelimit-remaining-tokens", "999991"),
                ("date", "Sun, 29 Nov 2026 14:25:52 GMT"),
            ]
            .into_iter()
            .collect(),
            attempt: 1,
            ..Answered::default()
        })),
    ]
}

fn opened(body_bytes: usize) -> Opened {
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
            api_version: "2024-10-21".into(),
            is_stream: true,
            ..Target::default()
        },
        headers: [
            ("host", "gateway.example"),
            ("content-type", "application/json"),
            ("user-agent", "AzureOpenAI/Python 2.54.0"),
            ("api-key", "[redacted]"),
            ("x-stainless-lang", "python"),
            ("content-length", &body_bytes.to_string()),
        ]
        .into_iter()
        .collect(),
        head_bytes: 300,
        subscription_id: "team-a".into(),
        user_id: "team-a".into(),
        ..Opened::default()
    }
}

/// Pieces as Azure sends them: the verdict on the prompt, the role, then word by word.
fn answer_piece(number: usize) -> String {
    const SAFE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
    if number == 0 {
        return format!(
            r#"data: {{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{SAFE}}}]}}{}"#,
            "\n\n"
        );
    }
    let (delta, verdicts) = match number {
        1 => (r#"{"role":"assistant","content":"","refusal":null}"#.to_owned(), "{}"),
        _ => (format!(r#"{{"content":" word{number}"}}"#), SAFE),
    };
    format!(
        r#"data: {{"choices":[{{"content_filter_results":{verdicts},"delta":{delta},"finish_reason":null,"index":0,"logprobs":null}}],"created":1795962352,"id":"chatcmpl-10cf685b28b89c82648bf433","model":"gpt-4o-2024-08-06","object":"chat.completion.chunk","system_fingerprint":"fp_07d24ec6ee"}}{}"#,
        "\n\n"
    )
}

//! Conversations per second from the ledger through assembling and extracting to a sink that
//! keeps nothing: what one core does.

#[path = "../examples/void/sink.rs"]
mod void;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use event::{
    Answered, BodyChunk, Closed, Dispatched, HeaderList, InteractionId, Opened, Record, Side,
    Target, Timestamp,
};
use ledger::{Ledger, LedgerConfig};
use pipeline::{Pipeline, PipelineConfig};
use policy::Prices;
use void::Void;

const CONVERSATIONS: u32 = 5_000;
const START_MICROS: i64 = 1_795_435_200_000_000;

fn main() {
    divan::main();
}

/// Unary chats of about 1 kB each way.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn unary(bencher: Bencher<'_, '_>) {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let answer = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":200,"total_tokens":400}}}}"#
    );
    measure(bencher, "application/json", vec![answer.into_bytes()]);
}

/// Streams of 100 chunks, as Azure sends them.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn streamed(bencher: Bencher<'_, '_>) {
    let chunk = |rest: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_1\",{rest}}}\n\n"
        )
    };
    let delta = |_| {
        chunk(r#""choices":[{"index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}},"delta":{"content":"word "},"finish_reason":null,"logprobs":null}]"#).into_bytes()
    };
    let mut chunks: Vec<_> = (0..100).map(delta).collect();
    let usage =
        r#""choices":[],"usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}"#;
    chunks.push(chunk(usage).into_bytes());
    chunks.push(b"data: [DONE]\n\n".to_vec());
    // The gateway records what one read brings; a few chunks come together.
    let reads = chunks.chunks(8).map(|reads| reads.concat()).collect();
    measure(bencher, "text/event-stream", reads);
}

fn measure(bencher: Bencher<'_, '_>, content_type: &str, answer: Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().expect("a folder");
    let now = || Timestamp::from_unix_micros(START_MICROS);
    let (ledger, _) = Ledger::open(&dir.path().join("ledger"), LedgerConfig::default(), now)
        .expect("the ledger opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(fill(&ledger, content_type, &answer));
    let prices = Arc::new(Prices::builtin());
    bencher.counter(ItemsCount::new(CONVERSATIONS)).bench_local(|| {
        follow(&ledger, prices.clone(), dir.path());
    });
    runtime.block_on(ledger.close()).expect("the ledger closes");
}

fn follow(ledger: &Ledger, prices: Arc<Prices>, dir: &Path) {
    let config = PipelineConfig { flush_interval_ms: 10, ..PipelineConfig::default() };
    let work_dir = dir.join("work");
    let pipeline = Pipeline::start(ledger.clone(), Arc::new(Void), prices, config, work_dir)
        .expect("it starts");
    assert!(pipeline.settle(Duration::from_secs(300)));
    assert_eq!(pipeline.status().rows, u64::from(CONVERSATIONS));
    pipeline.stop();
}

async fn fill(ledger: &Ledger, content_type: &str, answer: &[Vec<u8>]) {
    for number in 0..CONVERSATIONS {
        let received_at = Timestamp::from_unix_micros(START_MICROS);
        let mut random = [0; 10];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let id = InteractionId::mint(received_at, random);
        let frames = conversation(content_type, answer).into_iter().map(|record| record.encode(id));
        let commit = ledger.append(frames).await.expect("the ledger takes it");
        if number + 1 == CONVERSATIONS {
            commit.durable().await.expect("it is on disk");
        }
    }
}

fn conversation(content_type: &str, answer: &[Vec<u8>]) -> Vec<Record> {
    let text = "What does the fox say, and why does it say so? ".repeat(20);
    let request = format!(
        r#"{{"messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{text}"}}],"temperature":0.7,"max_tokens":800}}"#
    );
    let headers: HeaderList = [
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python 2.54.0"),
        ("x-stainless-lang", "python"),
    ]
    .into_iter()
    .collect();
    let opened = Opened {
        received_at: Timestamp::from_unix_micros(START_MICROS),
        method: "POST".into(),
        url: "https://gw.example/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
            .into(),
        headers: headers.clone(),
        target: Target {
            operation_id: "ChatCompletions_Create".into(),
            kind: "chat".into(),
            subkind: "chat".into(),
            deployment: "gpt-4o".into(),
            ..Target::default()
        },
        ..Opened::default()
    };
    let dispatched =
        Dispatched { attempt: 1, backend_id: "b1".into(), headers, ..Dispatched::default() };
    let answered = Answered {
        status: 200,
        headers: [("content-type", content_type)].into_iter().collect(),
        ..Answered::default()
    };
    let chunk = |side, data: &[u8]| {
        Record::BodyChunk(BodyChunk { side, data: bytes::Bytes::copy_from_slice(data) })
    };
    let mut records = vec![
        Record::Opened(Box::new(opened)),
        chunk(Side::Request, request.as_bytes()),
        Record::Dispatched(Box::new(dispatched)),
        Record::Answered(Box::new(answered)),
    ];
    records.extend(answer.iter().map(|data| chunk(Side::Response, data)));
    records.push(Record::Closed(Box::new(Closed { status: 200, ..Closed::default() })));
    records
}

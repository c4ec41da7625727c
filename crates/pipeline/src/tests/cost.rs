//! What is recorded as cost, against a bill made apart: a stand-in for the service writes down what each
//! call used as it answers, and prices it from other columns of the list, without the pipeline's code.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use event::{InteractionId, Outcome, Timestamp};

use crate::PipelineConfig;
use crate::enrich::Enricher;
use crate::tests::sink::MemorySink;
use crate::tests::story::{START_MICROS, Story, entry, line_with};

const CALLS: u64 = 100_000;
const FLUSH_CALLS: u64 = 2_000;
const MODELS: [&str; 6] = [
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
    "gpt-4.1",
    "gpt-5-mini",
    "gpt-35-turbo",
    "text-embedding-3-small",
];

/// Dollars for one token: input, cached input, output.
type PriceOf = HashMap<&'static str, (f64, f64, f64)>;

/// What the stand-in service counted.
struct Used {
    model: &'static str,
    prompt: u64,
    cached: u64,
    completion: u64,
}

fn price_list() -> PriceOf {
    let text = include_str!("../../../policy/data/prices.csv");
    let names: Vec<&str> = text.lines().next().expect("a head").split(',').collect();
    let column = |name: &str| names.iter().position(|known| *known == name).expect("a column");
    let (by_1k, out_1k) = (column("input_per_1k"), column("output_per_1k"));
    let cached_1m = column("cached_input_per_1m");
    let mut list = PriceOf::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let Some(model) = MODELS.iter().find(|model| **model == cells[0]) else { continue };
        if cells[1] != "global-or-default" {
            continue;
        }
        let number = |cell: usize| cells[cell].parse::<f64>().ok();
        let input = number(by_1k).expect("an input price") / 1e3;
        let cached = number(cached_1m).map_or(input, |price| price / 1e6);
        let output = number(out_1k).unwrap_or(0.0) / 1e3;
        list.insert(model, (input, cached, output));
    }
    assert_eq!(list.len(), MODELS.len());
    list
}

/// One call, and what it used; nothing if it was not served.
fn call(number: u64) -> (Story, Option<Used>) {
    // A multiplicative generator: every call differs, every run is the same.
    let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) | 1;
    let (prompt, completion) = (dice % 9_000 + 1, (dice >> 16) % 2_000);
    let cached = if dice & 0x100 == 0 { prompt / 2 } else { 0 };
    let model = MODELS[(dice >> 40) as usize % 5];
    let used = Used { model, prompt, cached, completion };
    let usage = format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached}}}}}"#,
        prompt + completion
    );
    let chat = Story::chat(0);
    let whole = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
    );
    let streamed = format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{model}\",\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
    );
    match number % 10 {
        0..=3 => (chat.answers("application/json", whole), Some(used)),
        4..=6 => (chat.answers("text/event-stream", streamed), Some(used)),
        // The caller hangs up; the answer is read on, and was used.
        7 => {
            let story = chat.answers("text/event-stream", streamed);
            (story.ends(Outcome::ClientGone, 200), Some(used))
        }
        8 => {
            let url = "https://gw.example/openai/deployments/d/embeddings?api-version=2024-10-21";
            let answer = format!(
                r#"{{"object":"list","model":"{}","data":[{{"index":0,"object":"embedding","embedding":"AACAPw=="}}],"usage":{{"prompt_tokens":{prompt},"total_tokens":{prompt}}}}}"#,
                MODELS[5]
            );
            let story = Story::of("embedding", "embedding", "Embeddings_Create", url)
                .asks(r#"{"input":"x"}"#)
                .answers("application/json", answer);
            (story, Some(Used { model: MODELS[5], prompt, cached: 0, completion: 0 }))
        }
        _ => {
            let error = r#"{"error":{"code":"429","message":"slow down"}}"#;
            let mut story = chat.answers("application/json", error).ends(Outcome::Complete, 429);
            if let Some(answered) = &mut story.answered {
                answered.status = 429;
            }
            (story, None)
        }
    }
}

#[test]
fn a_hundred_thousand_mixed_calls_cost_what_the_service_counted_to_the_cent() {
    let prices = price_list();
    let folder = tempfile::tempdir().expect("a folder");
    let sink = MemorySink::default();
    let mut line =
        line_with(&Arc::new(Enricher::new()), &sink, PipelineConfig::default(), folder.path());
    let (mut billed, mut recorded) = (HashMap::<&str, f64>::new(), HashMap::<String, i128>::new());
    let (mut sequence, mut rows, mut unpriced) = (0, 0, 0);
    for number in 0..CALLS {
        let (mut story, used) = call(number);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_le_bytes());
        story.id = InteractionId::mint(Timestamp::from_unix_micros(START_MICROS), random);
        if let Some(used) = used {
            let (input, cached, output) = prices[used.model];
            let uncached = (used.prompt - used.cached) as f64;
            *billed.entry(used.model).or_default() +=
                uncached * input + used.cached as f64 * cached + used.completion as f64 * output;
        }
        for frame in story.frames() {
            sequence += 1;
            line.take(entry(sequence, frame), Instant::now()).expect("the sink takes it");
        }
        if (number + 1) % FLUSH_CALLS == 0 {
            line.flush().expect("the sink takes it");
            for row in sink.state().batches.drain(..).flat_map(|batch| batch.interactions) {
                rows += 1;
                match row.cost_usd {
                    Some(cost) => *recorded.entry(row.model_name).or_default() += cost.0,
                    None => unpriced += 1,
                }
            }
        }
    }
    assert_eq!((rows, unpriced), (CALLS, CALLS / 10), "only what was not served costs nothing");
    assert_eq!(recorded.len(), billed.len());
    for (model, dollars) in billed {
        let cents = |dollars: f64| (dollars * 100.0).round() as i64;
        let recorded = recorded[model] as f64 / 1e12;
        assert_eq!(cents(recorded), cents(dollars), "{model}: {recorded} and {dollars}");
        assert!(dollars > 0.5, "{model} was used");
    }
}

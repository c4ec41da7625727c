//! What is recorded as cost, over the whole gateway: the simulator writes down what each call used, and this
//! test prices that from the price list by itself, without the product's code.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Simulator, SimulatorConfig, Used};

use crate::http::{self, Request};
use crate::support::{Backend, Gateway, PATIENCE};

/// Calls of the test; `GATEHOUSE_COST_CALLS=100000` makes it a long one.
const CALLS: u64 = 3_000;
const CALLERS: u64 = 16;
const VERSION: &str = "api-version=2025-04-01-preview";
const PICOS: i128 = 1_000_000_000_000;

/// One line of the price list, in 10⁻¹² dollars: for a million tokens, or for one unit.
type Line = BTreeMap<String, String>;

#[test]
fn recorded_costs_equal_what_the_simulator_used_to_the_cent() {
    let calls = std::env::var("GATEHOUSE_COST_CALLS")
        .map_or(CALLS, |text| text.parse().expect("GATEHOUSE_COST_CALLS is a number of calls"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let simulator = runtime.block_on(Simulator::start(simulated())).expect("it listens");
    let mut gateway = Gateway::at(simulator.addr().port(), &[("GATEHOUSE__LOG__LEVEL", "error")]);
    gateway.start();
    let next = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        break;
                    }
                    call(&gateway, number);
                }
            });
        }
    });
    batch(&gateway);
    // What hung up is read on; all rows are there once the count stands.
    let expected = calls + BATCH_CALLS;
    let until = Instant::now() + PATIENCE + Duration::from_millis(calls * 10);
    loop {
        let count = gateway.query("Interactions | count")[0]["Count"].as_u64();
        if count == Some(expected) {
            break;
        }
        assert!(Instant::now() < until, "{count:?} of {expected} calls are in the tables");
        std::thread::park_timeout(Duration::from_millis(200));
    }
    // Only now the simulator has come to the end of every answer too.
    compare(&gateway, &simulator.used());
    runtime.block_on(simulator.stop());
}

fn simulated() -> SimulatorConfig {
    SimulatorConfig {
        api_keys: vec![Backend::KEY.into()],
        requests_kept_max: 0,
        usage_kept_max: usize::MAX,
        ..SimulatorConfig::default()
    }
}

/// By deployment: calls that have a cost, and their sum in 10⁻¹⁸ dollars.
type Sums = BTreeMap<String, (u64, i128)>;

fn compare(gateway: &Gateway, used: &[Used]) {
    let prices = price_list();
    let mut expected = Sums::new();
    for used in used.iter().filter(|used| used.is_told) {
        let sum = expected.entry(used.model.clone()).or_default();
        sum.0 += 1;
        sum.1 += cost(&prices, used);
    }
    let recorded = "Interactions | where UsageSource != 'estimated' and isnotnull(CostUsd) \
        | summarize Calls = count(), Cost = tostring(sum(CostUsd)) by Name = iff(isempty(DeploymentName), ModelName, DeploymentName)";
    let recorded: Sums = gateway
        .query(recorded)
        .iter()
        .map(|row| {
            let name = row["Name"].as_str().expect("a name").to_owned();
            let cost = decimal(row["Cost"].as_str().expect("a sum")) * 1_000_000;
            (name, (row["Calls"].as_u64().expect("a count"), cost))
        })
        .collect();
    for (name, (count, sum)) in &expected {
        let (found, cost) = recorded.get(name).copied().unwrap_or_default();
        assert_eq!(*count, found, "calls to {name}: {recorded:?} instead of {expected:?}");
        // A row is exact to 10⁻¹² dollars.
        let most = i128::from(*count) * 1_000_000;
        assert!((sum - cost).abs() <= most, "{name}: {cost} instead of {sum}");
    }
    assert_eq!(expected.len(), recorded.len(), "{recorded:?} instead of {expected:?}");
    let total = |sums: &Sums| sums.values().map(|(_, sum)| sum).sum::<i128>();
    let (ours, theirs) = (total(&recorded), total(&expected));
    let cent = PICOS * 1_000_000 / 100;
    assert_eq!((ours + cent / 2) / cent, (theirs + cent / 2) / cent, "in cents");
    let estimated = gateway.query("Interactions | where UsageSource == 'estimated' | count");
    let untold = used.iter().filter(|used| !used.is_told).count() as u64;
    assert!(untold > 0);
    assert_eq!(estimated[0]["Count"].as_u64(), Some(untold), "estimates are marked");
    let unpriced =
        gateway.query("Interactions | where isnull(CostUsd) and TotalTokens > 0 | count");
    assert_eq!(unpriced[0]["Count"], 0, "usage without a price");
}

/// What one call costs by the list, in 10⁻¹⁸ dollars.
fn cost(prices: &[Line], used: &Used) -> i128 {
    let fits = |line: &&Line| {
        let is = |column: &str, wanted: &str| line[column].is_empty() || line[column] == wanted;
        line["model"] == used.model
            && line["deployment_scope"] == "global-or-default"
            && is("size", &used.image_size)
            && is("quality", &used.image_quality)
    };
    let line = prices.iter().find(fits).unwrap_or_else(|| panic!("no price for {used:?}"));
    let price = |column: &str| (!line[column].is_empty()).then(|| decimal(&line[column]));
    let million = |column: &str| price(column);
    let of_tier = |kind: &str| match used.service_tier {
        "" => million(&format!("{kind}_per_1m")),
        tier => million(&format!("{tier}_{kind}_per_1m")).or(million(&format!("{kind}_per_1m"))),
    };
    if used.prompt_tokens + used.completion_tokens > 0 {
        let input = of_tier("input").unwrap_or(0);
        let cached = match used.service_tier {
            "" => million("cached_input_per_1m").unwrap_or(input),
            _ => input,
        };
        let sound = million("audio_input_per_1m").unwrap_or(input);
        let output = of_tier("output").or(million("image_output_per_1m")).unwrap_or(0);
        let text = used.prompt_tokens - used.cached_tokens - used.audio_prompt_tokens;
        return i128::from(text) * input
            + i128::from(used.cached_tokens) * cached
            + i128::from(used.audio_prompt_tokens) * sound
            + i128::from(used.completion_tokens) * output;
    }
    let each = |column: &str| price(column).unwrap_or_else(|| panic!("no {column}: {used:?}"));
    let pico = if used.images > 0 {
        i128::from(used.images) * each("per_image")
    } else if used.characters > 0 {
        i128::from(used.characters) * each("per_character")
    } else {
        used.seconds as i128 * each("per_second")
    };
    pico * 1_000_000
}

fn price_list() -> Vec<Line> {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/data/prices.csv");
    let mut reader = csv::Reader::from_path(list).expect("the list is there");
    reader.deserialize().map(|line| line.expect("a line")).collect()
}

/// Decimal text in 10⁻¹².
fn decimal(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i128 = format!("{whole}{fraction:0<12}").parse().expect("a decimal");
    assert!(fraction.len() <= 12, "{text}");
    number
}

/// One of a mix of calls.
fn call(gateway: &Gateway, number: u64) {
    let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let text = "warm islands in May ".repeat(1 + (dice % 40) as usize);
    let tokens = (1 + (dice >> 8) % 60).to_string();
    let answer = ("x-sim-tokens", tokens.as_str());
    let messages = json!([{ "role": "user", "content": text }]);
    let chat = json!({ "messages": messages });
    let stream = json!({ "messages": messages, "stream": true });
    match number % 20 {
        0..=3 => post(gateway, "gpt-4o", "chat/completions", &[answer], &chat, 200),
        4 => post(gateway, "o4-mini", "chat/completions", &[answer], &chat, 200),
        5 | 6 => post(gateway, "gpt-4o-mini", "chat/completions", &[answer], &stream, 200),
        7 => {
            let asks = json!({ "messages": messages, "stream": true, "stream_options": { "include_usage": true } });
            post(gateway, "gpt-4.1", "chat/completions", &[answer], &asks, 200);
        }
        8 => post(
            gateway,
            "gpt-4o",
            "chat/completions",
            &[answer, ("x-sim-cached-tokens", "25")],
            &chat,
            200,
        ),
        9 => post(
            gateway,
            "gpt-4o",
            "chat/completions",
            &[answer, ("x-sim-cached-tokens", "7")],
            &stream,
            200,
        ),
        10 => {
            let asks = json!({ "messages": messages, "service_tier": "priority", "stream": dice & 1 == 0 });
            post(gateway, "gpt-4.1", "chat/completions", &[answer], &asks, 200);
        }
        11..=15 => other(gateway, number, dice),
        // Refused by the backend; by the gateway; for want of a deployment.
        16 => match dice % 3 {
            0 => post(
                gateway,
                "gpt-4o",
                "chat/completions",
                &[("x-sim-fault", "status=400")],
                &chat,
                400,
            ),
            1 => post(gateway, "gpt-4o", "chat/completions", &[("api-key", "wrong")], &chat, 401),
            _ => post(gateway, "gpt-9", "chat/completions", &[], &chat, 404),
        },
        // The caller leaves; the answer is read on, and was used.
        17 => hang_up(gateway, &stream, &tokens, true),
        18 => hang_up(gateway, &chat, &tokens, false),
        // Nobody tells what was used.
        _ => post(
            gateway,
            "gpt-4o-mini",
            "chat/completions",
            &[answer, ("x-sim-fault", "no-usage")],
            &stream,
            200,
        ),
    }
}

/// A call that is no chat.
fn other(gateway: &Gateway, number: u64, dice: u64) {
    let text = "warm islands in May ".repeat(1 + (dice % 40) as usize);
    let tokens = (1 + (dice >> 8) % 60).to_string();
    let answer = ("x-sim-tokens", tokens.as_str());
    match number % 20 {
        11 => post(
            gateway,
            "text-embedding-3-small",
            "embeddings",
            &[],
            &json!({ "input": [text, "and more"], "dimensions": 8 }),
            200,
        ),
        12 => {
            let (size, quality) =
                [("1024x1024", "standard"), ("1792x1024", "hd"), ("1024x1792", "standard")]
                    [dice as usize % 3];
            let asks = json!({ "prompt": text, "n": 1, "size": size, "quality": quality });
            post(gateway, "dall-e-3", "images/generations", &[], &asks, 200);
        }
        13 => post(
            gateway,
            "tts-1",
            "audio/speech",
            &[],
            &json!({ "model": "tts-1", "input": format!("é{text}"), "voice": "alloy" }),
            200,
        ),
        14 => {
            transcribe(gateway, if dice & 1 == 0 { "whisper" } else { "gpt-4o-transcribe" }, dice)
        }
        _ => post(
            gateway,
            "gpt-35-turbo-instruct",
            "completions",
            &[answer],
            &json!({ "prompt": text, "max_tokens": 100 }),
            200,
        ),
    }
}

fn target(deployment: &str, operation: &str) -> String {
    format!("/openai/deployments/{deployment}/{operation}?{VERSION}")
}

fn post(
    gateway: &Gateway,
    deployment: &str,
    operation: &str,
    headers: &[(&str, &str)],
    body: &Value,
    status: u16,
) {
    let key =
        headers.iter().find(|(name, _)| *name == "api-key").map_or(&*gateway.key, |(_, key)| key);
    let mut all = vec![("api-key", key), ("Content-Type", "application/json")];
    all.extend(headers.iter().filter(|(name, _)| *name != "api-key"));
    let (target, body) = (target(deployment, operation), body.to_string());
    let request = Request { method: "POST", target: &target, headers: &all, body: body.as_bytes() };
    let answer = http::send(gateway.address(), &request).expect("the gateway answers");
    assert_eq!(answer.status, status, "{target}: {}", String::from_utf8_lossy(&answer.body));
}

fn transcribe(gateway: &Gateway, deployment: &str, dice: u64) {
    let sound = "~".repeat(8_000 + (dice % 64_000) as usize);
    let part = |name: &str, more: &str, content: &str| {
        format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n"
        )
    };
    let file = part("file", "; filename=\"a.wav\"\r\nContent-Type: audio/wav", &sound);
    let body = format!("{}{file}--edge--\r\n", part("model", "", deployment));
    let (target, kind) =
        (target(deployment, "audio/transcriptions"), "multipart/form-data; boundary=edge");
    let headers = [("api-key", &*gateway.key), ("Content-Type", kind)];
    let request =
        Request { method: "POST", target: &target, headers: &headers, body: body.as_bytes() };
    let answer = http::send(gateway.address(), &request).expect("the gateway answers");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// Leaves after the first bytes of the answer, or before there are any.
fn hang_up(gateway: &Gateway, body: &Value, tokens: &str, has_begun: bool) {
    let body = body.to_string();
    let fault = if has_begun { "stall=30" } else { "slow-head=30" };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\napi-key: {}\r\nContent-Type: application/json\r\nx-sim-tokens: {tokens}\r\n\
         x-sim-fault: {fault}\r\nContent-Length: {}\r\n\r\n",
        target("gpt-4o-mini", "chat/completions"),
        gateway.key,
        body.len()
    );
    let mut stream = http::connect(gateway.address()).expect("the gateway listens");
    stream.write_all(head.as_bytes()).expect("it takes the head");
    stream.write_all(body.as_bytes()).expect("it takes the body");
    if has_begun {
        let mut first = [0; 64];
        assert!(stream.read(&mut first).expect("an answer begins") > 0);
    } else {
        std::thread::park_timeout(Duration::from_millis(15));
    }
    // Already gone is fine.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Calls that `batch` makes.
const BATCH_CALLS: u64 = 6;

/// A batch: what it used shows when it is looked up, and is counted once however often that is.
fn batch(gateway: &Gateway) {
    let line = json!({
        "custom_id": "a", "method": "POST", "url": "/chat/completions",
        "body": { "model": "gpt-4o", "messages": [{ "role": "user", "content": "in a batch" }] },
    });
    let form = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\nContent-Type: application/json\r\n\r\n\
         {line}\n{line}\n\r\n--edge--\r\n"
    );
    let send = |method: &str, path: &str, kind: &str, body: &[u8]| -> Value {
        let target = format!("/openai/v1/{path}");
        let headers = [("api-key", &*gateway.key), ("Content-Type", kind)];
        let request = Request { method, target: &target, headers: &headers, body };
        let answer = http::send(gateway.address(), &request).expect("the gateway answers");
        assert!(answer.status < 300, "{target}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let file = send("POST", "files", "multipart/form-data; boundary=edge", form.as_bytes());
    let asks = json!({
        "input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    let batch = send("POST", "batches", "application/json", asks.to_string().as_bytes());
    let path = format!("batches/{}", batch["id"].as_str().expect("an id"));
    let mut last = Value::Null;
    for _ in 2..BATCH_CALLS {
        last = send("GET", &path, "application/json", b"");
    }
    assert_eq!(last["status"], "completed", "{last}");
}

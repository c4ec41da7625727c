//! Times the two sample queries and questions of auditors over a store of its own making.
//!
//! `audit_queries FOLDER ROWS RUNS`: builds the store if the folder does not hold it, and prints a JSON
//! object per query, on a line: its name, the fewest milliseconds of so many runs, and its rows. The
//! store stays for who asks the same of its files. `cargo xtask bench query` runs it.

mod conversations;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Batch, Cursor, Sink, Timestamp};
use kql::{Access, Engine as _, Options};
use store::{Store, StoreConfig};

use conversations::{Conversations, START_MICROS};

const SAMPLE: &str = r"ApiManagementGatewayLogs
| where tolower(OperationId) in ('completions_create','chatcompletions_create')
| extend modelkey = substring(parse_json(BackendResponseBody)['model'], 0, indexof(parse_json(BackendResponseBody)['model'], '-', 0, -1, 2))
| extend model = tostring(parse_json(BackendResponseBody)['model'])
| extend prompttokens = parse_json(parse_json(BackendResponseBody)['usage'])['prompt_tokens']
| extend completiontokens = parse_json(parse_json(BackendResponseBody)['usage'])['completion_tokens']
| extend totaltokens = parse_json(parse_json(BackendResponseBody)['usage'])['total_tokens']
| extend ip = CallerIpAddress
| summarize
sum(todecimal(prompttokens)),
sum(todecimal(completiontokens)),
sum(todecimal(totaltokens)),
avg(todecimal(totaltokens))
by ip, model
";

/// The second sample query answers with every row: what it makes is summed up, so that nothing is
/// left out and no time goes into showing it.
const PROMPTS: &str = r"ApiManagementGatewayLogs
| where tolower(OperationId) in ('completions_create','chatcompletions_create')
| extend model = tostring(parse_json(BackendResponseBody)['model'])
| extend prompttokens = parse_json(parse_json(BackendResponseBody)['usage'])['prompt_tokens']
| extend prompttext = substring(parse_json(parse_json(BackendResponseBody)['choices'])[0], 0, 100)
| summarize count(), sum(tolong(prompttokens)), sum(strlen(prompttext)) by model
";

/// Rows written at once.
const BATCH_ROWS: u64 = 2_000;

/// Names that the script for DuckDB has too, and what is asked.
fn queries(rows: u64) -> Vec<(&'static str, String)> {
    let id = Conversations::new(rows).id_of(rows / 2);
    let owned = [
        ("sample: usage by ip and model", SAMPLE),
        ("sample: prompt usage", PROMPTS),
        (
            "top users by tokens",
            "Interactions | summarize Tokens = sum(TotalTokens) by UserId | top 10 by Tokens",
        ),
        (
            "p95 latency by model and hour",
            "Interactions | summarize percentile(TotalTime, 95) by ModelName, bin(TimeGenerated, 1h)",
        ),
        (
            "substring in prompts",
            "Messages | where Direction == 'prompt' and Content contains 'zwang in' | summarize dcount(CorrelationId), count()",
        ),
        (
            "term in prompts",
            "Messages | where Direction == 'prompt' and Content has 'zugzwang' | project TimeGenerated, CorrelationId, Content",
        ),
        ("tokens by day", "Interactions | summarize sum(TotalTokens) by startofday(TimeGenerated)"),
        (
            "error rate by backend",
            "Interactions | summarize Rate = 1.0 * countif(not(IsRequestSuccess)) / count() by BackendId",
        ),
        ("cost by subscription", "Interactions | summarize sum(CostUsd) by ApimSubscriptionId"),
        ("distinct users", "Interactions | distinct UserId | count"),
        (
            "newest 100 matching rows",
            "Interactions | where ResponseCode == 429 and Url contains 'gpt-4o' | top 100 by TimeGenerated desc | project TimeGenerated, UserId, RequestBody",
        ),
    ];
    let mut all: Vec<_> = owned.map(|(name, text)| (name, text.to_owned())).to_vec();
    let by_id = format!(
        "Interactions | where CorrelationId == '{id}' | project TimeGenerated, RequestBody, ResponseBody"
    );
    all.insert(8, ("one conversation by id", by_id));
    all
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, runs] = arguments.as_slice() else {
        return Err("usage: audit_queries FOLDER ROWS RUNS".into());
    };
    let (folder, rows, runs): (_, u64, u32) = (Path::new(folder), rows.parse()?, runs.parse()?);
    build(folder, rows)?;
    show(&serde_json::json!({ "id": Conversations::new(rows).id_of(rows / 2) }));
    let started = Instant::now();
    let store = open(folder)?;
    let engine = query::Engine::new(Arc::clone(&store), query::QueryConfig::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = Options {
        timeout: Duration::from_secs(3_600),
        access: Access::everything(),
        ..Options::default()
    };
    let newest =
        "Interactions | top 10 by TimeGenerated desc | project TimeGenerated, UserId, ModelName";
    let frame = runtime.block_on(engine.run(newest, &options))?;
    line("first query after start", started.elapsed(), frame.rows.len());
    for (name, text) in queries(rows) {
        let mut least = None;
        for _ in 0..runs.max(1) {
            let started = Instant::now();
            let frame = runtime.block_on(engine.run(&text, &options))?;
            let taken = started.elapsed();
            if least.is_none_or(|(known, _)| taken < known) {
                least = Some((taken, frame.rows.len()));
            }
        }
        let (taken, found) = least.unwrap_or_default();
        line(name, taken, found);
    }
    store.close()?;
    Ok(())
}

fn open(folder: &Path) -> Result<Arc<Store>, store::Error> {
    let config = StoreConfig { retention_days: 0, ..StoreConfig::default() };
    Store::open(folder, config, Timestamp::from_unix_micros(START_MICROS))
}

/// Fills the store, unless it has all rows already. One that was left half-way goes on.
fn build(folder: &Path, rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let store = open(folder)?;
    let mut conversations = Conversations::new(rows);
    let done = store.durable_cursor().applied;
    for first in (done..rows).step_by(usize::try_from(BATCH_ROWS)?) {
        let mut batch = Batch::default();
        for number in first..(first + BATCH_ROWS).min(rows) {
            let (interaction, messages) = conversations.make(number);
            batch.interactions.push(interaction);
            batch.messages.extend(messages);
        }
        let last = first + batch.interactions.len() as u64;
        batch.cursor = Cursor { applied: last, resume_from: last };
        store.write(&batch).map_err(|error| error.to_string())?;
    }
    store.seal()?;
    store.maintain(conversations.end())?;
    store.close()?;
    Ok(())
}

fn line(name: &str, taken: Duration, rows: usize) {
    let millis = taken.as_secs_f64() * 1_000.0;
    show(&serde_json::json!({ "name": name, "ms": millis, "rows": rows }));
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn show(figure: &serde_json::Value) {
    println!("{figure}");
}

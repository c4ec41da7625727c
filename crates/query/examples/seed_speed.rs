//! How fast the seed queries and a query over typed columns run: `seed_speed [rows]`.

use std::sync::Arc;
use std::time::Instant;

use event::{Batch, BodyText, Interaction, Sink, Timestamp};
use kql::{Engine as _, Options};

const USAGE: &str = r"ApiManagementGatewayLogs
| where tolower(OperationId) in ('completions_create','chatcompletions_create')
| extend modelkey = substring(parse_json(BackendResponseBody)['model'], 0, indexof(parse_json(BackendResponseBody)['model'], '-', 0, -1, 2))
| extend model = tostring(parse_json(BackendResponseBody)['model'])
| extend prompttokens = parse_json(parse_json(BackendResponseBody)['usage'])['prompt_tokens']
| extend completiontokens = parse_json(parse_json(BackendResponseBody)['usage'])['completion_tokens']
| extend totaltokens = parse_json(parse_json(BackendResponseBody)['usage'])['total_tokens']
| extend ip = CallerIpAddress
| summarize sum(todecimal(prompttokens)), sum(todecimal(completiontokens)), sum(todecimal(totaltokens)), avg(todecimal(totaltokens)) by ip, model";

const PROMPTS: &str = r"ApiManagementGatewayLogs
| where tolower(OperationId) in ('completions_create','chatcompletions_create')
| extend model = tostring(parse_json(BackendResponseBody)['model'])
| extend prompttokens = parse_json(parse_json(BackendResponseBody)['usage'])['prompt_tokens']
| extend prompttext = substring(parse_json(parse_json(BackendResponseBody)['choices'])[0], 0, 100)
| summarize count(), max(strlen(prompttext)) by model";

const TYPED: &str = r"Interactions
| where Kind == 'chat'
| summarize sum(PromptTokens), sum(CompletionTokens), avg(TotalTokens) by CallerIpAddress, ModelName";

fn interaction(number: i64) -> Interaction {
    let answer = "The sea was calm and the wind came from the west. ".repeat(12);
    let body = format!(
        r#"{{"id":"chatcmpl-{number}","object":"chat.completion","created":1760000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{answer}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{},"completion_tokens":120,"total_tokens":{}}}}}"#,
        number % 400,
        number % 400 + 120
    );
    Interaction {
        time_generated: Timestamp::from_unix_micros(1_760_000_000_000_000 + number * 1_000),
        correlation_id: format!("00000000-0000-7000-8000-{number:012}"),
        operation_id: "ChatCompletions_Create".into(),
        kind: "chat".into(),
        caller_ip_address: format!("10.0.0.{}", number % 50),
        model_name: "gpt-4o-mini".into(),
        prompt_tokens: Some(number % 400),
        completion_tokens: Some(120),
        total_tokens: Some(number % 400 + 120),
        response_body: BodyText::Inline(body),
        ..Interaction::default()
    }
}

#[expect(clippy::print_stdout, reason = "the numbers are what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: i64 = std::env::args().nth(1).map_or(Ok(200_000), |rows| rows.parse())?;
    let folder = tempfile::tempdir()?;
    let now = Timestamp::from_unix_micros(1_760_000_000_000_000);
    let store = store::Store::open(folder.path(), store::StoreConfig::default(), now)?;
    for first in (0..rows).step_by(5_000) {
        let interactions = (first..(first + 5_000).min(rows)).map(interaction).collect();
        store
            .write(&Batch { interactions, ..Batch::default() })
            .map_err(|error| error.to_string())?;
    }
    store.seal()?;
    let engine = query::Engine::new(Arc::clone(&store), query::QueryConfig::default())?;
    let options = Options { access: kql::Access::everything(), ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, query) in
        [("usage by ip and model", USAGE), ("prompt usage", PROMPTS), ("typed columns", TYPED)]
    {
        let started = Instant::now();
        let frame = runtime.block_on(engine.run(query, &options))?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{name}: {} result rows, {:.0} rows/s", frame.rows.len(), rows as f64 / seconds);
    }
    Ok(())
}

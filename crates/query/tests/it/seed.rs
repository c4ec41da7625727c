//! The two queries of the reference architecture, verbatim, over rows as the pipeline writes them.

use event::{Batch, BodyText, Interaction, Json, Message, Sink, Timestamp};
use kql::{Type, Value};

use crate::{Fixture, block_on, options};

const USAGE_BY_IP_AND_MODEL: &str = r"ApiManagementGatewayLogs
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

const PROMPT_USAGE: &str = r"ApiManagementGatewayLogs
| where tolower(OperationId) in ('completions_create','chatcompletions_create')
| extend model = tostring(parse_json(BackendResponseBody)['model'])
| extend prompttokens = parse_json(parse_json(BackendResponseBody)['usage'])['prompt_tokens']
| extend prompttext = substring(parse_json(parse_json(BackendResponseBody)['choices'])[0], 0, 100)
";

fn interaction(number: i64, ip: &str, body: &str) -> Interaction {
    Interaction {
        time_generated: Timestamp::from_unix_micros(1_760_000_000_000_000 + number * 1_000_000),
        correlation_id: format!("00000000-0000-7000-8000-{number:012}"),
        operation_id: "ChatCompletions_Create".into(),
        kind: "chat".into(),
        caller_ip_address: ip.into(),
        response_code: 200,
        request_size: 100,
        response_size: 200,
        is_request_success: true,
        deployment_name: "gpt-35-turbo".into(),
        request_headers: Json(r#"{"user-agent":"test"}"#.into()),
        request_body: BodyText::Inline(
            r#"{"messages":[{"role":"user","content":"Where to?"}]}"#.into(),
        ),
        response_body: BodyText::Inline(body.into()),
        ..Interaction::default()
    }
}

fn chat(total: i64) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","model":"gpt-35-turbo","usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{total}}},"choices":[{{"index":0,"message":{{"role":"assistant","content":"To the sea."}}}}]}}"#,
        total - 10,
        10
    )
}

fn filled() -> Fixture {
    let fixture = Fixture::new();
    let completion = r#"{"model": "text-davinci-003", "usage": {"prompt_tokens": 7, "completion_tokens": 256, "total_tokens": 263}, "choices": [{"text": "\n1. The Maldives: \u00e9toile", "index": 0}]}"#;
    let mut interactions = vec![
        interaction(0, "10.0.0.1", &chat(200)),
        interaction(1, "10.0.0.1", &chat(240)),
        Interaction { is_stream_completion: true, ..interaction(2, "10.0.0.1", &chat(240)) },
        Interaction {
            operation_id: "Completions_Create".into(),
            kind: "completion".into(),
            ..interaction(3, "10.0.0.2", completion)
        },
        interaction(4, "10.0.0.3", r#"{"model":"gpt-4","usage":null,"choices":[]}"#),
        interaction(5, "10.0.0.4", "{\"model\":\"gpt-4\",\"usage\":{\"prompt_"),
        Interaction {
            operation_id: "Embeddings_Create".into(),
            kind: "embedding".into(),
            ..interaction(6, "10.0.0.1", &chat(9))
        },
    ];
    let mut writer = fixture.store.blob().expect("a blob");
    writer.write_all(chat(1000).as_bytes()).expect("writes");
    let blob = writer.finish().expect("durable");
    interactions.push(Interaction { response_body: blob, ..interaction(7, "10.0.0.5", "") });
    let messages =
        vec![Message { content: BodyText::Inline("Where to?".into()), ..Message::default() }];
    fixture.store.write(&Batch { interactions, messages, ..Batch::default() }).expect("writes");
    fixture
}

fn text(value: &Value) -> String {
    if value.is_null() { "null".into() } else { value.to_string() }
}

fn column<'f>(frame: &'f kql::Frame, name: &str) -> Vec<&'f Value> {
    let at = frame.columns.iter().position(|column| &*column.name == name).expect("the column");
    frame.rows.iter().map(|row| &row[at]).collect()
}

#[test]
fn usage_by_ip_and_model_gives_what_the_reference_shows() {
    let fixture = filled();
    let frame = fixture.run(USAGE_BY_IP_AND_MODEL).expect("runs");
    let columns: Vec<_> = frame.columns.iter().map(|c| (&*c.name, c.column_type)).collect();
    assert_eq!(
        columns,
        [
            ("ip", Type::String),
            ("model", Type::String),
            ("sum_prompttokens", Type::Decimal),
            ("sum_completiontokens", Type::Decimal),
            ("sum_totaltokens", Type::Decimal),
            ("avg_totaltokens", Type::Decimal),
        ]
    );
    let mut rows: Vec<String> =
        frame.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join(" ")).collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "10.0.0.1 gpt-35-turbo 650 30 680 226.6666666666666666666666666666667",
            "10.0.0.2 text-davinci-003 7 256 263 263",
            "10.0.0.3 gpt-4 0 0 0 null",
            "10.0.0.4  0 0 0 null",
            "10.0.0.5 gpt-35-turbo 990 10 1000 1000",
        ]
    );
}

#[test]
fn prompt_usage_keeps_all_columns_and_shows_the_answer_as_received() {
    let fixture = filled();
    let frame = fixture.run(PROMPT_USAGE).expect("runs");
    assert_eq!(frame.rows.len(), 7);
    let width = frame.columns.len();
    let last: Vec<_> =
        frame.columns[width - 3..].iter().map(|c| (&*c.name, c.column_type)).collect();
    let expected =
        [("model", Type::String), ("prompttokens", Type::Dynamic), ("prompttext", Type::String)];
    assert_eq!(last, expected);
    let texts = column(&frame, "prompttext");
    let wanted = r#"{"text":"\n1. The Maldives: \u00e9toile","index":0}"#;
    assert!(texts.contains(&&Value::String(wanted.into())), "{texts:?}");
    assert!(
        texts.iter().all(|value| value.as_str().is_some_and(|text| text.chars().count() <= 100))
    );
    let tokens = column(&frame, "prompttokens");
    assert!(tokens.contains(&&Value::Dynamic("7".into())), "{tokens:?}");
    assert_eq!(tokens.iter().filter(|value| value.is_null()).count(), 2);
}

#[test]
fn azure_views_have_azures_columns_in_order() {
    let fixture = filled();
    let frame = fixture.run("ApiManagementGatewayLogs").expect("runs");
    assert_eq!(frame.columns.len(), 59);
    assert_eq!(&*frame.columns[0].name, "TimeGenerated");
    assert_eq!(&*frame.columns[58].name, "_IsBillable");
    let operation = Value::String("Microsoft.ApiManagement/GatewayLogs".into());
    assert_eq!(column(&frame, "OperationName")[0], &operation);
    assert_eq!(column(&frame, "_BilledSize")[0], &Value::Real(300.0));
    assert_eq!(column(&frame, "ResponseCode")[0], &Value::Int(200));
    let llm = fixture.run("ApiManagementGatewayLlmLog | order by TimeGenerated asc").expect("runs");
    assert_eq!(llm.columns.len(), 22);
    assert_eq!(llm.rows.len(), 8);
    assert_eq!(
        column(&llm, "RequestMessages")[0],
        &Value::Dynamic(r#"[{"role":"user","content":"Where to?"}]"#.into())
    );
    assert_eq!(
        column(&llm, "ResponseMessages")[0],
        &Value::Dynamic(r#"[{"role":"assistant","content":"To the sea."}]"#.into())
    );
}

#[test]
fn a_query_without_bodies_opens_no_body_column() {
    let fixture = filled();
    let query = "ApiManagementGatewayLlmLog | summarize sum(PromptTokens) by DeploymentName";
    let plan = block_on(fixture.engine.explain(query, &options())).expect("plans");
    assert!(!plan.contains("Body") && !plan.contains("body"), "{plan}");
    let query = "ApiManagementGatewayLogs | where BackendResponseBody has 'sea' | count";
    let plan = block_on(fixture.engine.explain(query, &options())).expect("plans");
    assert!(plan.contains("body_text") && !plan.contains("RequestBody"), "{plan}");
}

#[test]
fn ranges_of_time_reach_the_store() {
    let fixture = filled();
    fixture.store.seal().expect("seals");
    let later =
        "ApiManagementGatewayLogs | where TimeGenerated > datetime(2030-01-01) | project Url";
    let frame = fixture.run(later).expect("runs");
    assert_eq!(frame.rows.len(), 0);
    assert_eq!(frame.statistics.rows_scanned, 0, "pruned by the manifest");
    let within =
        "Interactions | where TimeGenerated between (datetime(2025-10-09T08:53:20Z) .. 2s) | count";
    assert_eq!(fixture.run(within).expect("runs").rows, [[Value::Long(3)]]);
    let range = kql::parse_datetime("2025-10-09T08:53:21Z")
        .zip(kql::parse_datetime("2025-10-09T08:53:23Z"));
    let limited = kql::Options { time_range: range, ..options() };
    let frame = fixture.run_with("Interactions | count", &limited).expect("runs");
    assert_eq!(frame.rows, [[Value::Long(2)]]);
}

#[test]
fn native_tables_show_blobs_as_text() {
    let fixture = filled();
    let query = "Interactions | where CallerIpAddress == '10.0.0.5' | project strlen(ResponseBody), ResponseBody has 'sea'";
    let length = i64::try_from(chat(1000).len()).expect("short");
    let frame = fixture.run(query).expect("runs");
    assert_eq!(frame.rows, [[Value::Long(length), Value::Bool(true)]]);
    let frame = fixture.run("Messages | project Content").expect("runs");
    assert_eq!(frame.rows, [[Value::String("Where to?".into())]]);
}

#[test]
fn every_catalogue_column_is_bound_and_explained() {
    let fixture = filled();
    for table in query::tables() {
        let frame = fixture.run(table.name).expect("runs");
        let found: Vec<_> = frame.columns.iter().map(|c| (&*c.name, c.column_type)).collect();
        let told: Vec<_> = table.columns.iter().map(|c| (c.name, c.column_type)).collect();
        assert_eq!(found, told);
        assert!(table.columns.iter().all(|column| !column.meaning.is_empty()));
    }
}

#[test]
fn rows_that_narrow_columns_leave_out_have_no_body_read() {
    let fixture = filled();
    fixture.store.seal().expect("seals");
    let filter = "ApiManagementGatewayLogs | where tolower(OperationId) == 'embeddings_create' \
                  and strlen(CallerIpAddress) > 3 and TimeGenerated > datetime(2020-01-01)";
    let scan = |query: &str, asked: &kql::Options| {
        let plan = block_on(fixture.engine.explain(query, asked)).expect("plans");
        plan.lines().find(|line| line.contains("DataSourceExec")).expect("a scan").to_owned()
    };
    let with = format!("{filter} | project CorrelationId, BackendResponseBody");
    let without = format!("{filter} | project CorrelationId");
    let told = scan(&with, &options());
    let (_, predicate) = told.split_once("predicate=").expect("the scan filters rows itself");
    assert!(predicate.contains("tolower") && predicate.contains("strlen"), "{told}");
    // Rows of others are not left out earlier than one's own: that would tell of them.
    let owners = kql::Access::of_subscriptions(["mine".to_owned()]);
    let errors =
        "Interactions | where tolower(OperationId) == 'embeddings_create' | project Errors";
    assert!(scan(errors, &options()).contains("tolower"));
    let told = scan(errors, &kql::Options { access: owners, ..options() });
    assert!(!told.contains("tolower"), "{told}");
    let (rows, same) = (fixture.run(&with).expect("runs"), fixture.run(&without).expect("runs"));
    assert_eq!(column(&rows, "CorrelationId"), column(&same, "CorrelationId"));
    assert_eq!(rows.rows.len(), 1);
    assert_eq!(column(&rows, "BackendResponseBody")[0], &Value::String(chat(9)));
    // What is not sealed yet is filtered all the same.
    let fixture = filled();
    assert_eq!(fixture.run(&with).expect("runs").rows, rows.rows);
}

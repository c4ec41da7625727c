//! What a run may not see is not there, whatever a query does.
//!
//! A word is planted in every column that holds content, inline and in blobs; readers without the right
//! ask for it in every way the language has.

mod attacks;
mod generator;

use event::{
    AdminAction, Batch, BodyText, ContentRead, Interaction, Json, Message, Note, Sink, Timestamp,
};
use kql::{Access, Content, Engine as _, Frame, Options, QueryError, QueryErrorKind, Rows, Value};

use crate::{Fixture, block_on, options};

/// Stands in content and nowhere else.
pub(crate) const PLANTED: &str = "xyzzyplugh";

/// Rows of two subscriptions; every column with content holds the planted word.
pub(crate) fn planted() -> Fixture {
    let fixture = Fixture::new();
    let mut writer = fixture.store.blob().expect("a blob");
    let long = format!("{{\"text\":\"{PLANTED} {}\"}}", "and so on ".repeat(2_000));
    writer.write_all(long.as_bytes()).expect("writes");
    let blob = writer.finish().expect("durable");
    let interactions = (0..12).map(|number| interaction(number, &blob)).collect();
    let messages = (0..12).map(|number| message(number, &blob)).collect();
    let changed =
        AdminAction { operation_name: "subscriptions/update".into(), ..AdminAction::default() };
    let looked = ContentRead { purpose: "test".into(), ..ContentRead::default() };
    let notes = vec![Note::AdminAction(changed), Note::ContentRead(looked)];
    let batch = Batch { interactions, messages, notes, ..Batch::default() };
    fixture.store.write(&batch).expect("writes");
    fixture
}

/// Lately: the store lets old rows go while a long test runs.
fn at(number: i64) -> Timestamp {
    let now = Timestamp::from(std::time::SystemTime::now()).unix_micros();
    Timestamp::from_unix_micros(now - 3_600_000_000 + number * 1_000_000)
}

fn owner(number: i64) -> String {
    if number % 3 == 0 { "theirs".into() } else { "ours".into() }
}

fn interaction(number: i64, blob: &BodyText) -> Interaction {
    let headers = Json(format!(r#"{{"x-note":"{PLANTED}","accept":"*/*"}}"#));
    let body = format!(
        r#"{{"model":"gpt-4o","usage":{{"total_tokens":7}},"messages":[{{"role":"user","content":"{PLANTED}"}}],"choices":[{{"message":{{"role":"assistant","content":"{PLANTED} {number}"}}}}]}}"#
    );
    let answer = if number % 4 == 0 { blob.clone() } else { BodyText::Inline(body.clone()) };
    Interaction {
        time_generated: at(number),
        correlation_id: format!("00000000-0000-7000-8000-{number:012}"),
        operation_id: "ChatCompletions_Create".into(),
        kind: "chat".into(),
        caller_ip_address: format!("10.0.0.{number}"),
        apim_subscription_id: owner(number),
        response_code: if number % 5 == 0 { 429 } else { 200 },
        total_tokens: Some(7 * number),
        request_headers: headers.clone(),
        response_headers: headers.clone(),
        backend_request_headers: headers.clone(),
        backend_response_headers: headers,
        request_body: BodyText::Inline(body),
        request_body_sha256: PLANTED.into(),
        response_body: answer,
        response_body_sha256: PLANTED.into(),
        request_parameters: Json(format!(r#"{{"user":"{PLANTED}","temperature":0.2}}"#)),
        model_name: "gpt-4o".into(),
        ..Interaction::default()
    }
}

fn message(number: i64, blob: &BodyText) -> Message {
    let text = BodyText::Inline(format!("say {PLANTED} {number}"));
    Message {
        time_generated: at(number),
        correlation_id: format!("00000000-0000-7000-8000-{number:012}"),
        direction: "prompt".into(),
        role: "user".into(),
        content: if number % 4 == 0 { blob.clone() } else { text },
        name: PLANTED.into(),
        apim_subscription_id: owner(number),
        ..Message::default()
    }
}

pub(crate) fn with(access: Access) -> Options {
    Options { access, now_ticks: None, ..options() }
}

pub(crate) fn masked() -> Options {
    with(Access::without_content())
}

fn ours() -> Options {
    with(Access::of_subscriptions(["ours".to_owned()]))
}

/// Everything a caller is told.
pub(crate) fn told(answer: &Result<Frame, QueryError>) -> String {
    match answer {
        Ok(frame) => format!("{frame:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// What was planted, and every letter of it that a query might take apart.
pub(crate) fn assert_hidden(query: &str, answer: &Result<Frame, QueryError>) {
    let told = told(answer);
    // What the query itself says may be repeated.
    assert!(query.contains(PLANTED) || !told.contains(PLANTED), "{query}\n{told}");
}

#[test]
fn whoever_may_read_content_sees_what_is_planted_in_every_column() {
    let fixture = planted();
    for table in query::tables() {
        for column in table.columns.iter().filter(|column| column.is_content) {
            let query = format!(
                "{} | where tostring({}) contains '{PLANTED}' | count",
                table.name, column.name
            );
            let frame = fixture.run(&query).expect("runs");
            assert!(frame.rows[0][0].as_long() > Some(0), "{query}");
            assert_eq!(frame.content_columns.len(), 1, "{query}: {:?}", frame.content_columns);
        }
    }
}

#[test]
fn a_masked_column_is_empty_everywhere() {
    let fixture = planted();
    for table in query::tables() {
        let frame = fixture.run_with(table.name, &masked()).expect("runs");
        for (at, column) in table.columns.iter().enumerate().filter(|(_, c)| c.is_content) {
            let is_empty =
                |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
            assert!(frame.rows.iter().all(|row| is_empty(&row[at])), "{}", column.name);
        }
        assert_hidden(table.name, &Ok(frame));
    }
}

#[test]
fn a_masked_column_is_not_read_and_reaches_no_scan() {
    let fixture = planted();
    fixture.store.seal().expect("seals");
    for query in [
        format!("Messages | where Content has '{PLANTED}' | project Role"),
        format!("ApiManagementGatewayLogs | where RequestBody contains '{PLANTED}'"),
        "Interactions | summarize dcount(RequestBody), max(strlen(ResponseBody))".to_owned(),
        "ApiManagementGatewayLlmLog | project RequestMessages, ResponseMessages".to_owned(),
    ] {
        let plan = block_on(fixture.engine.explain(&query, &masked())).expect("plans");
        for name in ["RequestBody", "ResponseBody", "Content@", "body_text", "_messages", "Blob"] {
            assert!(!plan.contains(name), "{query}\n{plan}");
        }
        let frame = fixture.run_with(&query, &masked()).expect("runs");
        assert!(frame.content_columns.is_empty());
    }
}

#[test]
fn a_predicate_on_a_masked_column_costs_the_same_whether_it_would_hold() {
    let fixture = planted();
    fixture.store.seal().expect("seals");
    let cost = |word: &str| {
        let query = format!("Messages | where Content has '{word}' | count");
        let frame = fixture.run_with(&query, &masked()).expect("runs");
        (frame.rows.clone(), frame.statistics.rows_scanned, frame.statistics.bytes_scanned)
    };
    assert_eq!(cost(PLANTED), cost("nowhere"));
}

#[test]
fn without_a_purpose_content_is_refused_and_the_fix_is_named() {
    let fixture = planted();
    let access = Access { rows: Rows::All, content: Content::WithoutPurpose };
    let asked = with(access);
    let error = fixture.run_with("Messages | take 1", &asked).expect_err("no purpose");
    assert_eq!(error.kind(), QueryErrorKind::Forbidden);
    for part in ["x-gatehouse-purpose", "--purpose", "project-away Content, Name"] {
        assert!(error.message().contains(part), "{error}");
    }
    let frame = fixture.run_with("Messages | project-away Content, Name | take 1", &asked);
    assert_eq!(frame.expect("runs").rows.len(), 1);
    let join = "Interactions | project CorrelationId | where CorrelationId in (Messages | where Content has 'a' | project CorrelationId)";
    assert_eq!(
        fixture.run_with(join, &asked).expect_err("no purpose").kind(),
        QueryErrorKind::Forbidden
    );
}

#[test]
fn the_columns_a_query_read_are_told_with_its_answer_and_with_its_error() {
    let fixture = planted();
    let frame = fixture
        .run("Messages | where Content has 'say' | project Role | join kind=leftouter (Interactions | project CorrelationId, RequestHeaders) on $left.Role == $right.CorrelationId")
        .expect("runs");
    assert_eq!(frame.content_columns, ["Interactions.RequestHeaders", "Messages.Content"]);
    // The names that a bag holds are asked for first, and an error may suggest one of them.
    let error = fixture
        .run("Interactions | project Kind, RequestHeaders | evaluate bag_unpack(RequestHeaders) | where Nonsense == 1")
        .expect_err("no such column");
    assert_eq!(error.content_columns(), ["Interactions.RequestHeaders"]);
}

#[test]
fn a_run_that_says_nothing_of_its_access_reads_no_table() {
    let fixture = planted();
    let error =
        fixture.run_with("Interactions | count", &with(Access::default())).expect_err("nothing");
    assert_eq!(error.kind(), QueryErrorKind::Forbidden);
    assert!(fixture.run_with("print 1", &with(Access::default())).is_ok());
}

#[test]
fn a_subscriber_sees_rows_of_its_own_in_every_table_that_has_them() {
    let fixture = planted();
    let long = |query: &str| {
        let frame = fixture.run_with(query, &ours()).expect(query);
        frame.rows[0][0].as_long()
    };
    for table in ["Interactions", "Messages", "ApiManagementGatewayLogs"] {
        assert_eq!(long(&format!("{table} | count")), Some(8), "{table}");
        assert_eq!(
            long(&format!("{table} | where ApimSubscriptionId == 'theirs' | count")),
            Some(0)
        );
    }
    assert_eq!(long("ApiManagementGatewayLlmLog | count"), Some(8));
    assert_eq!(long("Interactions | summarize dcount(CallerIpAddress)"), Some(8));
    assert_eq!(
        long("union withsource=T * | where ApimSubscriptionId == 'theirs' | count"),
        Some(0)
    );
    fixture.store.seal().expect("seals");
    assert_eq!(long("Interactions | where CallerIpAddress == '10.0.0.0' | count"), Some(0));
    assert_eq!(long("Interactions | where TimeGenerated > datetime(2025-01-01) | count"), Some(8));
}

#[test]
fn tables_without_owners_are_not_there_for_a_subscriber() {
    let fixture = planted();
    for table in ["AdminActions", "ContentReads", "SecurityEvents", "Alerts", "BackendHealth"] {
        let error = fixture.run_with(table, &ours()).expect_err(table);
        assert_eq!(error.kind(), QueryErrorKind::Semantic, "{error}");
    }
    let frame = fixture.run_with("search 'subscriptions'", &ours()).expect("runs");
    assert_eq!(frame.rows.len(), 0);
    let catalogue = fixture.engine.catalogue(&ours().access);
    assert_eq!(
        catalogue.table_names(),
        [
            "ApiManagementGatewayLlmLog",
            "ApiManagementGatewayLogs",
            "CostAdjustments",
            "Interactions",
            "Messages"
        ]
    );
}

#[test]
fn what_a_subscriber_is_told_of_cost_says_nothing_of_rows_of_others() {
    let fixture = planted();
    fixture.store.seal().expect("seals");
    let frame = fixture.run_with("Interactions | count", &ours()).expect("runs");
    assert_eq!((frame.statistics.rows_scanned, frame.statistics.bytes_scanned), (0, 0));
    let plan = block_on(
        fixture.engine.explain("Interactions | where CallerIpAddress == '10.0.0.0'", &ours()),
    )
    .expect("plans");
    let (above, below) = plan.split_once("OwnRows").expect("a step of its own");
    assert!(above.contains("10.0.0.0") && !below.contains("10.0.0.0"), "{plan}");
}

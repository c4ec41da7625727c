//! What is not read because a query does not need it: searches for terms, and the newest rows.

use event::{Batch, BodyText, Interaction, Message, Sink, Timestamp};
use kql::{Access, Options, Value};

use crate::{Fixture, block_on, options};

const DAY_MICROS: i64 = 86_400_000_000;
const ROWS_A_DAY: i64 = 10;
const DAYS: i64 = 8;

/// A prompt of each row; one of the third day has a seldom word, one of the fifth has it escaped.
fn prompt(day: i64, row: i64) -> (String, String) {
    let said = match (day, row) {
        (2, 4) => "and so it came to Zugzwang in the end".to_owned(),
        (4, 4) => "the word \"Zugzwang\" is Größe in German".to_owned(),
        _ => format!("this is what number {row} of day {day} has to say about it"),
    };
    let quoted = said.replace('"', "\\\"").replace('ö', "\\u00f6").replace('ß', "\\u00df");
    (format!(r#"{{"messages":[{{"role":"user","content":"{quoted}"}}]}}"#), said)
}

/// Some days, each in an extent of its own.
fn filled() -> Fixture {
    let fixture = Fixture::new();
    for day in 0..DAYS {
        let mut batch = Batch::default();
        for row in 0..ROWS_A_DAY {
            let micros = 1_760_000_000_000_000 + day * DAY_MICROS + row * 1_000_000;
            let (body, said) = prompt(day, row);
            let interaction = Interaction {
                time_generated: Timestamp::from_unix_micros(micros),
                correlation_id: format!("{day}-{row}"),
                apim_subscription_id: if row % 2 == 0 { "ours" } else { "theirs" }.into(),
                response_code: if row == 3 { 429 } else { 200 },
                request_body: BodyText::Inline(body),
                ..Interaction::default()
            };
            batch.messages.push(Message {
                time_generated: interaction.time_generated,
                correlation_id: interaction.correlation_id.clone(),
                apim_subscription_id: interaction.apim_subscription_id.clone(),
                direction: "prompt".into(),
                content: BodyText::Inline(said),
                ..Message::default()
            });
            batch.interactions.push(interaction);
        }
        fixture.store.write(&batch).expect("writes");
        fixture.store.seal().expect("seals");
    }
    fixture
}

/// The ids that a query answers, sorted, and the rows that were read for it.
fn asked(fixture: &Fixture, query: &str) -> (Vec<String>, u64) {
    let frame = fixture.run(query).expect("runs");
    let mut ids: Vec<String> = frame.rows.iter().map(|row| row[0].to_string()).collect();
    ids.sort();
    (ids, frame.statistics.rows_scanned)
}

#[test]
fn a_search_for_a_term_reads_only_extents_that_may_have_it() {
    let fixture = filled();
    let all = u64::try_from(DAYS * ROWS_A_DAY).expect("few");
    let searches = [
        ("Content has 'zugzwang'", vec!["2-4", "4-4"], 20),
        ("Content has_cs 'Zugzwang'", vec!["2-4", "4-4"], 20),
        ("Content has_cs 'ZUGZWANG'", vec![], 20),
        ("Content has 'größe'", vec!["4-4"], 10),
        ("Content contains 'to zugzwang in'", vec!["2-4"], 20),
        ("Content has_any ('zugzwang', 'nowhere')", vec!["2-4", "4-4"], 20),
        ("Content has_all ('zugzwang', 'German')", vec!["4-4"], 10),
        ("Content has 'zugzwang' and Content has 'end'", vec!["2-4"], 10),
        ("Content has 'nowhere'", vec![], 0),
        // These say nothing of whole terms.
        ("Content contains 'ugzwan'", vec!["2-4", "4-4"], all),
        ("Content has 'zugzwang' or CorrelationId == '0-0'", vec!["0-0", "2-4", "4-4"], all),
        ("Content !has 'number'", vec!["2-4", "4-4"], all),
    ];
    for (search, found, read) in searches {
        let query = format!("Messages | where {search} | project CorrelationId");
        assert_eq!(
            asked(&fixture, &query),
            (found.iter().map(ToString::to_string).collect(), read)
        );
    }
    let bodies = "ApiManagementGatewayLogs | where BackendRequestBody has 'zugzwang' | project CorrelationId";
    assert_eq!(asked(&fixture, bodies).0, ["2-4", "4-4"]);
    let bodies = "Interactions | where RequestBody has 'u00f6' | project CorrelationId";
    assert_eq!(asked(&fixture, bodies).0, ["4-4"], "bodies are searched as they were sent");
}

#[test]
fn what_a_search_leaves_out_tells_nobody_of_texts_he_may_not_see() {
    let fixture = filled();
    let plan = |query: &str, access: Access| {
        let asked = Options { access, ..options() };
        block_on(fixture.engine.explain(query, &asked)).expect("plans")
    };
    let search = |word: &str, access: Access| {
        let query =
            format!("Interactions | where RequestBody has '{word}' | project CorrelationId");
        plan(&query, access).replace(word, "…")
    };
    let files = |plan: &str| plan.matches(".parquet").count();
    assert_eq!(files(&search("zugzwang", Access::everything())), 2);
    assert_eq!(files(&search("nowhere", Access::everything())), 0);
    let masked = search("zugzwang", Access::without_content());
    assert_eq!(masked, search("nowhere", Access::without_content()));
    let ours = || Access {
        content: kql::Content::Readable,
        ..Access::of_subscriptions(["ours".to_owned()])
    };
    assert_eq!(search("zugzwang", ours()), search("nowhere", ours()));
    // Rows of others are read, to be left out.
    let all = plan("Interactions | project CorrelationId", ours());
    let groups = |plan: &str| -> String {
        let (_, groups) = plan.split_once("file_groups=").expect("files are read");
        groups.split("projection=").next().unwrap_or_default().to_owned()
    };
    assert_eq!(groups(&search("nowhere", ours())), groups(&all));
}

#[test]
fn the_newest_rows_are_found_in_the_newest_extents() {
    let fixture = filled();
    let ids = |frame: &kql::Frame| -> Vec<String> {
        frame.rows.iter().map(|row| row[0].to_string()).collect()
    };
    let run = |query: &str| fixture.run(query).expect("runs");
    let newest = run("Interactions | top 3 by TimeGenerated | project CorrelationId, RequestBody");
    assert_eq!(ids(&newest), ["7-9", "7-8", "7-7"]);
    assert_eq!(newest.statistics.rows_scanned, 10);
    let query = "ApiManagementGatewayLogs | where ResponseCode == 429 | project Id = CorrelationId, At = TimeGenerated \
                 | top 4 by At desc, Id asc | extend Of = strcat('day ', Id) | project Of";
    let found = run(query);
    assert_eq!(ids(&found), ["day 7-3", "day 6-3", "day 5-3", "day 4-3"]);
    assert!(found.statistics.rows_scanned < 80, "{}", found.statistics.rows_scanned);
    // More than there are, from every extent; what is in memory counts as well.
    let late = Interaction {
        time_generated: Timestamp::from_unix_micros(1_760_000_000_000_000 + 20 * DAY_MICROS),
        correlation_id: "late".into(),
        response_code: 429,
        ..Interaction::default()
    };
    let batch = Batch { interactions: vec![late], ..Batch::default() };
    fixture.store.write(&batch).expect("writes");
    let query = "Interactions | where ResponseCode == 429 | sort by TimeGenerated | take 1000 | project CorrelationId";
    let all = run(query);
    assert_eq!(ids(&all), ["late", "7-3", "6-3", "5-3", "4-3", "3-3", "2-3", "1-3", "0-3"]);
    let count = run("Interactions | top 1000 by TimeGenerated | count");
    assert_eq!(count.rows, [[Value::Long(81)]]);
}

#[test]
fn looking_for_the_newest_rows_reads_no_column_that_is_not_asked_for() {
    let fixture = filled();
    let without = Options { access: Access::everything(), ..options() };
    let frame = |query: &str| fixture.run_with(query, &without).expect("runs");
    assert!(
        frame("Interactions | top 3 by TimeGenerated | project Url").content_columns.is_empty()
    );
    let with = frame("Interactions | top 3 by TimeGenerated | project Url, RequestBody");
    assert_eq!(with.content_columns, ["Interactions.RequestBody"]);
}

//! Messages, kept with their interactions.

use event::Json;

use super::*;

const SAID: &str = "Who said \"so\",\nand why? Für wen, 😀?";
const TOOL: &str = r#"{"type":"function","function":{"name":"look","parameters":{"a":1}}}"#;
const ANSWER: &str = "That is what the fox says, and nobody knows why.";
const ELSEWHERE: &str = "This text stands in no body at all, as that of token ids.";

fn part(place: i32, direction: &str, text: &str) -> Message {
    Message {
        sequence_number: place,
        direction: direction.into(),
        role: "user".into(),
        content_type: "text".into(),
        choice_index: place % 2,
        name: if place == 1 { "look".into() } else { String::new() },
        content: BodyText::Inline(text.into()),
        ..message(9, NOON)
    }
}

/// An interaction with messages of every make.
pub(super) fn told() -> Batch {
    // As Python writes it: all that is not ASCII is escaped.
    let escaped = r#"Who said \"so\",\nand why? F\u00fcr wen, \ud83d\ude00?"#;
    let mut row = interaction(9, NOON);
    row.request_body = BodyText::Inline(format!(
        r#"{{"messages":[{{"content":"{escaped}"}}],"tools":[{TOOL}],"user":"x"}}"#
    ));
    row.response_body = BodyText::Inline(format!(r#"{{"choices":[{{"text":"{ANSWER}"}}]}}"#));
    row.request_headers = Json("{}".into());
    let messages = vec![
        part(0, "prompt", SAID),
        part(1, "prompt", TOOL),
        part(2, "prompt", ELSEWHERE),
        part(3, "prompt", "short"),
        part(4, "completion", ANSWER),
    ];
    Batch { interactions: vec![row], messages, cursor: cursor(9), ..Batch::default() }
}

pub(super) fn told_texts() -> Vec<String> {
    [SAID, TOOL, ELSEWHERE, "short", ANSWER].map(str::to_owned).to_vec()
}

/// All rows of `Messages`, as text.
fn all(store: &Store) -> String {
    let columns: Vec<_> =
        event::table("Messages").unwrap().columns.iter().map(|c| c.name).collect();
    let rows = select(store.provider("Messages").unwrap(), None, &columns).unwrap();
    arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string()
}

#[test]
fn messages_come_back_as_they_were_written_from_memory_and_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (folded, apart) = (folder.path().join("folded"), folder.path().join("apart"));
    let (folded, apart) = (open(&folded), open(&apart));
    write(&folded, told());
    // The same without their interaction: rows of their own.
    write(&apart, Batch { interactions: Vec::new(), ..told() });
    assert_eq!(all(&folded), all(&apart));
    assert_eq!(folded.status().tables[1].tail_rows, 5);
    folded.seal().unwrap();
    apart.seal().unwrap();
    assert_eq!(all(&folded), all(&apart));
    let mut expected = told_texts();
    expected.sort();
    assert_eq!(texts(folded.provider("Messages").unwrap(), "Content"), expected);
    assert_eq!((folded.status().tables[1].rows, folded.status().tables[1].extents), (5, 0));
    assert_eq!((apart.status().tables[1].rows, apart.status().tables[1].extents), (5, 1));
}

#[test]
fn a_text_that_a_body_has_is_not_kept_a_second_time() {
    let cell = crate::parts::fold(&told()).parts.remove(0);
    assert!(!cell.contains("fox") && !cell.contains("said") && !cell.contains("parameters"));
    assert!(cell.contains(ELSEWHERE) && cell.contains("short"));
}

#[test]
fn filters_and_counts_hold_for_messages_that_are_kept_with_interactions() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 50));
    store.seal().unwrap();
    write(&store, loose(batch(50, 60)));
    write(&store, told());
    let messages = || store.provider("Messages").unwrap();
    assert_eq!(texts(messages(), "Role").len(), 65);
    let one = col("\"CorrelationId\"").eq(datafusion::prelude::lit("id-000007"));
    let found = select(messages(), Some(one), &["Content"]).unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    let said = col("\"Content\"").eq(datafusion::prelude::lit(SAID));
    let found = select(messages(), Some(said), &["SequenceNumber"]).unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    let counted =
        run(async { SessionContext::new().read_table(messages()).unwrap().count().await.unwrap() });
    assert_eq!(counted, 65);
}

#[test]
fn a_message_at_odds_with_its_interaction_is_a_row_of_its_own() {
    let mut odd = told();
    odd.messages[0].model_name = "another".into();
    let folded = crate::parts::fold(&odd);
    assert!(folded.parts[0].is_empty(), "later ones have lost their place");
    assert_eq!(folded.loose.len(), 5);
}

#[test]
fn a_blob_that_only_a_message_names_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut writer = store.blob().unwrap();
    writer.write_all(b"a long message").unwrap();
    let blob = writer.finish().unwrap();
    let BodyText::Blob { sha256, .. } = blob.clone() else { panic!("it is a blob") };
    let mut rows = told();
    rows.messages[2].content = blob;
    write(&store, rows);
    let much_later = at(NOON + 400 * DAY);
    let keep = StoreConfig { retention_days: 0, ..quiet() };
    store.reconfigure(keep).unwrap();
    store.maintain(much_later).unwrap();
    store.seal().unwrap();
    store.maintain(at(NOON + 800 * DAY)).unwrap();
    assert_eq!(store.read_text(&sha256, 99).unwrap().text, "a long message");
}

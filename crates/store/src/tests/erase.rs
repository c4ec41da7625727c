//! Erasing content: it is nowhere any more, and all else is as it was.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use datafusion::logical_expr::Expr;
use datafusion::prelude::lit;
use event::{InteractionId, Json};

use super::*;
use crate::copy;
use crate::encode::ExtentWriter;
use crate::extent::TABLES;
use crate::schema::written_schema;
use crate::{Erasure, ErrorKind, has_terms};

/// Stands in everything that is to be erased, and nowhere else.
const CANARY: &str = "Kanarienvogel";
/// Stands in what is not to be erased.
const KEPT: &str = "Nachtigall";

fn id(number: i64) -> InteractionId {
    let random = [u8::try_from(number).unwrap(); 10];
    InteractionId::mint(at(NOON + number * 1_000_000), random)
}

fn ids(numbers: impl IntoIterator<Item = i64>) -> BTreeSet<InteractionId> {
    numbers.into_iter().map(id).collect()
}

fn json(word: &str) -> Json {
    Json(format!(r#"{{"x-note":"{word}"}}"#))
}

/// An interaction that says a word wherever there is room for it.
fn row(number: i64, word: &str) -> Interaction {
    Interaction {
        correlation_id: id(number).to_string(),
        user_id: format!("user {number}"),
        url: format!("https://gw.example/openai/chat?q={word}"),
        backend_url: format!("https://b.example/chat?q={word}"),
        request_headers: json(word),
        request_body: BodyText::Inline(format!(
            r#"{{"messages":[{{"content":"What does the {word} sing at night?"}}]}}"#
        )),
        request_body_sha256: "ab".repeat(32),
        response_headers: json(word),
        response_body: BodyText::Inline(format!(r#"{{"text":"The {word} sings of the day."}}"#)),
        response_body_sha256: "cd".repeat(32),
        backend_request_headers: json(word),
        backend_response_headers: json(word),
        request_parameters: json(word),
        content_filter: json(word),
        errors: json(word),
        last_error_message: word.into(),
        last_error_reason: "content_filter".into(),
        completion_tokens: Some(7),
        ..interaction(number, NOON + number * 1_000_000)
    }
}

fn said(number: i64, word: &str) -> Vec<Message> {
    let text = format!("What does the {word} sing at night?");
    let part = |place: i32, text: String| Message {
        sequence_number: place,
        correlation_id: id(number).to_string(),
        direction: "prompt".into(),
        content: BodyText::Inline(text),
        name: word.into(),
        ..message(number, NOON + number * 1_000_000)
    };
    vec![part(0, text), part(1, format!("Of no body: {word}"))]
}

/// Interactions with these numbers, of which some say the canary's word.
fn told(from: i64, to: i64, secret: &[i64]) -> Batch {
    let numbers = from..to;
    let word = |number: i64| if secret.contains(&number) { CANARY } else { KEPT };
    Batch {
        interactions: numbers.clone().map(|number| row(number, word(number))).collect(),
        messages: numbers.clone().flat_map(|number| said(number, word(number))).collect(),
        cursor: cursor(to),
        ..Batch::default()
    }
}

fn is_in(haystack: &[u8], word: &str) -> bool {
    memchr::memmem::find(haystack, word.as_bytes()).is_some()
}

/// The files below the folder that hold a word: as bytes, as blobs, and in the columns of extents.
fn files_with(folder: &Path, word: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in crate::disk::entries(&next).unwrap() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let mut text = Vec::new();
            if bytes.starts_with(b"GHBLOB") {
                let mut content = &bytes[8..];
                match bytes[7] {
                    1 => zstd::Decoder::new(content).unwrap().read_to_end(&mut text).unwrap(),
                    _ => content.read_to_end(&mut text).unwrap(),
                };
            }
            if path.extension().is_some_and(|extension| extension == "parquet") {
                let file = std::fs::File::open(&path).unwrap();
                let reader =
                    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
                for batch in reader.unwrap().build().unwrap() {
                    text.extend(format!("{:?}", batch.unwrap()).into_bytes());
                }
            }
            if is_in(&bytes, word) || is_in(&text, word) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All cells of some columns, or of all, for the rows that pass a filter.
fn shown(store: &Store, table: &str, filter: Option<Expr>) -> String {
    let columns: Vec<_> = event::table(table).unwrap().columns.iter().map(|c| c.name).collect();
    let rows = select(store.provider(table).unwrap(), filter, &columns).unwrap();
    let mut lines: Vec<String> = arrow::util::pretty::pretty_format_batches(&rows)
        .unwrap()
        .to_string()
        .lines()
        .map(|line| line.replace([' ', '-'], ""))
        .collect();
    lines.sort();
    lines.dedup();
    lines.join("\n")
}

fn of(numbers: &[i64], is_in: bool) -> Option<Expr> {
    let list = numbers.iter().map(|number| lit(id(*number).to_string())).collect();
    Some(col("\"CorrelationId\"").in_list(list, !is_in))
}

#[test]
fn content_is_erased_and_all_else_of_the_same_extents_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let secret = [3, 4, 15];
    write(&store, told(0, 10, &secret));
    store.seal().unwrap();
    // Still in memory; messages of these are rows of their own.
    write(&store, loose(told(10, 20, &secret)));
    let others = |table: &str| shown(&store, table, of(&secret, false));
    let before = (others("Interactions"), others("Messages"));
    assert!(before.0.contains(KEPT) && before.1.contains(KEPT));

    let done = store.erase(&ids(secret)).unwrap();
    assert_eq!(
        done,
        Erasure { rows: 5, extents: 3, blobs: 0 },
        "three rows and two loose messages"
    );
    assert!(files_with(folder.path(), CANARY).is_empty());
    assert_eq!((others("Interactions"), others("Messages")), before);
    assert_eq!(texts(store.provider("Messages").unwrap(), "Content").len(), 34);
    assert_eq!(store.status().tables[1].rows, 34);

    // What is there of an erased row is what the pipeline would write of one.
    let expected = tempfile::tempdir().unwrap();
    let rebuilt = open(expected.path());
    let mut rows = told(0, 20, &secret);
    for number in secret {
        rows.interactions[usize::try_from(number).unwrap()].erase_content();
    }
    write(&rebuilt, Batch { messages: Vec::new(), ..rows });
    let erased = |store: &Store| shown(store, "Interactions", of(&secret, true));
    assert_eq!(erased(&store), erased(&rebuilt));
    let text = erased(&store);
    assert!(text.contains("user15") && text.contains("content_filter") && text.contains("true"));
    drop(store);
    assert_eq!(erased(&open(folder.path())), text);
}

impl Store {
    /// Sequence numbers of the rows that a search of bodies finds.
    fn found(&self, word: &str) -> (usize, usize) {
        let terms = || has_terms(word, true, true).unwrap();
        let in_bodies = terms().and(datafusion::functions::string::expr_fn::contains(
            col("\"RequestBody\""),
            lit(word),
        ));
        let in_content = terms()
            .and(datafusion::functions::string::expr_fn::contains(col("\"Content\""), lit(word)));
        let count = |table: &str, filter: Expr, column: &str| {
            let rows = select(self.provider(table).unwrap(), Some(filter), &[column]).unwrap();
            rows.iter().map(RecordBatch::num_rows).sum()
        };
        let interactions = count("Interactions", in_bodies, "LedgerSequence");
        (interactions, count("Messages", in_content, "CorrelationId"))
    }
}

#[test]
fn a_search_finds_nothing_of_it_and_all_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, told(0, 10, &[2, 7]));
    store.seal().unwrap();
    assert_eq!((store.found(CANARY), store.found(KEPT)), ((2, 4), (8, 16)));
    store.erase(&ids([2, 7])).unwrap();
    assert_eq!((store.found(CANARY), store.found(KEPT)), ((0, 0), (8, 16)));
    // The filters of terms are new, too: they do not know the word.
    let extents = store.shared().snapshot().table(0).extents.clone();
    let asked = [has_terms(CANARY, true, true).unwrap()];
    assert!(matches!(crate::terms::choose(&extents[0], &asked), crate::terms::Choice::Nothing));
}

#[test]
fn extents_that_cannot_hold_an_id_stay_as_they_are_and_a_second_order_finds_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 0..4 {
        write(&store, told(number * 5, number * 5 + 5, &[7]));
        store.seal().unwrap();
    }
    let before = files(folder.path());
    let done = store.erase(&ids([7, 99])).unwrap();
    assert_eq!((done.rows, done.extents), (1, 1));
    let after = files(folder.path());
    assert_eq!(before.iter().filter(|path| after.contains(path)).count(), 3);
    assert_eq!(store.erase(&ids([7, 99])).unwrap(), Erasure::default());
    assert_eq!(store.erase(&BTreeSet::new()).unwrap(), Erasure::default());
    assert_eq!(files(folder.path()), after);
    assert!(store.verify().unwrap().is_empty());
    // Merged with others, it stays erased.
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 4);
    assert!(files_with(folder.path(), CANARY).is_empty());
}

fn blob(store: &Store, content: &str) -> BodyText {
    let mut writer = store.blob().unwrap();
    writer.write_all(content.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn sha256(text: &BodyText) -> String {
    match text {
        BodyText::Blob { sha256, .. } => sha256.clone(),
        BodyText::Inline(_) => panic!("a blob was written"),
    }
}

#[test]
fn blobs_go_at_once_unless_another_row_or_one_to_come_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let there = |text: &BodyText| store.open_blob(&sha256(text)).is_ok();
    let alone = blob(&store, &format!("{CANARY} ").repeat(20_000));
    let raw = blob(&store, &format!("{CANARY} as bytes"));
    let on_disk = blob(&store, "named by another row on disk");
    let in_memory = blob(&store, "named by a row in memory");
    let of_message = blob(&store, &format!("{CANARY} in a message"));
    let mut rows = told(0, 3, &[1]);
    rows.interactions[1].request_body = alone.clone();
    rows.interactions[1].request_body_sha256 = sha256(&raw);
    rows.interactions[1].response_body = in_memory.clone();
    rows.interactions[2].request_body = on_disk.clone();
    rows.messages[2].content = on_disk.clone();
    rows.messages[3].content = of_message.clone();
    write(&store, rows);
    store.seal().unwrap();
    // A seal that begins later finds it in memory.
    let mut later = told(3, 4, &[]);
    later.interactions[0].response_body = in_memory.clone();
    write(&store, later);
    // Its row is on the way.
    let to_come = blob(&store, "named by a row to come");
    let done = store.erase(&ids([1])).unwrap();
    assert_eq!(done, Erasure { rows: 1, extents: 1, blobs: 3 });
    assert!(!there(&alone) && !there(&raw) && !there(&of_message));
    assert!(there(&on_disk) && there(&in_memory) && there(&to_come));
    assert!(files_with(folder.path(), CANARY).is_empty());

    // Once the next batch does not name it, nobody will.
    write(&store, told(4, 5, &[]));
    assert_eq!(store.erase(&ids([1])).unwrap().blobs, 1);
    assert!(!there(&to_come));
}

/// Rows come and go with one and the same blob, while it is erased again and again: no row lacks it.
#[test]
fn a_blob_that_is_written_again_meanwhile_is_never_taken_from_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..12 {
                let text = blob(&store, "the same text over and over");
                let mut rows = told(number, number + 1, &[]);
                rows.interactions[0].request_body = text.clone();
                write(&store, rows);
                assert!(store.open_blob(&sha256(&text)).is_ok(), "of row {number}");
                store.erase(&ids([number])).unwrap();
            }
        });
        for _ in 0..12 {
            store.erase(&ids([200])).unwrap();
        }
        writer.join().unwrap();
    });
    let mut left = 0;
    store.shared().blobs.walk(|_| left += 1).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_reader_that_began_before_finishes_and_the_old_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, told(0, 5, &[3]));
    store.seal().unwrap();
    let snapshot = store.snapshot();
    store.erase(&ids([3])).unwrap();
    assert_eq!(files_with(folder.path(), CANARY).len(), 1, "the old file, while it is read");
    let bodies = texts(snapshot.provider("Interactions").unwrap(), "RequestBody");
    assert_eq!(bodies.iter().filter(|body| body.contains(CANARY)).count(), 1);
    drop(snapshot);
    assert!(files_with(folder.path(), CANARY).is_empty());
}

#[test]
fn a_crash_leaves_the_old_rows_or_the_new_ones_and_the_next_order_does_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, told(0, 5, &[3]));
    store.seal().unwrap();
    let body = blob(&store, &format!("{CANARY} at length"));
    let mut second = told(5, 10, &[8]);
    second.interactions[3].request_body = body;
    write(&store, second);
    store.seal().unwrap();
    let old = files(folder.path());
    // Before the transaction: a whole new file, which no manifest names.
    let table = &TABLES[0];
    let extent = store.state().extents.tables[0][0].clone();
    let shared = store.shared();
    let (new_id, day) = (shared.next_extent_id(), extent.record.day);
    let blobs = HashSet::new();
    let mut writer = ExtentWriter::create(&shared.folder, &blobs, table, day, new_id).unwrap();
    copy::copy(&extent, &written_schema(table), &mut writer, Ok).unwrap();
    std::mem::forget(writer.finish().unwrap());
    drop(extent);
    drop(store);
    let store = open(folder.path());
    assert_eq!(files(folder.path()), old);
    assert_eq!(store.found(CANARY), (1, 4));

    // After the transaction of the first of two extents: its old file is still there, and the blob of the
    // second. The process dies with a reader that holds them.
    let reader = store.snapshot();
    let first = store.state().extents.tables[0][0].clone();
    let all = ids([3, 8]);
    let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(store.shared().erase_in(table, &first, &texts).unwrap(), 1);
    std::mem::forget((reader, first));
    drop(store);
    assert_eq!(files(folder.path()).len(), 3);
    let store = open(folder.path());
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(store.found(CANARY), (0, 2), "the second is as it was");

    // After both, before the blobs.
    let second = store.state().extents.tables[0][1].clone();
    assert_eq!(store.shared().erase_in(table, &second, &texts).unwrap(), 1);
    drop(second);
    assert_eq!(files_with(folder.path(), CANARY).len(), 1, "the blob");
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.erase(&all).unwrap(), Erasure { rows: 0, extents: 0, blobs: 1 });
    assert!(files_with(folder.path(), CANARY).is_empty());
    assert_eq!(numbers(interactions(&store), None), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_damaged_extent_is_named_and_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 0..3 {
        write(&store, told(number * 5, number * 5 + 5, &[2, 7, 12]));
        store.seal().unwrap();
    }
    drop(store);
    let path = files(folder.path())[1].clone();
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    // The pages of the first columns; the footer is whole.
    bad[..good.len() / 2].fill(0x5a);
    std::fs::write(&path, bad).unwrap();
    let store = open(folder.path());
    let error = store.erase(&ids([2, 7, 12])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let text = error.to_string();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(text.contains(&name) && text.contains("order the erasure again"), "{text}");
    assert!(text.starts_with("1 files"), "{text}");
    drop(store);
    std::fs::write(&path, good).unwrap();
    let store = open(folder.path());
    assert_eq!(store.found(CANARY), (1, 2), "of the damaged one only");
    assert_eq!(store.erase(&ids([2, 7, 12])).unwrap().rows, 1);
    assert!(files_with(folder.path(), CANARY).is_empty());
}

#[test]
fn a_closed_store_erases_nothing_and_a_full_disk_leaves_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, told(0, 5, &[3]));
    store.seal().unwrap();
    #[cfg(target_os = "linux")]
    {
        let day = folder.path().join("tables/Interactions/2026-11-23");
        let next = day.join(format!("{:016x}.parquet", 2));
        std::os::unix::fs::symlink("/dev/full", &next).unwrap();
        assert_eq!(store.erase(&ids([3])).unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(store.found(CANARY), (1, 2));
    }
    assert_eq!(store.erase(&ids([3])).unwrap().rows, 1);
    store.close().unwrap();
    assert_eq!(store.erase(&ids([3])).unwrap_err().kind(), ErrorKind::Closed);
}

//! Filters of terms: what a search reads, and that it misses nothing.

use datafusion::physical_plan::collect;

use super::*;
use crate::encode::ExtentWriter;
use crate::extent::TABLES;
use crate::has_terms;
use crate::join::join;

const ROWS: i64 = 9_000;

/// Sequence numbers of the rows that a scan reads for these filters.
fn read(store: &Store, table: &str, filters: &[Expr]) -> Vec<i64> {
    let provider = store.provider(table).unwrap();
    let by = if table == "Messages" { "CorrelationId" } else { "LedgerSequence" };
    let column = provider.schema().index_of(by).unwrap();
    let batches = run(async {
        let context = SessionContext::new();
        let state = context.state();
        let plan = provider.scan(&state, Some(&vec![column]), filters, None).await.unwrap();
        collect(plan, context.task_ctx()).await.unwrap()
    });
    let number = |id: &str| id.trim_start_matches("id-").parse::<i64>().unwrap();
    let mut all: Vec<i64> = Vec::new();
    for batch in &batches {
        match batch.column(0).as_primitive_opt::<Int64Type>() {
            Some(numbers) => all.extend(numbers.values()),
            None => all.extend(batch.column(0).as_string_view().iter().flatten().map(number)),
        }
    }
    all.sort_unstable();
    all
}

fn asked(pattern: &str) -> Vec<Expr> {
    vec![has_terms(pattern, true, true).unwrap()]
}

/// So many rows that they take several blocks, one of them with a body that lies elsewhere.
fn searched() -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut rows = batch(0, ROWS);
    let mut blob = store.blob().unwrap();
    blob.write_all(b"nobody looks in here").unwrap();
    rows.interactions[100].request_body = blob.finish().unwrap();
    write(&store, rows);
    store.seal().unwrap();
    (folder, store)
}

#[test]
fn a_search_reads_the_blocks_that_may_have_its_terms_and_rows_whose_text_lies_elsewhere() {
    let (_folder, store) = searched();
    let found = read(&store, "Interactions", &asked("8500"));
    assert!(found.contains(&8_500) && found.contains(&100), "what it must read");
    assert!(found.len() < 1_000, "{} of {ROWS} rows are read", found.len());
    assert_eq!(read(&store, "Interactions", &asked("Zugzwang")), [100]);
    assert_eq!(read(&store, "Messages", &asked("zugzwang")), [100]);
    assert_eq!(read(&store, "Interactions", &asked("body of")).len(), 9_000);
    assert_eq!(read(&store, "Interactions", &[]).len(), 9_000);
}

#[test]
fn filters_are_put_together_as_the_query_does() {
    let (_folder, store) = searched();
    let one = |pattern: &str| has_terms(pattern, true, true).unwrap();
    let both = [one("8500").and(one("3"))];
    assert_eq!(read(&store, "Interactions", &both), [100], "in no block together");
    let either = read(&store, "Interactions", &[one("8500").or(one("3"))]);
    assert!(either.contains(&8_500) && either.contains(&3) && either.len() == 9_000);
    let other = one("zugzwang").or(col("\"LedgerSequence\"").eq(datafusion::prelude::lit(5_i64)));
    assert_eq!(read(&store, "Interactions", &[other]).len(), 9_000, "says nothing");
    let later = vec![one("8500"), col("\"LedgerSequence\"").lt(datafusion::prelude::lit(5_i64))];
    assert!(!read(&store, "Interactions", &later).contains(&8_500));
}

#[test]
fn merged_extents_and_escaped_messages_are_searched_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, messages::told());
    store.seal().unwrap();
    write(&store, batch(10, 20));
    store.seal().unwrap();
    store.maintain(at(NOON + 2 * DAY)).unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    // As it is said, as it is stored, in no body.
    for pattern in ["für wen", "u00fcr", "fox says", "token ids", "short", "tools"] {
        assert!(read(&store, "Interactions", &asked(pattern)).contains(&9), "{pattern}");
        assert_eq!(read(&store, "Messages", &asked(pattern)).len(), 15, "{pattern}");
    }
    assert!(read(&store, "Messages", &asked("unsaid")).is_empty());
}

#[test]
fn row_groups_that_are_put_together_are_read_and_searched_as_before_and_damaged_ones_refused() {
    let (folder, store) = searched();
    write(&store, messages::told());
    store.seal().unwrap();
    let shared = store.shared();
    let group = store.state().extents.tables[0].to_vec();
    let blobs = shared.manifest.blobs_of(&group).unwrap();
    assert_eq!((group.len(), blobs.len()), (2, 1));
    let day = group[0].record.day;
    let begin = || {
        let id = shared.next_extent_id();
        let writer = ExtentWriter::create(&shared.folder, &blobs, &TABLES[0], day, id);
        writer.unwrap().of_groups().unwrap()
    };
    let all = texts(store.provider("Messages").unwrap(), "Content");
    let mut joined = begin();
    for extent in &group {
        assert!(join(extent, &mut joined).unwrap());
    }
    let mut bytes = std::fs::read(&group[1].path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&group[1].path, bytes).unwrap();
    assert_eq!(join(&group[1], &mut begin()).unwrap_err().kind(), crate::ErrorKind::Corrupt);

    shared.replace(&group, vec![joined.finish().unwrap()]).unwrap();
    drop(group);
    assert_eq!(files(folder.path()).len(), 1);
    drop(store);
    let store = open(folder.path());
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(texts(store.provider("Messages").unwrap(), "Content"), all);
    let mut expected: Vec<_> = (0..ROWS).collect();
    expected.push(9);
    expected.sort_unstable();
    assert_eq!(numbers(interactions(&store), None), expected);
    let found = read(&store, "Interactions", &asked("8500"));
    assert!(found.contains(&8_500) && found.contains(&100) && found.len() < 1_000);
    let found = read(&store, "Interactions", &asked("u00fcr"));
    assert_eq!(found, [9, 100], "the last row, and the one whose text lies elsewhere");
    assert_eq!(store.shared().remove_unnamed_blobs().unwrap(), 0);
}

#[test]
fn an_extent_without_filters_or_with_damaged_ones_is_read_whole() {
    let (folder, store) = searched();
    drop(store);
    let file = files(folder.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let index = bytes.windows(11).rposition(|window| window == b"{\"version\":").unwrap();
    bytes[index] = b'[';
    std::fs::write(&file, bytes).unwrap();
    let store = open(folder.path());
    assert_eq!(read(&store, "Interactions", &asked("Zugzwang")).len(), 9_000);
}

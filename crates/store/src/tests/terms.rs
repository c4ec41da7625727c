//! Filters of terms: what a search reads, and that it misses nothing.

use datafusion::physical_plan::collect;

use super::*;
use crate::has_terms;

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

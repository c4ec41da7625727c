//! What queries see.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::physical_plan::displayable;
use datafusion::prelude::lit;

use super::*;

fn column(name: &str) -> Expr {
    col(format!("\"{name}\""))
}

fn moment(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

#[test]
fn every_type_comes_back_as_it_was_written_from_memory_and_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut row = interaction(1, NOON);
    row.response_code = 429;
    row.backend_response_code = None;
    row.cost_usd = Some(event::Money(1_234_500_000_000));
    row.gateway_overhead = 0.25;
    row.is_request_success = true;
    row.request_headers = event::Json(r#"{"a":"b"}"#.into());
    write(&store, Batch { interactions: vec![row], cursor: cursor(1), ..Batch::default() });
    let columns = [
        "TimeGenerated",
        "ResponseCode",
        "BackendResponseCode",
        "CostUsd",
        "GatewayOverhead",
        "IsRequestSuccess",
        "RequestHeaders",
        "ResponseHeaders",
        "Url",
    ];
    let memory = select(interactions(&store), None, &columns).unwrap();
    store.seal().unwrap();
    let disk = select(interactions(&store), None, &columns).unwrap();
    assert_eq!(memory, disk);
    let text = arrow::util::pretty::pretty_format_batches(&disk).unwrap().to_string();
    let row = text.lines().nth(3).unwrap().replace(' ', "");
    let expected = "|2026-11-23T12:00:00Z|429||1.234500000000|0.25|true|{\"a\":\"b\"}|||";
    assert_eq!(row, expected);
}

#[test]
fn the_schema_is_that_of_the_table() {
    let schema = crate::arrow_schema(&event::table("Interactions").unwrap());
    let kind = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    assert_eq!(kind("CostUsd"), DataType::Decimal128(38, 12));
    assert_eq!(kind("RequestHeaders"), DataType::Utf8View);
    assert!(!schema.field_with_name("Url").unwrap().is_nullable());
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(interactions(&store).schema(), schema);
    let error = store.provider("interactions").err().unwrap();
    let said = error.to_string();
    assert!(said.starts_with("there is no table interactions; there are Interactions, "), "{said}");
}

#[test]
fn filters_choose_the_same_rows_in_memory_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 500));
    store.seal().unwrap();
    write(&store, batch(500, 1_000));
    let filters = [
        (column("CorrelationId").eq(lit("id-000123")), vec![123]),
        (column("CorrelationId").eq(lit("id-000723")), vec![723]),
        (column("RequestBody").eq(lit("body of 7")), vec![7]),
        (
            column("LedgerSequence")
                .gt_eq(lit(498_i64))
                .and(column("LedgerSequence").lt(lit(503_i64))),
            vec![498, 499, 500, 501, 502],
        ),
        (column("PromptTokens").is_null().and(column("LedgerSequence").lt(lit(4_i64))), vec![1, 3]),
        (column("TimeGenerated").lt(moment(NOON + 2_000_000)), vec![0, 1]),
        (column("TimeGenerated").gt_eq(moment(NOON + 998_000_000)), vec![998, 999]),
        (column("TimeGenerated").gt(moment(NOON + DAY)), vec![]),
    ];
    for (filter, expected) in filters {
        assert_eq!(numbers(interactions(&store), Some(filter.clone())), expected, "{filter}");
    }
}

#[test]
fn extents_outside_the_times_or_sequences_asked_for_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for day in 0..5 {
        let row = interaction(day, NOON + day * DAY);
        write(&store, Batch { interactions: vec![row], ..Batch::default() });
    }
    store.seal().unwrap();
    assert_eq!(files(folder.path()).len(), 5, "one extent a day");
    // All but the day asked for are damaged: reading one of them would fail.
    for path in files(folder.path()) {
        if !path.to_string_lossy().contains("2026-11-25") {
            let bytes = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        }
    }
    let filter = column("TimeGenerated")
        .gt_eq(moment(NOON + DAY + DAY / 2))
        .and(column("TimeGenerated").lt(moment(NOON + 2 * DAY + DAY / 2)));
    assert_eq!(numbers(interactions(&store), Some(filter)), vec![2]);
    let filter =
        column("LedgerSequence").gt(lit(1_i64)).and(column("LedgerSequence").lt_eq(lit(2_i64)));
    assert_eq!(numbers(interactions(&store), Some(filter)), vec![2]);
    assert!(select(interactions(&store), None, &["Url"]).is_err());
}

#[test]
fn counts_come_from_the_manifest_and_filters_reach_the_parquet_reader() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 300));
    store.seal().unwrap();
    write(&store, batch(300, 310));
    run(async {
        let context = SessionContext::new();
        let frame = context.read_table(interactions(&store)).unwrap();
        let counted =
            frame.aggregate(vec![], vec![count(lit(1)), max(column("TimeGenerated"))]).unwrap();
        let plan = counted.clone().create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(true).to_string();
        let text = arrow::util::pretty::pretty_format_batches(&counted.collect().await.unwrap());
        let text = text.unwrap().to_string();
        assert!(text.contains("310") && text.contains("2026-11-23T12:05:09Z"), "{text}");
        assert!(!plan.contains("RequestBody"), "{plan}");

        let frame = context.read_table(interactions(&store)).unwrap();
        let filtered = frame.filter(column("CorrelationId").eq(lit("id-000007"))).unwrap();
        let filtered = filtered.select(vec![column("RequestBody")]).unwrap();
        let plan = filtered.create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(true).to_string();
        let parquet = plan.lines().find(|line| line.contains("file_type=parquet")).unwrap();
        assert!(parquet.contains("predicate=CorrelationId"), "{plan}");
    });
}

#[test]
fn a_snapshot_is_one_moment_of_all_tables_while_rows_are_sealed_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { compact_extents: 2, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..150 {
                write(&store, batch(number * 4, number * 4 + 4));
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.seal().unwrap();
                store.maintain(at(NOON)).unwrap();
            }
        });
        let mut is_last = false;
        while !is_last {
            is_last = done.load(Ordering::Acquire);
            let snapshot = store.snapshot();
            let found = numbers(snapshot.provider("Interactions").unwrap(), None);
            let count = i64::try_from(found.len()).unwrap();
            assert_eq!(found, (0..count).collect::<Vec<_>>(), "none twice, none missing");
            assert_eq!(found.len() % 4, 0, "batches are whole");
            let messages = texts(snapshot.provider("Messages").unwrap(), "CorrelationId");
            let expected: Vec<_> = (0..count).map(|number| format!("id-{number:06}")).collect();
            assert_eq!(messages, expected, "tables agree");
        }
    });
    assert_eq!(numbers(interactions(&store), None), (0..600).collect::<Vec<_>>());
}

#[test]
fn rows_of_several_days_and_out_of_order_lie_by_day_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let moments = [NOON + 5, NOON - DAY, NOON, NOON + DAY, NOON - DAY - 1];
    let rows = moments.iter().enumerate();
    let interactions_ = rows.map(|(n, time)| interaction(i64::try_from(n).unwrap(), *time));
    write(&store, Batch { interactions: interactions_.collect(), ..Batch::default() });
    store.seal().unwrap();
    let days: Vec<_> = files(folder.path())
        .iter()
        .map(|path| path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(days, ["2026-11-22", "2026-11-23", "2026-11-24"]);
    let status = store.status();
    assert_eq!(status.tables[0].oldest_at, Some(at(NOON - DAY - 1)));
    assert_eq!(status.tables[0].newest_at, Some(at(NOON + DAY)));
    assert_eq!((status.tables[0].rows, status.tables[0].extents), (5, 3));
    let mut expected = moments.to_vec();
    expected.sort_unstable();
    assert_eq!(times_of(interactions(&store)), expected);
}

//! Extents of other versions.

use std::fs::File;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::lit;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::extent::{Day, Record};
use crate::manifest::{Change, Manifest};

/// Adds an extent as another version would have written it: without some columns, or with more.
pub(super) fn add_foreign(folder: &Path, id: u64, number: i64, extra: Option<&str>) {
    let time = arrow::array::TimestampMicrosecondArray::from(vec![NOON]).with_timezone("UTC");
    let utf8 = |name: &str| Field::new(name, DataType::Utf8, false);
    let mut fields = vec![
        Field::new("LedgerSequence", DataType::Int64, true),
        Field::new("TimeGenerated", arrow::array::Array::data_type(&time).clone(), true),
        utf8("CorrelationId"),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![number])),
        Arc::new(time),
        Arc::new(StringArray::from(vec!["foreign"])),
    ];
    if let Some(name) = extra {
        fields.push(utf8(name));
        columns.push(Arc::new(StringArray::from(vec!["unknown"])));
    }
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let mut record = Record {
        id,
        table: "Interactions".into(),
        day: Day::of_micros(NOON),
        rows: 1,
        messages: 0,
        bytes: 0,
        time_min: NOON,
        time_max: NOON,
        sequences: None,
        sha256: String::new(),
        terms: None,
    };
    let path = record.path(folder);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema, None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    record.bytes = path.metadata().unwrap().len();
    let (manifest, _) = Manifest::open(folder.join("manifest.redb")).unwrap();
    let change = Change { added: vec![(record, vec![])], ..Change::default() };
    assert!(manifest.commit(&change).is_ok());
}

#[test]
fn a_column_that_came_later_reads_as_empty_or_null_and_an_unknown_one_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    add_foreign(folder.path(), 1, 7, None);
    add_foreign(folder.path(), 2, 8, Some("FromTheFuture"));
    let store = open(folder.path());
    write(&store, batch(0, 2));
    assert_eq!(numbers(interactions(&store), None), vec![0, 1, 7, 8]);
    assert_eq!(texts(interactions(&store), "UserAgent"), ["", "", "", ""]);
    assert_eq!(texts(interactions(&store), "RequestHeaders"), ["(null)"; 4]);
    let empty_and_null = col("\"RequestBody\"").eq(lit("")).and(col("\"PromptTokens\"").is_null());
    assert_eq!(numbers(interactions(&store), Some(empty_and_null)), vec![7, 8]);
    let all = interactions(&store).schema();
    let names: Vec<_> = all.fields().iter().map(|field| field.name().as_str()).collect();
    let rows = select(interactions(&store), None, &names).unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
}

#[test]
fn merging_fills_what_is_missing_and_loses_nothing_of_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    add_foreign(folder.path(), 1, 7, None);
    add_foreign(folder.path(), 2, 8, None);
    let store = open(folder.path());
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 2);
    assert_eq!(numbers(interactions(&store), None), vec![7, 8]);
    assert_eq!(texts(interactions(&store), "UserAgent"), ["", ""]);
    drop(store);
    add_foreign(folder.path(), 9, 9, Some("FromTheFuture"));
    let store = open(folder.path());
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 0);
    assert_eq!(numbers(interactions(&store), None), vec![7, 8, 9]);
    assert_eq!(files(folder.path()).len(), 2);
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What was written into the fixtures; into that of format 1 without [`messages::told`].
fn fixture_rows(store: &Store) {
    let mut writer = store.blob().unwrap();
    writer.write_all(b"a text kept as a blob").unwrap();
    let mut first = batch(0, 3);
    first.interactions[1].request_body = writer.finish().unwrap();
    write(store, first);
    store.seal().unwrap();
    write(store, batch(3, 5));
    store.seal().unwrap();
    write(store, messages::told());
    store.seal().unwrap();
}

/// Makes the fixture anew: only when the format gets a new number, and then under that number.
#[test]
#[ignore = "the fixture of a format stays as it is"]
fn write_the_fixture() {
    let store = open(&Path::new(FIXTURES).join("v2"));
    fixture_rows(&store);
}

#[test]
fn a_store_of_format_2_opens_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&Path::new(FIXTURES).join("v2"), folder.path());
    let store = open(folder.path());
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(numbers(interactions(&store), None), vec![0, 1, 2, 3, 4, 9]);
    let mut expected = messages::told_texts();
    expected.extend((0..5).map(|number| format!("text of {number}")));
    expected.sort();
    let provider = || store.provider("Messages").unwrap();
    assert_eq!(texts(provider(), "Content"), expected);
    assert!(store.maintain(at(NOON + DAY)).unwrap().extents_merged > 0);
    assert_eq!(texts(provider(), "Content"), expected);
}

#[test]
fn a_store_of_format_1_opens_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&Path::new(FIXTURES).join("v1"), folder.path());
    let store = open(folder.path());
    assert_eq!(store.durable_cursor(), cursor(5));
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(numbers(interactions(&store), None), vec![0, 1, 2, 3, 4]);
    let bodies = texts(interactions(&store), "RequestBody");
    let BodyText::Blob { sha256, bytes } = BodyText::from_stored(&bodies[0]) else {
        panic!("{} is no reference", bodies[0])
    };
    assert_eq!(bytes, 21);
    assert_eq!(store.read_text(&sha256, 99).unwrap().text, "a text kept as a blob");
    assert_eq!(bodies[1..], ["body of 0", "body of 2", "body of 3", "body of 4"]);
    write(&store, batch(5, 6));
    store.seal().unwrap();
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 5);
    assert_eq!(numbers(interactions(&store), None), vec![0, 1, 2, 3, 4, 5]);
    let said = texts(store.provider("Messages").unwrap(), "Content");
    assert_eq!(said, (0..6).map(|number| format!("text of {number}")).collect::<Vec<_>>());
    assert_eq!(store.status().tables[1].rows, 6);
}

//! Results as files: each format says what the rows say, whole, masked and within its bounds.

use std::io::Cursor;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Decimal128Type, DurationMicrosecondType, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use event::{Batch, BodyText, Message, Sink};
use kql::{Access, Engine as _, FileFormat, Options, QueryError, QueryErrorKind};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use query::QueryConfig;

use crate::{Fixture, block_on, options};

/// A value of every type, and nulls.
const EVERY_TYPE: &str = r#"print a = 7, b = int(-3), c = true, d = 1.5, e = decimal(12.345), t = 'a,"b"',
    w = datetime(2026-01-02 03:04:05.1234567), s = 1d + 1ms, g = guid(11111111-2222-3333-4444-555555555555),
    j = dynamic({"x": [1, null]}), n = long(null), m = tostring(dynamic(null)), f = '=1+1'"#;

fn file(
    fixture: &Fixture,
    query: &str,
    format: FileFormat,
    options: &Options,
) -> Result<Vec<u8>, QueryError> {
    block_on(async {
        let mut export = fixture.engine.export(query, options, format).await?;
        let mut whole = Vec::new();
        while let Some(piece) = export.pieces.next().await {
            whole.extend(piece?);
        }
        Ok(whole)
    })
}

fn text(fixture: &Fixture, query: &str, format: FileFormat) -> String {
    String::from_utf8(file(fixture, query, format, &options()).expect("a file")).expect("text")
}

fn parquet(bytes: Vec<u8>) -> RecordBatch {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("Parquet");
    let schema = reader.schema().clone();
    let batches: Vec<_> =
        reader.build().expect("rows").map(|batch| batch.expect("a batch")).collect();
    concat_batches(&schema, &batches).expect("one schema")
}

fn arrow(bytes: Vec<u8>) -> RecordBatch {
    let reader = arrow::ipc::reader::FileReader::try_new(Cursor::new(bytes), None).expect("Arrow");
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.expect("a batch")).collect();
    concat_batches(&schema, &batches).expect("one schema")
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn text_formats_hold_what_the_query_apis_show() {
    let fixture = Fixture::new();
    let csv = text(&fixture, EVERY_TYPE, FileFormat::Csv);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "a,b,c,d,e,t,w,s,g,j,n,m,f");
    let expected = "7,-3,true,1.5,12.345,\"a,\"\"b\"\"\",2026-01-02T03:04:05.1234567Z,1.00:00:00.0010000,\
                    11111111-2222-3333-4444-555555555555,\"{\"\"x\"\":[1,null]}\",,,'=1+1";
    assert_eq!(lines[1..], [expected, ""]);
    let lines = text(&fixture, EVERY_TYPE, FileFormat::Ndjson);
    let row: serde_json::Value = serde_json::from_str(lines.trim_end()).expect("one object");
    assert_eq!(
        row,
        serde_json::json!({
            "a": 7, "b": -3, "c": true, "d": 1.5, "e": "12.345", "t": "a,\"b\"",
            "w": "2026-01-02T03:04:05.1234567Z", "s": "1.00:00:00.0010000",
            "g": "11111111-2222-3333-4444-555555555555", "j": { "x": [1, null] },
            "n": null, "m": "", "f": "=1+1",
        })
    );
    assert!(lines.starts_with("{\"a\":7,\"b\":-3,"), "columns stay in order: {lines}");
}

#[test]
fn columnar_formats_hold_types_that_other_programs_read() {
    let fixture = Fixture::new();
    let of = |format| file(&fixture, EVERY_TYPE, format, &options()).expect("a file");
    for batch in [parquet(of(FileFormat::Parquet)), arrow(of(FileFormat::Arrow))] {
        assert_eq!(batch.num_rows(), 1);
        let column = |name: &str| batch.column_by_name(name).expect("the column").clone();
        assert_eq!(column("a").as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(column("b").data_type(), &DataType::Int32);
        assert_eq!(column("e").data_type(), &DataType::Decimal128(38, 18));
        let decimal = column("e").as_primitive::<Decimal128Type>().value(0);
        assert_eq!(decimal, 12_345 * 10_i128.pow(15));
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(column("w").data_type(), &instant);
        let micros = column("w").as_primitive::<TimestampMicrosecondType>().value(0);
        assert_eq!(micros, 1_767_323_045_123_456);
        let span = column("s").as_primitive::<DurationMicrosecondType>().value(0);
        assert_eq!(span, 86_400_001_000);
        assert_eq!(column("j").as_string::<i32>().value(0), r#"{"x":[1,null]}"#);
        assert_eq!(column("f").as_string::<i32>().value(0), "=1+1");
        assert!(column("n").is_null(0));
        assert_eq!(column("m").as_string::<i32>().value(0), "");
    }
}

#[test]
fn a_file_holds_every_row_and_none_has_none() {
    let fixture = Fixture::new();
    let many = "range x from 1 to 20000 step 1 | extend t = strcat('row ', x)";
    let few = Options { rows_max: 10, ..options() };
    for format in FileFormat::ALL {
        let whole = file(&fixture, many, format, &few).expect("a file");
        let rows = match format {
            FileFormat::Csv => lines(&whole) - 1,
            FileFormat::Ndjson => lines(&whole),
            FileFormat::Parquet => parquet(whole).num_rows(),
            FileFormat::Arrow => arrow(whole).num_rows(),
        };
        assert_eq!(rows, 20_000, "{format:?}");
    }
    let none = "range x from 1 to 0 step 1";
    assert_eq!(text(&fixture, none, FileFormat::Csv), "x\r\n");
    assert_eq!(text(&fixture, none, FileFormat::Ndjson), "");
    for format in [FileFormat::Parquet, FileFormat::Arrow] {
        let whole = file(&fixture, none, format, &options()).expect("a file");
        let batch = if format == FileFormat::Arrow { arrow(whole) } else { parquet(whole) };
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 1));
    }
}

#[test]
fn content_is_masked_in_files_and_reads_are_told_before_the_first_byte() {
    let fixture = Fixture::new();
    let said = Message { content: BodyText::Inline("seal 7".into()), ..Message::default() };
    fixture.store.write(&Batch { messages: vec![said], ..Batch::default() }).expect("writes");
    let query = "Messages | project Content";
    for format in FileFormat::ALL {
        let masked = Options { access: Access::without_content(), ..options() };
        let whole = file(&fixture, query, format, &masked).expect("a file");
        assert!(!whole.windows(6).any(|window| window == b"seal 7"), "{format:?}");
        let export = block_on(fixture.engine.export(query, &options(), format)).expect("begins");
        assert_eq!(export.content_columns, ["Messages.Content"]);
    }
    assert_eq!(text(&fixture, query, FileFormat::Csv), "Content\r\nseal 7\r\n");
}

#[test]
fn what_makes_no_whole_file_ends_with_an_error() {
    let fixture = Fixture::with(QueryConfig { concurrency_max: 1, ..QueryConfig::default() });
    let kind = |query: &str, options: &Options| {
        let made = file(&fixture, query, FileFormat::Csv, options);
        made.expect_err("no whole file").kind()
    };
    let many = "range x from 1 to 1000000 step 1";
    let small = Options { bytes_max: 100_000, ..options() };
    assert_eq!(kind(many, &small), QueryErrorKind::LimitExceeded);
    assert_eq!(kind("print 1; print 2", &options()), QueryErrorKind::Semantic);
    assert_eq!(kind("Nowhere", &options()), QueryErrorKind::Semantic);
    let hasty = Options { timeout: std::time::Duration::from_millis(50), ..options() };
    assert_eq!(kind("range x from 1 to 1000000000000 step 1", &hasty), QueryErrorKind::Timeout);
    let large = "print decimal(123456789012345678901234)";
    let error = file(&fixture, large, FileFormat::Parquet, &options()).expect_err("too large");
    assert!(error.message().contains("tostring()"), "{error}");
    // Each has given its turn back, also one that nobody read to its end.
    let begun = block_on(fixture.engine.export(many, &options(), FileFormat::Csv));
    drop(begun.expect("begins"));
    assert_eq!(fixture.run("print 1").expect("has its turn").rows.len(), 1);
}

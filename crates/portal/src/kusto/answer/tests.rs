//! Shapes of answers.

use kql::Column;

use super::super::{results, rows_as_objects};
use super::*;

fn frame() -> Frame {
    Frame {
        columns: vec![
            Column::new("n", Type::Long),
            Column::new("bag", Type::Dynamic),
            Column::new("at", Type::Datetime),
        ],
        rows: vec![vec![Value::Long(7), Value::Dynamic(r#"{"a":[1]}"#.into()), Value::Datetime(0)]],
        ..Frame::default()
    }
}

fn json(pieces: Pieces) -> Json {
    let bytes: Vec<u8> = pieces.flatten().collect();
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&bytes));
    })
}

fn kinds(frames: &Json) -> Vec<&str> {
    let frames = frames.as_array().expect("frames").iter();
    frames.map(|frame| frame["FrameType"].as_str().expect("a type")).collect()
}

#[test]
fn in_version_1_a_result_is_the_first_table_with_kusto_types() {
    let answer = json(v1(frame(), &About::default()));
    let table = &answer["Tables"][0];
    assert_eq!(table["TableName"], "Table_0");
    assert_eq!(table["Columns"][0]["DataType"], "Int64");
    assert_eq!(table["Columns"][2]["ColumnType"], "datetime");
    assert_eq!(table["Rows"][0][1], json!({ "a": [1] }));
    assert_eq!(table["Rows"][0][2], "0001-01-01T00:00:00.0000000Z");
    let objects = rows_as_objects(&results(&answer)[0]).expect("well formed");
    assert_eq!(objects[0]["n"], 7);
    assert_eq!(results(&answer).len(), 1);
}

#[test]
fn in_version_1_several_results_have_a_table_each_and_a_table_of_contents_at_the_end() {
    let answer = json(v1(Frame { more: vec![frame()], ..frame() }, &About::default()));
    assert_eq!(answer["Tables"].as_array().map(Vec::len), Some(5));
    assert_eq!(results(&answer).len(), 2);
    let contents = &answer["Tables"][4]["Rows"];
    assert_eq!(contents[1][1], "QueryResult");
    assert_eq!(contents[2][1], "QueryProperties");
    assert_eq!(contents[3][1], "QueryStatus");
}

#[test]
fn in_version_1_a_cut_result_says_so() {
    let cut = Frame { truncated: Some("too many rows".into()), ..frame() };
    let answer = json(v1(cut, &About::default()));
    assert_eq!(answer["Exceptions"], json!(["too many rows"]));
    assert_eq!(answer["Tables"][2]["Rows"][0][4], "too many rows");
}

#[test]
fn in_version_2_frames_come_in_order_and_say_their_kind_before_their_rows() {
    let about = About { id: "KPC.execute;7".into(), ..About::default() };
    let bytes: Vec<u8> = v2(frame(), &about).flatten().collect();
    let text = String::from_utf8(bytes).expect("text");
    let (kind, rows) = (text.find("PrimaryResult"), text.rfind("{\"a\":[1]}"));
    assert!(kind < rows, "{text}");
    let frames: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        kinds(&frames),
        ["DataSetHeader", "DataTable", "DataTable", "DataTable", "DataSetCompletion"]
    );
    assert_eq!(frames[0]["IsProgressive"], false);
    assert_eq!(frames[2]["TableKind"], "PrimaryResult");
    assert_eq!(frames[3]["Rows"][0][1], "KPC.execute;7");
    assert_eq!(frames[4]["HasErrors"], false);
}

#[test]
fn in_version_2_progressive_results_come_as_fragments() {
    let about = About { is_progressive: true, ..About::default() };
    let many = Frame { rows: vec![frame().rows[0].clone(); 5_000], ..frame() };
    let frames = json(v2(many, &about));
    let kinds = kinds(&frames);
    assert_eq!(kinds[..4], ["DataSetHeader", "DataTable", "TableHeader", "TableFragment"]);
    let fragments = frames.as_array().expect("frames").iter();
    let fragments = fragments.filter(|frame| frame["FrameType"] == "TableFragment");
    let rows: usize =
        fragments.clone().map(|frame| frame["Rows"].as_array().expect("rows").len()).sum();
    assert_eq!(rows, 5_000);
    assert!(fragments.count() > 1);
    let end = frames.as_array().expect("frames").iter().rev().nth(2).expect("an end");
    assert_eq!((&end["FrameType"], &end["RowCount"]), (&json!("TableCompletion"), &json!(5_000)));
}

#[test]
fn in_version_2_a_cut_result_ends_with_its_error_unless_failures_are_deferred() {
    let cut = Frame { truncated: Some("too many rows".into()), ..frame() };
    for is_progressive in [false, true] {
        let about = About { is_progressive, ..About::default() };
        let frames = json(v2(cut.clone(), &about));
        let all = frames.to_string();
        assert_eq!(all.matches("OneApiErrors").count(), if is_progressive { 3 } else { 2 });
        let deferred = About { defers_failures: true, ..about };
        let frames = json(v2(cut.clone(), &deferred));
        let end = frames.as_array().and_then(|frames| frames.last()).expect("an end");
        assert_eq!(end["HasErrors"], true);
        assert_eq!(end["OneApiErrors"][0]["error"]["@message"], "too many rows");
        assert_eq!(frames.to_string().matches("OneApiErrors").count(), 1);
    }
}

//! The files in `testdata/`: tables, a query, and what it must answer. `UPDATE_EXPECT=1` writes
//! what it does answer.

use std::fmt::Write as _;

use kql::{Frame, Value};

use crate::{Fixture, testdata};

#[test]
fn queries_answer_what_the_files_say() {
    let fixture = Fixture::new();
    let folder = std::fs::read_dir(testdata("")).expect("testdata");
    let mut files: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kqlt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        check(&fixture, &file);
    }
}

/// Cases are parted by a line of `====`, the sections of a case by `----`.
fn check(fixture: &Fixture, file: &std::path::Path) {
    let text = std::fs::read_to_string(file).expect("readable");
    let mut updated = Vec::new();
    for case in text.split("\n====\n") {
        let sections: Vec<&str> = case.split("\n----\n").collect();
        let (tables, query) = match sections.as_slice() {
            [tables, query, _] => (*tables, *query),
            [query, _] => ("", *query),
            other => panic!("{}: {} sections in\n{case}", file.display(), other.len()),
        };
        let expected = sections.last().expect("checked").trim_end();
        let source = format!("{}{query}", lets(tables));
        let answer = match fixture.run(&source) {
            Ok(frame) => print(&frame),
            Err(error) => format!("error {:?}: {error}", error.kind()),
        };
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let mut kept = sections.clone();
            kept.pop();
            kept.push(&answer);
            updated.push(kept.join("\n----\n"));
        } else {
            assert_eq!(answer, expected, "{}:\n{query}", file.display());
        }
    }
    if !updated.is_empty() {
        std::fs::write(file, updated.join("\n====\n") + "\n").expect("writable");
    }
}

/// `table Name (a:string, b:long)` and its rows as a `let` of a `datatable`.
fn lets(tables: &str) -> String {
    let mut out = String::new();
    let mut types: Vec<&str> = Vec::new();
    for line in tables.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(head) = line.strip_prefix("table ") {
            if !out.is_empty() {
                out.push_str("];\n");
            }
            let (name, columns) = head.split_once('(').expect("columns");
            types = columns
                .trim_end_matches(')')
                .split(',')
                .map(|column| column.split_once(':').expect("a type").1.trim())
                .collect();
            write!(out, "let {} = datatable({columns} [", name.trim()).expect("a string grows");
            continue;
        }
        let cells: Vec<&str> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), types.len(), "{line}");
        for (cell, kusto) in cells.into_iter().zip(&types) {
            let literal = match *kusto {
                "string" if cell == "''" => "''".to_owned(),
                "string" => format!("@'{}'", cell.replace('\'', "''")),
                kusto => format!("{kusto}({cell})"),
            };
            write!(out, "{literal}, ").expect("a string grows");
        }
    }
    if !out.is_empty() {
        out.push_str("];\n");
    }
    out
}

/// Columns padded to their width; null is `null`, an empty string `''`.
fn print(frame: &Frame) -> String {
    let mut rows: Vec<Vec<String>> =
        vec![frame.columns.iter().map(|c| format!("{}:{}", c.name, c.column_type)).collect()];
    for row in &frame.rows {
        rows.push(row.iter().map(cell).collect());
    }
    let widths: Vec<usize> = (0..frame.columns.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) if text.is_empty() => "''".to_owned(),
        Value::String(text) => text.replace('\n', "\\n"),
        other => other.to_string(),
    }
}

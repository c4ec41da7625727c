//! Examples of Kusto's documentation with the results of the real service, and any other file of
//! that format: `cargo xtask kql-conformance --cases FILE`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use kql::{Catalogue, Column, Frame, Options, Schema, Type, Value};
use serde_json::Value as Json;

use crate::{Fixture, options};

/// Cases that pass. It only grows: a change that lowers it breaks what worked.
const FLOOR: usize = 399;

/// What passes of what there is.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: usize,
    all: usize,
}

/// Counts by kind and profile, and why the others fail.
#[derive(Default)]
struct Report {
    counts: BTreeMap<(&'static str, String), Count>,
    failures: BTreeMap<String, Vec<String>>,
    wrong_names: usize,
}

impl Report {
    fn add(&mut self, kind: &'static str, case: &Json, result: Result<(), (String, String)>) {
        let profile = case["profile"].as_str().unwrap_or("none");
        for profile in [profile, "all"] {
            let count = self.counts.entry((kind, profile.to_owned())).or_default();
            count.all += 1;
            count.passed += usize::from(result.is_ok());
        }
        if let Err((reason, detail)) = result {
            let id = case["id"].as_str().unwrap_or("no id");
            let list = self.failures.entry(format!("{kind}: {reason}")).or_default();
            list.push(format!("{id}: {detail}"));
        }
    }

    fn count(&self, kind: &'static str, profile: &str) -> Count {
        self.counts.get(&(kind, profile.to_owned())).copied().unwrap_or_default()
    }

    #[expect(clippy::print_stdout, reason = "the command's answer")]
    fn print(&self) {
        let mut reasons: Vec<_> = self.failures.iter().collect();
        reasons.sort_by_key(|(_, cases)| cases.len());
        for (reason, cases) in reasons {
            println!("{} x {reason}", cases.len());
            cases.iter().for_each(|case| println!("    {case}"));
        }
        for ((kind, profile), Count { passed, all }) in &self.counts {
            let percent = 100.0 * *passed as f64 / (*all).max(1) as f64;
            println!("{kind:<6} {profile:<8} {passed:>5} of {all:<5} {percent:5.1} %");
        }
        println!("names differ in {} exact cases whose rows agree", self.wrong_names);
    }
}

/// Set `KQL_CASES` to run another file and print what fails, as the command does.
#[test]
fn documented_examples_answer_as_documented() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kql/testdata/cases.jsonl");
    let given = std::env::var_os("KQL_CASES").map(PathBuf::from);
    let text = std::fs::read_to_string(given.as_ref().unwrap_or(&own)).expect("a file of cases");
    let fixture = Fixture::new();
    let mut report = Report::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Json = serde_json::from_str(line).expect("JSON lines");
        run(&fixture, &case, &mut report);
    }
    if given.is_some() {
        report.print();
        return;
    }
    still_wrong(&report);
    let Count { passed, all } = report.count("exact", "all");
    assert!(passed >= FLOOR, "{passed} of {all} pass, {FLOOR} did before");
    assert!(passed < FLOOR + 15, "{passed} pass: raise the floor from {FLOOR}");
}

/// A case that is believed wrong and passes is taken off the list.
fn still_wrong(report: &Report) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kql/testdata/believed_wrong.txt");
    let list = std::fs::read_to_string(path).expect("the list of cases believed wrong");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (id, reason) = line.split_once(": ").expect("an id and a reason");
        let of_case = |failure: &String| failure.starts_with(&format!("{id}: "));
        assert!(!reason.is_empty() && report.failures.values().flatten().any(of_case), "{id}");
    }
}

fn run(fixture: &Fixture, case: &Json, report: &mut Report) {
    let query = case["query"].as_str().expect("a query");
    let syntax = match kql::check_syntax(query).first() {
        Some(first) => Err((first.to_string(), String::new())),
        None => Ok(()),
    };
    report.add("parse", case, syntax);
    if !expected_names(case).is_empty() {
        report.add("bind", case, bound(query, case));
    }
    if case.get("rows").is_some() {
        let checked = check(fixture, case);
        if matches!(&checked, Err((reason, _)) if reason == "columns") {
            report.wrong_names += 1;
        }
        report.add("exact", case, checked);
    }
}

/// The tables a case names.
struct Tables(HashMap<String, Arc<Schema>>);

impl Catalogue for Tables {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        self.0.get(name).cloned()
    }

    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().cloned().collect();
        names.sort();
        names
    }
}

fn tables(case: &Json) -> Tables {
    let mut tables = HashMap::new();
    for (name, columns) in case["bind_tables"].as_object().into_iter().flatten() {
        let columns = columns.as_str().unwrap_or("").trim_matches(['(', ')']);
        let columns = columns.split(',').filter_map(|column| column.rsplit_once(':'));
        let columns = columns.filter_map(|(name, of)| {
            let name = name.trim().trim_start_matches("['").trim_end_matches("']");
            Some(Column::new(name, Type::from_name(of.trim())?))
        });
        tables.insert(name.clone(), Arc::new(Schema::new(columns.collect())));
    }
    Tables(tables)
}

/// What the case says the columns are called; several answers may be right.
fn expected_names(case: &Json) -> Vec<Vec<&str>> {
    let lists = ["bind_names", "columns", "columns_ref"].into_iter();
    lists.filter(|key| case[*key].is_array()).map(|key| strings(&case[key])).collect()
}

/// Whether binding alone yields the names and types.
fn bound(query: &str, case: &Json) -> Result<(), (String, String)> {
    let plan = kql::compile(query, &tables(case), &Options::default())
        .map_err(|error| (error.to_string(), String::new()))?;
    let Some(result) = plan.results.last() else { return Err(("no result".into(), String::new())) };
    let columns = &result.relation.schema.columns;
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    let expected = expected_names(case);
    if !expected.contains(&names) {
        return Err(("names".into(), format!("{names:?}, not {:?}", expected.first())));
    }
    let types: Vec<&str> = columns.iter().map(|column| column.column_type.name()).collect();
    let key = if case["bind_types"].is_array() { "bind_types" } else { "types" };
    if case[key].is_array() && strings(&case[key]) != types {
        return Err(("types".into(), format!("{types:?}, not {:?}", strings(&case[key]))));
    }
    Ok(())
}

fn check(fixture: &Fixture, case: &Json) -> Result<(), (String, String)> {
    let query = case["query"].as_str().expect("a query");
    let frame = fixture.run_with(query, &options()).map_err(|error| {
        let kind = format!("{:?}", error.kind());
        let what = match error.kind() {
            kql::QueryErrorKind::Unsupported => format!("{kind}: {error}"),
            _ => kind,
        };
        (what, error.to_string())
    })?;
    let columns: Vec<&str> = strings(&case["columns"]);
    let names: Vec<&str> = frame.columns.iter().map(|column| &*column.name).collect();
    let reference = strings(&case["columns_ref"]);
    let names_agree = names == columns || names == reference;
    let mut rows: Vec<Vec<&str>> =
        case["rows"].as_array().expect("rows").iter().map(strings).collect();
    if names == reference && names != columns {
        // The rows stand in the order of the other list of names.
        let place = |name: &&str| columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> = names.iter().map(place).collect();
        if let Some(places) = places {
            rows = rows.iter().map(|row| places.iter().map(|at| row[*at]).collect()).collect();
        }
    }
    if rows.len() != frame.rows.len() {
        return Err(("row count".into(), format!("{}, not {}", frame.rows.len(), rows.len())));
    }
    let is_partial = strings(&case["flags"]).contains(&"partial");
    if is_partial || matches(&frame, &rows, case["ordered"] == true) {
        let named = format!("{names:?}, not {columns:?}");
        return if names_agree { Ok(()) } else { Err(("columns".into(), named)) };
    }
    let printed: Vec<String> = frame
        .rows
        .iter()
        .take(4)
        .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "))
        .collect();
    let expected: Vec<String> = rows.iter().take(4).map(|row| row.join(" | ")).collect();
    Err(("values".into(), format!("{printed:?}, not {expected:?}")))
}

fn strings(list: &Json) -> Vec<&str> {
    list.as_array().map(|items| items.iter().filter_map(Json::as_str).collect()).unwrap_or_default()
}

fn matches(frame: &Frame, rows: &[Vec<&str>], is_ordered: bool) -> bool {
    let fits = |found: &[Value], wanted: &[&str]| {
        let cells = found.iter().zip(wanted).zip(&frame.columns);
        cells.into_iter().all(|((value, text), column)| same(value, text, column.column_type))
    };
    if is_ordered {
        return frame.rows.iter().zip(rows).all(|(found, wanted)| fits(found, wanted));
    }
    let mut left: Vec<&Vec<&str>> = rows.iter().collect();
    frame.rows.iter().all(|found| match left.iter().position(|wanted| fits(found, wanted)) {
        Some(at) => {
            left.remove(at);
            true
        }
        None => false,
    })
}

/// Documents print values in several ways; compare what they mean.
fn same(value: &Value, text: &str, kusto: Type) -> bool {
    let text = text.trim();
    match value {
        Value::Null => matches!(text, "" | "null" | "NULL" | "(null)"),
        Value::String(found) => found.trim() == text || (found.is_empty() && text == "null"),
        Value::Bool(found) => {
            matches!(
                (found, text.to_ascii_lowercase().as_str()),
                (true, "true" | "1") | (false, "false" | "0")
            )
        }
        Value::Datetime(found) => kql::parse_datetime(text) == Some(*found),
        Value::Timespan(found) => kql::parse_timespan(text) == Some(*found),
        Value::Guid(found) => kql::parse_guid(text) == Some(*found),
        Value::Dynamic(found) => {
            let read = |text: &str| serde_json::from_str::<Json>(text);
            match (read(found), read(text)) {
                (Ok(found), Ok(wanted)) => same_json(&found, &wanted),
                (Ok(Json::String(found)), Err(_)) => found.trim() == text,
                _ => found == text,
            }
        }
        number => {
            let plain = text.replace(',', "").replace('∞', "inf");
            let found = number.to_string().replace("Infinity", "inf");
            match (found.parse::<f64>(), plain.parse::<f64>()) {
                (Ok(found), Ok(wanted)) => near(found, wanted),
                _ => found == plain && kusto != Type::String,
            }
        }
    }
}

fn same_json(found: &Json, wanted: &Json) -> bool {
    match (found, wanted) {
        (Json::Number(a), Json::Number(b)) => {
            near(a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN))
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        (Json::String(a), Json::String(b)) => {
            a == b || kql::parse_datetime(a).is_some_and(|a| kql::parse_datetime(b) == Some(a))
        }
        _ => found == wanted,
    }
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 * a.abs().max(b.abs())
}

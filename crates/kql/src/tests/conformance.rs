//! Runs the public examples of the language (`testdata/cases.jsonl`) through parser and binder and
//! holds the counts above the floor that is written down.
//!
//! `KQL_FAILURES=1` prints what fails, grouped by reason. `UPDATE_EXPECT=1` rewrites the floor.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::{Catalogue, Column, Options, Plan, Schema, Type, check_syntax, compile};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases.jsonl");
const FLOOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/floor.txt");

/// The tables a case names.
pub(super) struct Tables(HashMap<String, Arc<Schema>>);

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

pub(super) fn tables(case: &Json) -> Tables {
    let mut tables = HashMap::new();
    for (name, columns) in case["bind_tables"].as_object().into_iter().flatten() {
        let columns = columns.as_str().unwrap().trim_matches(['(', ')']);
        let columns = columns.split(',').filter(|column| !column.trim().is_empty());
        let schema = columns.map(|column| {
            let (name, of) = column.rsplit_once(':').unwrap();
            let name = name.trim().trim_start_matches("['").trim_end_matches("']");
            Column::new(name, Type::from_name(of.trim()).unwrap())
        });
        tables.insert(name.clone(), Arc::new(Schema::new(schema.collect())));
    }
    Tables(tables)
}

/// No table at all.
pub(super) fn no_tables() -> Tables {
    Tables(HashMap::new())
}

/// Every case.
pub(super) fn examples() -> Vec<Json> {
    let text = std::fs::read_to_string(CASES).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn strings(json: &Json) -> Option<Vec<String>> {
    let array = json.as_array()?;
    Some(array.iter().map(|text| text.as_str().unwrap_or("").to_owned()).collect())
}

/// What the case says the columns are called; several answers may be right.
fn expected_names(case: &Json) -> Vec<Vec<String>> {
    ["bind_names", "columns", "columns_ref"].iter().filter_map(|key| strings(&case[*key])).collect()
}

/// Nothing if the plan has the names and types the case expects, else what is wrong.
fn difference(case: &Json, plan: &Plan) -> Option<String> {
    let schema = &plan.results.last()?.relation.schema;
    let names: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
    let expected = expected_names(case);
    if !expected.is_empty() && !expected.contains(&names) {
        return Some(format!("names: {names:?}, expected {:?}", expected[0]));
    }
    let types: Vec<&str> = schema.columns.iter().map(|column| column.column_type.name()).collect();
    let expected = strings(&case["bind_types"]).or_else(|| strings(&case["types"]))?;
    (expected != types).then(|| format!("types: {types:?}, expected {expected:?} ({names:?})"))
}

/// Whether the case says what binding must yield.
fn can_bind(case: &Json) -> bool {
    !expected_names(case).is_empty()
}

#[test]
fn coverage_does_not_fall_below_the_floor() {
    let text = std::fs::read_to_string(CASES).unwrap();
    let mut counts: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap();
        let count = counts.entry(case["profile"].as_str().unwrap().to_owned()).or_default();
        count[1] += 1;
        if let Some(first) = check_syntax(query).first() {
            reasons.entry(format!("parse: {first}")).or_default().push(case["id"].to_string());
        } else {
            count[0] += 1;
        }
        if !can_bind(&case) {
            continue;
        }
        count[3] += 1;
        let failure = match compile(query, &tables(&case), &Options::default()) {
            Ok(plan) => difference(&case, &plan),
            Err(error) => {
                let message = error.diagnostics().first().map(|first| first.message.clone());
                Some(message.unwrap_or_else(|| error.to_string()))
            }
        };
        match failure {
            None => count[2] += 1,
            Some(reason) => reasons.entry(reason).or_default().push(case["id"].to_string()),
        }
    }
    if std::env::var_os("KQL_FAILURES").is_some() {
        let mut grouped: Vec<_> = reasons.into_iter().collect();
        grouped.sort_by_key(|(_, ids)| ids.len());
        let mut report = String::new();
        for (reason, ids) in grouped {
            writeln!(report, "{} {reason} {}", ids.len(), ids[..ids.len().min(3)].join(" "))
                .unwrap();
        }
        panic!("{report}\n{counts:?}");
    }
    hold_the_floor(&counts);
}

/// `profile parsed/all bound/all` for each line.
fn hold_the_floor(counts: &BTreeMap<String, [usize; 4]>) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let mut text = String::new();
        for (profile, [parsed, all, bound, bindable]) in counts {
            writeln!(text, "{profile} parsed {parsed}/{all} bound {bound}/{bindable}").unwrap();
        }
        std::fs::write(FLOOR, text).unwrap();
    }
    let floor = std::fs::read_to_string(FLOOR).unwrap();
    assert_eq!(floor.lines().count(), counts.len(), "every profile has a floor");
    for line in floor.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.split('/').next().unwrap().parse::<usize>().unwrap();
        let [parsed, _, bound, _] = counts[words[0]];
        assert!(parsed >= number(words[2]), "{line}: only {parsed} parse");
        assert!(bound >= number(words[4]), "{line}: only {bound} bind");
    }
}

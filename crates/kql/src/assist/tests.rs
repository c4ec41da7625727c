//! Completion, hover and formatting, on the cases of `testdata/assist.txt` and on every public
//! example.

use std::sync::Arc;

use super::{complete, format, hover};
use crate::lexer::{Token, lex};
use crate::tests::check;
use crate::{Catalogue, Column, Schema, Type};

struct Tables;

impl Catalogue for Tables {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        let columns = match name {
            "Calls" => vec![
                Column::new("Time", Type::Datetime),
                Column::new("Tokens", Type::Long),
                Column::new("user name", Type::String),
            ],
            "Costs" => vec![Column::new("Usd", Type::Decimal)],
            _ => return None,
        };
        Some(Arc::new(Schema::new(columns)))
    }

    fn table_names(&self) -> Vec<String> {
        vec!["Calls".to_owned(), "Costs".to_owned()]
    }
}

/// The place is marked by `^`; the first line says what is asked.
#[test]
fn places_are_completed_and_explained() {
    check("assist.txt", |input| {
        let (what, marked) = input.split_once('\n').unwrap();
        let offset = marked.find('^').unwrap_or(marked.len());
        let text = marked.replacen('^', "", 1);
        match what {
            "complete" => {
                let found = complete(&text, offset, &Tables);
                let shown = found.items.iter().take(8).map(|item| {
                    format!("{:?} {} [{}]", item.kind, item.insert.trim_end(), item.detail)
                });
                let lines: Vec<String> = shown.collect();
                format!("{:?}\n{}", found.replace.text(&text), lines.join("\n"))
                    .trim_end()
                    .to_owned()
            }
            "hover" => {
                hover(&text, offset, &Tables).map_or("nothing".to_owned(), |found| found.text)
            }
            "format" => format(&text).trim_end().to_owned(),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn no_place_in_any_example_makes_it_panic() {
    for query in examples().into_iter().step_by(9) {
        for offset in (0..query.len()).step_by(17) {
            complete(&query, offset, &Tables);
            hover(&query, offset, &Tables);
        }
    }
}

#[test]
fn formatting_keeps_every_token_and_is_done_once() {
    for query in examples() {
        let once = format(&query);
        assert_eq!(words(&once), words(&query), "{query}");
        assert_eq!(format(&once), once, "{query}");
    }
}

fn words(text: &str) -> Vec<String> {
    let tokens = lex(text).tokens;
    let words = tokens.iter().filter(|t| t.token != Token::End);
    words.map(|t| t.span.text(text).to_owned()).collect()
}

fn examples() -> Vec<String> {
    let cases = include_str!("../../testdata/cases.jsonl");
    let query = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        case["query"].as_str().unwrap().to_owned()
    };
    cases.lines().map(query).collect()
}

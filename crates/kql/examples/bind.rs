//! What the binder says of queries: names and types of their columns, or what is wrong.
//!
//! Reads lines of JSON, `{"query": "…", "tables": {"T": "(a:long, b:string)"}}`, and answers each by
//! `{"columns": [["a", "long"], …]}` or `{"mistakes": [["KS142", "…"], …]}`. For comparisons with
//! Kusto's own language service.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use kql::{Catalogue, Column, Options, Schema, Type, compile};
use serde_json::{Value as Json, json};

/// The tables that a line declares.
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let asked: Json = serde_json::from_str(&line?)?;
        let query = asked["query"].as_str().ok_or("a query is missing")?;
        let answer = answer(query, &tables(&asked["tables"])?);
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn answer(query: &str, tables: &Tables) -> Json {
    match compile(query, tables, &Options::default()) {
        Ok(plan) => {
            let columns = plan.results.last().map(|result| {
                let columns = result.relation.schema.columns.iter();
                columns.map(|c| json!([&*c.name, c.column_type.name()])).collect::<Vec<_>>()
            });
            json!({ "columns": columns })
        }
        Err(error) if error.diagnostics().is_empty() => {
            json!({ "mistakes": [["", error.to_string()]] })
        }
        Err(error) => {
            let mistakes =
                error.diagnostics().iter().map(|found| json!([found.code, found.message]));
            json!({ "mistakes": mistakes.collect::<Vec<_>>() })
        }
    }
}

fn tables(declared: &Json) -> Result<Tables, String> {
    let mut tables = HashMap::new();
    for (name, columns) in declared.as_object().into_iter().flatten() {
        let columns = columns.as_str().unwrap_or_default().trim_matches(['(', ')']);
        let columns = columns.split(',').filter(|column| !column.trim().is_empty());
        let columns: Result<Vec<Column>, String> = columns
            .map(|column| {
                let (name, of) = column.rsplit_once(':').ok_or("a column has no type")?;
                let name = name.trim().trim_start_matches("['").trim_end_matches("']");
                let of = Type::from_name(of.trim()).ok_or(format!("no type: {of}"))?;
                Ok(Column::new(name, of))
            })
            .collect();
        tables.insert(name.clone(), Arc::new(Schema::new(columns?)));
    }
    Ok(Tables(tables))
}

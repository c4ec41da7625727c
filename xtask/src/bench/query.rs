//! `cargo xtask bench query`: the two sample queries and questions of auditors over a store of
//! millions of interactions, beside DuckDB on the same Parquet files.
//!
//! The store is made by `crates/query/examples/audit_queries`, once for each number of rows, in a
//! folder outside of the checkout. Both are given the same number of threads, and asked one after the
//! other; of several runs the fastest counts, so files are in the system's cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::packages;
use crate::shell;

/// Of PyPI.
const DUCKDB: &str = "duckdb==2.0.1";
/// Changes when the rows or the files that hold them do, so that an old store is not taken for one.
const DATA_VERSION: u32 = 1;
/// The engine's own default; DuckDB is told the same.
const THREADS: &str = "2";

/// Arguments of `bench query`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Interactions in the store, each with a prompt of about 1 kB; 3,000,000 take about 6 GB on disk.
    #[arg(long, default_value_t = 3_000_000)]
    rows: u64,
    /// Times that each query is asked; the fastest counts.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Where stores are made and kept; below the system's temporary folder if not given.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Build profile of the engine.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Also write the table to this file, in Markdown.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// What one query took.
struct Figure {
    name: String,
    millis: f64,
    rows: u64,
}

/// Builds, measures and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let example = ["--package", "query", "--example", "audit_queries"];
    let mut build = shell::cargo(&["build", "--profile", &arguments.profile]);
    shell::run(build.args(example))?;
    let built = match arguments.profile.as_str() {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    };
    let binary = shell::target_folder().join(built).join("examples/audit_queries");
    let folder = arguments.folder.clone();
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("gatehouse-bench-query"));
    let store = folder.join(format!("rows-{}-v{DATA_VERSION}", arguments.rows));
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    shell::say(&format!(
        "{} rows in {}; made the first time, which takes a minute per million or so",
        arguments.rows,
        store.display()
    ));
    let (rows, runs) = (arguments.rows.to_string(), arguments.runs.to_string());
    let told = shell::output(Command::new(binary).arg(&store).args([&rows, &runs]))?;
    let (id, ours) = figures(&told)?;
    let theirs = match packages::python(&folder, DUCKDB) {
        Ok(python) => {
            let script = shell::root().join("xtask/src/bench/audit.py");
            let mut command = Command::new(python);
            command.arg(script).arg(&store).args([&runs, THREADS, &id]);
            figures(&shell::output(&mut command)?)?.1
        }
        Err(error) => {
            shell::say(&format!("DuckDB skipped: {error:#}"));
            Vec::new()
        }
    };
    let table = table(&ours, &theirs);
    shell::print(&table);
    if let Some(file) = &arguments.write {
        fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A line of each query; one tells the id of the conversation that is looked up.
fn figures(text: &str) -> anyhow::Result<(String, Vec<Figure>)> {
    let (mut id, mut all) = (String::new(), Vec::new());
    for line in text.lines() {
        let told: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        if let Some(found) = told["id"].as_str() {
            found.clone_into(&mut id);
            continue;
        }
        let (Some(name), Some(millis)) = (told["name"].as_str(), told["ms"].as_f64()) else {
            bail!("not a figure: {line}");
        };
        let rows = told["rows"].as_u64().unwrap_or(0);
        all.push(Figure { name: name.to_owned(), millis, rows });
    }
    Ok((id, all))
}

fn table(ours: &[Figure], theirs: &[Figure]) -> String {
    let mut text = String::from(
        "| query | rows of the answer | Gatehouse | DuckDB | ratio |\n|---|---|---|---|---|\n",
    );
    let (mut logs, mut compared) = (0.0, 0);
    for figure in ours {
        let other = theirs.iter().find(|other| other.name == figure.name);
        let (told, ratio) = match other {
            Some(other) => {
                let ratio = figure.millis / other.millis.max(1e-6);
                logs += ratio.ln();
                compared += 1;
                (format!("{:.1} ms", other.millis), format!("{ratio:.2}×"))
            }
            None => ("–".to_owned(), "–".to_owned()),
        };
        let rows = match other {
            Some(other) if other.rows != figure.rows => {
                format!("{}, of DuckDB {}", figure.rows, other.rows)
            }
            _ => figure.rows.to_string(),
        };
        let name = &figure.name;
        text.push_str(&format!(
            "| {name} | {rows} | {:.1} ms | {told} | {ratio} |\n",
            figure.millis
        ));
    }
    if compared > 0 {
        let mean = (logs / f64::from(compared)).exp();
        text.push_str(&format!("\nGeometric mean of {compared} ratios: {mean:.2}×\n"));
    }
    text
}

//! `gatehouse query`: one query, or a prompt with history.

use std::io::Read;

use anyhow::Context;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use crate::arguments::{OutputFormat, QueryArguments};
use crate::client::Client;
use crate::terminal::{print, say};

/// Lines of history kept.
const HISTORY_LINES_MAX: usize = 1_000;

/// Runs the command.
pub(crate) fn run(arguments: &QueryArguments) -> anyhow::Result<()> {
    let client = Client::open(&arguments.file.config)?.with_purpose(&arguments.purpose);
    match arguments.query.as_deref() {
        None => prompt(&client, arguments.output),
        Some("-") => {
            let mut query = String::new();
            std::io::stdin().read_to_string(&mut query).context("cannot read standard input")?;
            ask(&client, &query, arguments.output)
        }
        Some(query) => ask(&client, query, arguments.output),
    }
}

fn ask(client: &Client, query: &str, output: OutputFormat) -> anyhow::Result<()> {
    let answer = client.query(query)?;
    print(&answer.render(output)?);
    if let Some(reason) = answer.cut() {
        say(&format!("the result is cut: {reason}"));
    }
    Ok(())
}

/// A query ends with an empty line or with `;`.
fn prompt(client: &Client, output: OutputFormat) -> anyhow::Result<()> {
    let config = Config::builder().max_history_size(HISTORY_LINES_MAX)?.build();
    let mut editor = DefaultEditor::with_config(config)?;
    let history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    say("KQL; an empty line or `;` runs the query, Ctrl-D ends");
    let mut query = String::new();
    loop {
        match editor.readline(if query.is_empty() { "kql> " } else { "   > " }) {
            Ok(line) => {
                let is_end = line.trim().is_empty() || line.trim_end().ends_with(';');
                query.push_str(line.trim_end().trim_end_matches(';'));
                query.push('\n');
                if is_end && !query.trim().is_empty() {
                    editor.add_history_entry(query.trim())?;
                    if let Err(error) = ask(client, &query, output) {
                        say(&format!("{error:#}"));
                    }
                }
                if is_end {
                    query.clear();
                }
            }
            Err(ReadlineError::Interrupted) => query.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("the prompt failed"),
        }
    }
    if let Some(file) = &history {
        editor.save_history(file).context("cannot save the history")?;
    }
    Ok(())
}

/// `$XDG_STATE_HOME/gatehouse_history`, or in the home folder.
fn history_file() -> Option<std::path::PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(std::path::PathBuf::from);
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    state
        .map(|folder| folder.join("gatehouse_history"))
        .or_else(|| home.map(|folder| folder.join(".gatehouse_history")))
}

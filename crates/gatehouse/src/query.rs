//! `gatehouse query`: one query, or a prompt; of a running gateway, or of a data folder without one.

mod folder;
mod prompt;

use std::io::{IsTerminal, Read, Write};

use anyhow::{Context, bail};
use kql::FileFormat;

use crate::arguments::{OutputFormat, QueryArguments, QueryOutput};
use crate::client::Client;
use crate::output::Answer;
use crate::terminal::{Waiting, print, say};
use folder::Folder;

/// Width of charts where the terminal tells none.
const WIDTH: usize = 80;

/// Runs the command.
pub(crate) fn run(arguments: &QueryArguments) -> anyhow::Result<()> {
    if arguments.query.as_deref().is_some_and(|query| query.trim().is_empty()) {
        bail!("the query is empty: give one such as 'Interactions | take 10'");
    }
    let file = &arguments.file.config;
    let asked = match &arguments.data_dir {
        None => Asked::Gateway(Client::open(file)?.with_purpose(&arguments.purpose)),
        Some(folder) => Asked::Folder(Box::new(Folder::open(folder, file, &arguments.purpose)?)),
    };
    let output = arguments.output;
    let result = match arguments.query.as_deref() {
        None => prompt::run(|query| asked.ask(query, output)),
        Some("-") => {
            let mut query = String::new();
            std::io::stdin().read_to_string(&mut query).context("cannot read standard input")?;
            asked.ask(&query, output)
        }
        Some(query) => asked.ask(query, output),
    };
    match asked {
        Asked::Gateway(_) => result,
        Asked::Folder(folder) => result.and(folder.close()),
    }
}

/// Who answers.
enum Asked {
    Gateway(Client),
    Folder(Box<Folder>),
}

impl Asked {
    fn ask(&self, query: &str, output: QueryOutput) -> anyhow::Result<()> {
        let text = match output {
            QueryOutput::Table => {
                let answer = self.query(query)?;
                return told(&answer, &answer.show(width())?);
            }
            QueryOutput::Json => OutputFormat::Json,
            QueryOutput::Ndjson => OutputFormat::Ndjson,
            QueryOutput::Csv => OutputFormat::Csv,
            QueryOutput::Parquet => return self.save(query, FileFormat::Parquet),
            QueryOutput::Arrow => return self.save(query, FileFormat::Arrow),
        };
        let answer = self.query(query)?;
        told(&answer, &answer.render(text)?)
    }

    fn query(&self, query: &str) -> anyhow::Result<Answer> {
        let _waiting = Waiting::begin("asking");
        match self {
            Self::Gateway(client) => client.query(query),
            Self::Folder(folder) => folder.query(query),
        }
    }

    fn save(&self, query: &str, format: FileFormat) -> anyhow::Result<()> {
        if std::io::stdout().is_terminal() {
            bail!("a file of {} is no text for a terminal: add `> FILE`", format.name());
        }
        let _waiting = Waiting::begin("writing the file");
        let mut out = Tail { inner: std::io::stdout().lock(), last: Vec::new() };
        match self {
            Self::Gateway(client) => client.save(query, format, &mut out)?,
            Self::Folder(folder) => folder.save(query, format, &mut out)?,
        }
        out.flush()?;
        // A connection that breaks off ends as one that is done.
        let end: &[u8] = if format == FileFormat::Parquet { b"PAR1" } else { b"ARROW1" };
        if !out.last.ends_with(end) {
            bail!("the file is not whole: the gateway's log tells why; ask for less at once");
        }
        Ok(())
    }
}

fn told(answer: &Answer, text: &str) -> anyhow::Result<()> {
    print(text);
    if let Some(reason) = answer.cut() {
        say(&format!("the result is cut: {reason}"));
    }
    Ok(())
}

/// Columns of the terminal, as the shell tells them.
fn width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.unwrap_or(WIDTH).clamp(40, 400)
}

/// Writes through, and remembers how it ended.
struct Tail<W> {
    inner: W,
    last: Vec<u8>,
}

impl<W: Write> Write for Tail<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.last.extend_from_slice(&bytes[written.saturating_sub(8)..written]);
        let surplus = self.last.len().saturating_sub(8);
        self.last.drain(..surplus);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

//! A prompt for KQL: history, completion, queries of several lines.

use std::path::PathBuf;

use anyhow::Context as _;
use kql::Catalogue;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::terminal::say;

/// Lines of history kept.
const HISTORY_LINES_MAX: usize = 1_000;

/// Reads queries until the end of input; `ask` runs each.
pub(super) fn run(mut ask: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Language, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Language { catalogue: Box::new(query::catalogue()) }));
    let history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    say("KQL; an empty line or `;` runs the query, Tab completes, Ctrl-D ends");
    loop {
        match editor.readline("kql> ") {
            Ok(text) => {
                let query = text.trim().trim_end_matches(';').trim_end();
                if query.is_empty() {
                    continue;
                }
                if let Err(error) = ask(query) {
                    say(&format!("{error:#}"));
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("the prompt failed"),
        }
    }
    if let Some(file) = &history {
        editor.save_history(file).context("cannot save the history")?;
    }
    Ok(())
}

/// What the prompt knows of the language.
struct Language {
    catalogue: Box<dyn Catalogue>,
}

impl Helper for Language {}

impl Highlighter for Language {}

impl Hinter for Language {
    type Hint = String;
}

impl Completer for Language {
    type Candidate = Pair;

    fn complete(
        &self,
        text: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let found = kql::complete(text, at, &*self.catalogue);
        let items = found.items.into_iter();
        let items = items.map(|item| Pair { display: item.label, replacement: item.insert });
        Ok((found.replace.start as usize, items.collect()))
    }
}

impl Validator for Language {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// A query ends with an empty line or with `;`.
fn is_whole(text: &str) -> bool {
    let last_line = text.rsplit('\n').next().unwrap_or(text);
    text.trim().is_empty() || last_line.trim().is_empty() || text.trim_end().ends_with(';')
}

/// `$XDG_STATE_HOME/gatehouse_history`, or in the home folder.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    state
        .map(|folder| folder.join("gatehouse_history"))
        .or_else(|| home.map(|folder| folder.join(".gatehouse_history")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_on_until_an_empty_line_or_a_semicolon() {
        for whole in ["", "  ", "Interactions | count;", "Interactions\n| count\n", "x ; "] {
            assert!(is_whole(whole), "{whole:?}");
        }
        for part in ["Interactions", "Interactions\n| count", "let x = 1;\nprint x"] {
            assert!(!is_whole(part), "{part:?}");
        }
    }

    #[test]
    fn tab_offers_what_may_stand_there() {
        let language = Language { catalogue: Box::new(query::catalogue()) };
        let history = FileHistory::new();
        let offered = |text: &str| {
            let (from, items) =
                language.complete(text, text.len(), &Context::new(&history)).expect("completes");
            (from, items.into_iter().map(|item| item.display).collect::<Vec<_>>())
        };
        let (from, tables) = offered("Interac");
        assert_eq!((from, &tables[..]), (0, &["Interactions".to_owned()][..]));
        let (from, columns) = offered("Messages\n| where Conten");
        assert_eq!(from, 17);
        assert!(columns.contains(&"Content".to_owned()), "{columns:?}");
    }
}

//! Help while a query is written: completion, hover, formatting. Pure functions of text, a place in
//! it, and the tables there are.

mod complete;
mod format;
mod hover;

pub use complete::{Completion, CompletionKind, Completions, complete};
pub use format::format;
pub use hover::{Hover, hover};

use crate::lexer::{Lexeme, Token, lex};
use crate::{Catalogue, Options, Schema, compile};

/// The tokens that end before a place, and the one that the place is in or right behind.
fn tokens_before(text: &str, offset: usize) -> Vec<Lexeme> {
    let tokens = lex(text).tokens;
    tokens
        .into_iter()
        .filter(|t| t.token != Token::End && (t.span.start as usize) < offset)
        .collect()
}

/// The row type that the operator at a place works on: the query is cut at the last `|` before it,
/// in the innermost bracket that holds one.
fn columns_at(text: &str, tokens: &[Lexeme], catalogue: &dyn Catalogue) -> Option<Schema> {
    let is =
        |lexeme: &Lexeme, symbol: &str| matches!(lexeme.token, Token::Symbol(s) if s == symbol);
    let mut depth = 0u32;
    let mut pipe = None;
    let mut start = 0;
    for lexeme in tokens.iter().rev() {
        if [")", "]", "}"].iter().any(|close| is(lexeme, close)) {
            depth += 1;
        } else if ["(", "[", "{"].iter().any(|open| is(lexeme, open)) {
            if depth == 0 && pipe.is_some() {
                start = lexeme.span.end as usize;
                break;
            }
            depth = depth.saturating_sub(1);
        } else if depth == 0 && is(lexeme, "|") && pipe.is_none() {
            pipe = Some(lexeme.span.start as usize);
        } else if depth == 0 && is(lexeme, ";") {
            start = lexeme.span.end as usize;
            break;
        }
    }
    let pipeline = text.get(start..pipe?)?;
    let lets = whole_statements(text, tokens);
    let query = format!("{lets}\n{}", without_let(pipeline));
    let plan = compile(&query, catalogue, &Options::default()).ok()?;
    let last = plan.results.last()?;
    Some(Schema::clone(&last.relation.schema))
}

/// The statements that are complete before the last token, without queries.
fn whole_statements<'t>(text: &'t str, tokens: &[Lexeme]) -> &'t str {
    let last = tokens.iter().rev().find(|t| matches!(t.token, Token::Symbol(";")));
    last.map_or("", |last| &text[..last.span.end as usize])
}

/// `let x = T | where …` is completed as the pipeline that it defines.
fn without_let(pipeline: &str) -> &str {
    let trimmed = pipeline.trim_start();
    match trimmed.strip_prefix("let ").and_then(|rest| rest.split_once('=')) {
        Some((_, value)) => value,
        None => pipeline,
    }
}

#[cfg(test)]
mod tests;

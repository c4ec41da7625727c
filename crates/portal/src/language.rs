//! What an editor of KQL asks while somebody types: completion, meaning, mistakes, layout.
//!
//! Places are counted in UTF-16 units, as editors in browsers do.

use axum::extract::State;
use axum::response::Json;
use kql::{CompletionKind, Options, Severity, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::extract::Document;
use crate::inner::Portal;
use crate::problem::Problem;
use crate::reading::access;

/// A text and a place in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The query.
    text: String,
    /// The place.
    offset: usize,
}

/// A text.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// The query.
    text: String,
}

/// What may stand at a place.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Choices {
    /// Where the word begins that would be replaced.
    from: usize,
    /// Where it ends.
    to: usize,
    /// What may stand there, the likeliest kinds first.
    items: Vec<Choice>,
}

/// One thing that may stand at a place.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Choice {
    /// Its name.
    label: String,
    /// What it is: `table`, `column`, `variable`, `operator`, `function`, `aggregate` or `keyword`.
    kind: &'static str,
    /// Type, signature or meaning.
    detail: String,
    /// What to put in.
    insert: String,
}

/// What the word at a place means.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Meaning {
    /// Where the word begins.
    from: usize,
    /// Where it ends.
    to: usize,
    /// What it means, as Markdown; empty if that is not known.
    text: String,
}

/// What is wrong with a query.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Mistakes {
    /// In the order of their places.
    items: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Mistake {
    /// Where it begins.
    from: usize,
    /// Where it ends.
    to: usize,
    /// `error` or `warning`.
    severity: &'static str,
    /// Kusto's code, or our own that begins with `GH`.
    code: &'static str,
    /// What is wrong, and what to do instead where that is known.
    message: String,
}

pub(crate) async fn complete(
    State(portal): State<Portal>,
    caller: Caller,
    Document(Place { text, offset }): Document<Place>,
) -> Result<Json<Choices>, Problem> {
    let catalogue = portal.engine.catalogue(&access(&caller.principal, ""));
    let found = kql::complete(&text, byte_of(&text, offset), &*catalogue);
    let items = found.items.into_iter().map(|item| Choice {
        label: item.label,
        kind: kind(item.kind),
        detail: item.detail,
        insert: item.insert,
    });
    let (from, to) = units_of(&text, found.replace);
    Ok(Json(Choices { from, to, items: items.collect() }))
}

pub(crate) async fn hover(
    State(portal): State<Portal>,
    caller: Caller,
    Document(Place { text, offset }): Document<Place>,
) -> Result<Json<Meaning>, Problem> {
    let catalogue = portal.engine.catalogue(&access(&caller.principal, ""));
    let Some(found) = kql::hover(&text, byte_of(&text, offset), &*catalogue) else {
        return Ok(Json(Meaning { from: offset, to: offset, text: String::new() }));
    };
    let (from, to) = units_of(&text, found.span);
    Ok(Json(Meaning { from, to, text: found.text }))
}

pub(crate) async fn check(
    State(portal): State<Portal>,
    caller: Caller,
    Document(Text { text }): Document<Text>,
) -> Result<Json<Mistakes>, Problem> {
    let catalogue = portal.engine.catalogue(&access(&caller.principal, ""));
    let failure = kql::compile(&text, &*catalogue, &Options::default()).err();
    let diagnostics = failure.as_ref().map_or(&[][..], |failure| failure.diagnostics());
    let items = diagnostics.iter().map(|diagnostic| {
        let (from, to) = units_of(&text, diagnostic.span);
        let fix = diagnostic.fix.as_ref().map(|fix| format!(": {fix}")).unwrap_or_default();
        Mistake {
            from,
            to,
            severity: severity(diagnostic.severity),
            code: diagnostic.code,
            message: format!("{}{fix}", diagnostic.message),
        }
    });
    Ok(Json(Mistakes { items: items.collect() }))
}

pub(crate) async fn format(Document(Text { text }): Document<Text>) -> Result<Json<Text>, Problem> {
    Ok(Json(Text { text: kql::format(&text) }))
}

const fn kind(kind: CompletionKind) -> &'static str {
    match kind {
        CompletionKind::Table => "table",
        CompletionKind::Column => "column",
        CompletionKind::Variable => "variable",
        CompletionKind::Operator => "operator",
        CompletionKind::Function => "function",
        CompletionKind::Aggregate => "aggregate",
        CompletionKind::Keyword => "keyword",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The byte at which so many UTF-16 units end.
fn byte_of(text: &str, units: usize) -> usize {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left < character.len_utf16() {
            return at;
        }
        left -= character.len_utf16();
    }
    text.len()
}

fn units_of(text: &str, span: Span) -> (usize, usize) {
    let units = |byte: u32| {
        let head = text.get(..byte as usize).unwrap_or(text);
        head.chars().map(char::len_utf16).sum()
    };
    (units(span.start), units(span.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_browsers_do() {
        let text = "ä😀|take";
        assert_eq!(byte_of(text, 1), 2);
        assert_eq!(byte_of(text, 3), 6);
        assert_eq!(byte_of(text, 99), text.len());
        assert_eq!(units_of(text, Span { start: 6, end: 11 }), (3, 8));
    }
}

//! What may stand at a place.

use super::{columns_at, tokens_before};
use crate::lexer::{Lexeme, Token};
use crate::operators::{OPERATORS, Support};
use crate::{Aggregate, Catalogue, Function, Signature, Span};

/// Most items offered at once.
const ITEMS_MAX: usize = 1_000;

/// What may stand at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The word that is being written and would be replaced.
    pub replace: Span,
    /// What may stand there, the likeliest kinds first, each kind in the order of its names.
    pub items: Vec<Completion>,
}

/// One thing that may stand at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Its name.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// Type, signature or meaning.
    pub detail: String,
    /// What to put in; functions come with an opening bracket.
    pub insert: String,
}

/// Kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompletionKind {
    /// A table.
    Table,
    /// A column of the rows so far.
    Column,
    /// A name that `let` defined.
    Variable,
    /// A tabular operator.
    Operator,
    /// A scalar function.
    Function,
    /// An aggregate.
    Aggregate,
    /// A word of the language.
    Keyword,
}

/// What may stand at this byte of the text.
pub fn complete(text: &str, offset: usize, catalogue: &dyn Catalogue) -> Completions {
    let offset = floor(text, offset);
    let mut tokens = tokens_before(text, offset);
    let inside = |lexeme: &Lexeme| offset <= lexeme.span.end as usize;
    // Nothing is offered within text, and behind a number.
    if tokens
        .last()
        .is_some_and(|last| inside(last) && !matches!(last.token, Token::Name | Token::Symbol(_)))
    {
        return Completions::default();
    }
    let written = tokens.last().copied().filter(|last| last.token == Token::Name && inside(last));
    if written.is_some() {
        tokens.pop();
    }
    let at = u32::try_from(offset).unwrap_or(u32::MAX);
    let replace = written.map_or(Span::new(at, at), |word| Span::new(word.span.start, at));
    let prefix = replace.text(text).to_lowercase();
    let mut items = candidates(text, &tokens, catalogue);
    items.retain(|item| item.label.to_lowercase().starts_with(&prefix));
    items.truncate(ITEMS_MAX);
    Completions { replace, items }
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn candidates(text: &str, tokens: &[Lexeme], catalogue: &dyn Catalogue) -> Vec<Completion> {
    let word = |lexeme: &Lexeme| lexeme.span.text(text);
    let Some(last) = tokens.last() else { return starts(text, tokens, catalogue) };
    // Behind a hyphen an operator's name goes on: `project-`.
    match (last.token, word(last)) {
        (Token::Symbol("|"), _) => return operators(),
        (Token::Symbol(";"), _) => return starts(text, tokens, catalogue),
        (Token::Symbol("("), _) if opens_pipeline(text, tokens) => {
            return starts(text, tokens, catalogue);
        }
        (Token::Name, "union" | "join" | "lookup") => return starts(text, tokens, catalogue),
        (Token::Name, "render") => return keywords(&RENDERS),
        _ => {}
    }
    let operator = operator_here(text, tokens);
    let mut items = Vec::new();
    if let Some(schema) = columns_at(text, tokens, catalogue) {
        let columns = schema.columns.iter().map(|column| Completion {
            label: column.name.to_string(),
            kind: CompletionKind::Column,
            detail: column.column_type.to_string(),
            insert: quoted(&column.name),
        });
        items.extend(columns);
    }
    items.extend(variables(text, tokens));
    if matches!(operator, Some("summarize" | "make-series" | "top-nested")) {
        items.extend(Aggregate::ALL.iter().map(|a| call(a.signature(), CompletionKind::Aggregate)));
    }
    items.extend(keywords(words_of(operator)));
    items.extend(Function::ALL.iter().map(|f| call(f.signature(), CompletionKind::Function)));
    items.retain(|item| !item.label.contains('-'));
    items
}

/// What a pipeline may begin with.
fn starts(text: &str, tokens: &[Lexeme], catalogue: &dyn Catalogue) -> Vec<Completion> {
    let tables = catalogue.table_names().into_iter().map(|name| {
        let columns = catalogue.table(&name).map_or(0, |schema| schema.len());
        let (detail, insert) = (format!("table of {columns} columns"), quoted(&name));
        Completion { label: name, kind: CompletionKind::Table, detail, insert }
    });
    let mut items: Vec<Completion> = tables.collect();
    items.extend(variables(text, tokens));
    items.extend(keywords(&[
        "let",
        "print",
        "range",
        "datatable",
        "union",
        "search",
        "find",
        "set",
        "declare",
    ]));
    items
}

fn operators() -> Vec<Completion> {
    let begins = |name: &str| matches!(name, "datatable" | "print" | "range" | "find");
    let usable = OPERATORS.iter().filter(|operator| {
        !matches!(operator.support, Support::Refused(_)) && !begins(operator.name)
    });
    usable
        .map(|operator| Completion {
            label: operator.name.to_owned(),
            kind: CompletionKind::Operator,
            detail: operator.meaning.to_owned(),
            insert: format!("{} ", operator.name),
        })
        .collect()
}

fn call(signature: &Signature, kind: CompletionKind) -> Completion {
    Completion {
        label: signature.name.to_owned(),
        kind,
        detail: format!("{}({})", signature.name, signature.parameters),
        insert: format!("{}(", signature.name),
    }
}

fn keywords(words: &[&str]) -> Vec<Completion> {
    let keyword = |word: &&str| Completion {
        label: (*word).to_owned(),
        kind: CompletionKind::Keyword,
        detail: String::new(),
        insert: format!("{word} "),
    };
    words.iter().map(keyword).collect()
}

/// Names that `let` and lambda parameters define.
fn variables(text: &str, tokens: &[Lexeme]) -> Vec<Completion> {
    let mut names: Vec<&str> = Vec::new();
    for pair in tokens.windows(3) {
        let [first, name, sign] = pair else { continue };
        let defines = first.span.text(text) == "let" && matches!(sign.token, Token::Symbol("="));
        if defines && name.token == Token::Name {
            names.push(name.span.text(text));
        }
    }
    names.sort_unstable();
    names.dedup();
    let variable = |name: &str| Completion {
        label: name.to_owned(),
        kind: CompletionKind::Variable,
        detail: "let".to_owned(),
        insert: name.to_owned(),
    };
    names.into_iter().map(variable).collect()
}

/// The operator whose operands are being written.
fn operator_here<'t>(text: &'t str, tokens: &[Lexeme]) -> Option<&'t str> {
    let pipe = tokens.iter().rposition(|t| matches!(t.token, Token::Symbol("|")))?;
    let mut end = pipe + 1;
    let first = tokens.get(end)?.span;
    while matches!(tokens.get(end + 1).map(|t| t.token), Some(Token::Symbol("-")))
        && tokens.get(end + 2).is_some_and(|t| t.token == Token::Name)
    {
        end += 2;
    }
    text.get(first.start as usize..tokens.get(end)?.span.end as usize)
}

/// Whether the bracket that was just opened holds a pipeline: behind `join`, `union`, `in` ….
fn opens_pipeline(text: &str, tokens: &[Lexeme]) -> bool {
    let before = tokens.len().checked_sub(2).and_then(|at| tokens.get(at));
    before.is_some_and(|before| {
        matches!(
            before.span.text(text),
            "join"
                | "lookup"
                | "union"
                | "materialize"
                | "toscalar"
                | "in"
                | "inner"
                | "leftouter"
                | "rightouter"
                | "fullouter"
                | "leftsemi"
                | "rightsemi"
                | "leftanti"
                | "rightanti"
                | "innerunique"
                | ","
        ) && operator_here(text, tokens)
            .is_some_and(|op| matches!(op, "join" | "lookup" | "union" | "where"))
            || matches!(before.span.text(text), "materialize" | "toscalar")
    })
}

fn words_of(operator: Option<&str>) -> &'static [&'static str] {
    match operator {
        Some("summarize") => &["by"],
        Some("sort" | "order" | "top") => &["by", "asc", "desc", "nulls"],
        Some("where" | "filter") => {
            &["and", "or", "has", "contains", "startswith", "endswith", "in", "between", "matches"]
        }
        Some("join" | "lookup") => &["on", "kind"],
        Some("make-series") => &["on", "from", "to", "step", "by", "default"],
        Some("mv-expand" | "mv-apply") => &["to", "on", "limit"],
        Some("parse" | "parse-where" | "parse-kv") => &["with", "as"],
        _ => &[],
    }
}

const RENDERS: [&str; 12] = [
    "anomalychart",
    "areachart",
    "barchart",
    "card",
    "columnchart",
    "linechart",
    "piechart",
    "scatterchart",
    "stackedareachart",
    "table",
    "timechart",
    "treemap",
];

/// A name as queries write it.
fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit();
    if plain {
        name.to_owned()
    } else {
        format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

//! What the word at a place means.

use super::{columns_at, tokens_before};
use crate::lexer::{Token, lex};
use crate::operators::{OPERATORS, Support};
use crate::{Aggregate, Catalogue, Function, Returns, Signature, Span};

/// What the word at a place means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The word.
    pub span: Span,
    /// What it means, as Markdown.
    pub text: String,
}

/// The meaning of the word at this byte of the text: an operator, function, column or table.
pub fn hover(text: &str, offset: usize, catalogue: &dyn Catalogue) -> Option<Hover> {
    let all = lex(text).tokens;
    let at = all.iter().position(|lexeme| {
        lexeme.token == Token::Name
            && (lexeme.span.start as usize..lexeme.span.end as usize).contains(&offset)
    })?;
    let span = all[at].span;
    let word = span.text(text);
    let before = tokens_before(text, span.start as usize);
    if let Some(hover) = operator(text, &all, at) {
        return Some(hover);
    }
    let is_call = matches!(all.get(at + 1).map(|next| next.token), Some(Token::Symbol("(")));
    let text = if is_call {
        let aggregate = Aggregate::from_name(word).map(|aggregate| aggregate.signature());
        let function = Function::from_name(word).map(|function| function.signature());
        signature(function.or(aggregate)?)
    } else {
        let column = columns_at(text, &before, catalogue).and_then(|schema| {
            let at = schema.position(word)?;
            Some(format!("column `{word}`: {}", schema.columns[at].column_type))
        });
        let table = || {
            let schema = catalogue.table(word)?;
            Some(format!("table `{word}` {schema}"))
        };
        column.or_else(table)?
    };
    Some(Hover { span, text })
}

/// The operator behind a `|`, its name possibly of several words.
fn operator(text: &str, all: &[crate::lexer::Lexeme], at: usize) -> Option<Hover> {
    let is_hyphen = |at: usize| matches!(all.get(at).map(|t| t.token), Some(Token::Symbol("-")));
    let mut first = at;
    while first >= 2 && is_hyphen(first - 1) && all[first - 2].token == Token::Name {
        first -= 2;
    }
    let follows_pipe = first == 0 || matches!(all[first - 1].token, Token::Symbol("|" | ";" | "("));
    let mut last = first;
    while is_hyphen(last + 1) && all.get(last + 2).is_some_and(|t| t.token == Token::Name) {
        last += 2;
    }
    let span = all[first].span.to(all[last].span);
    let known =
        OPERATORS.iter().find(|operator| follows_pipe && operator.name == span.text(text))?;
    let support = match known.support {
        Support::Full => String::new(),
        Support::Partial(what) => format!(" ({what})"),
        Support::Refused(why) => format!(" — not supported: {why}"),
    };
    Some(Hover { span, text: format!("`{}`: {}{support}", known.name, known.meaning) })
}

fn signature(signature: &Signature) -> String {
    let returns = match signature.returns {
        Returns::Type(always) => always.to_string(),
        Returns::Argument(at) | Returns::Widened(at) | Returns::Mean(at) => {
            let parameter = signature.parameters().nth(at);
            parameter.map_or("any", |parameter| parameter.accepts).to_owned()
        }
        Returns::Common => "the arguments' type".to_owned(),
        Returns::Special => "depends on the arguments".to_owned(),
    };
    format!("`{}({})` → {returns}", signature.name, signature.parameters)
}

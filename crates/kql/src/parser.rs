//! Tokens to syntax tree, with recovery: a text with mistakes still gives a tree and says where the
//! mistakes are.
//!
//! Functions never fail: what is missing is reported once and stands in the tree as an error.
//! Bounds: [`QUERY_BYTES_MAX`], [`DEPTH_MAX`] nested brackets, [`TREE_DEPTH_MAX`] nodes on any way
//! down an expression.

mod advanced;
mod expressions;
mod graph;
mod literals;
mod operators;
mod statements;

use std::cell::Cell;

use crate::lexer::{Lexeme, Token, decode, lex};
use crate::syntax::{Expression, ExpressionKind, Name, Source, Statement};
use crate::{Diagnostic, Span, codes};

/// Longest query text in bytes, Kusto's own limit on characters.
pub const QUERY_BYTES_MAX: usize = 2_000_000;
/// Deepest nesting of brackets and sub-queries.
pub(crate) const DEPTH_MAX: u32 = 64;
/// Longest chain of nested expression nodes, e.g. of `a + b + c …`.
pub(crate) const TREE_DEPTH_MAX: u32 = 160;
/// Most looks at one token before the parser must move on; a nested bracket takes a few dozen.
const LOOKS_MAX: u32 = 2_000;
/// Most findings reported for one text.
const DIAGNOSTICS_MAX: usize = 100;

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) statements: Vec<Statement>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Parses a whole query text.
pub(crate) fn parse(source: &str) -> Parsed {
    if source.len() > QUERY_BYTES_MAX {
        let message = format!("The query is longer than {QUERY_BYTES_MAX} bytes");
        let error = Diagnostic::error(codes::TOO_LONG, Span::default(), message);
        return Parsed { statements: Vec::new(), diagnostics: vec![error] };
    }
    let lexed = lex(source);
    let mut parser = Parser {
        source,
        tokens: lexed.tokens,
        at: 0,
        depth: 0,
        in_search: false,
        looks: Cell::default(),
        diagnostics: lexed.diagnostics,
    };
    let statements = parser.statements(None);
    // Whatever was left unread is a mistake, even if nobody noticed.
    if parser.lexeme(0).token != Token::End && parser.diagnostics.is_empty() {
        let (span, message) = (parser.span(), format!("Unexpected: {}", parser.text(0)));
        parser.report_at(codes::SYNTAX, span, message);
    }
    let mut diagnostics = parser.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    diagnostics.truncate(DIAGNOSTICS_MAX);
    for diagnostic in &mut diagnostics {
        diagnostic.locate(source);
    }
    Parsed { statements, diagnostics }
}

/// Parses a text that is one literal, as query parameters are.
pub(crate) fn parse_literal(source: &str) -> Option<Expression> {
    let parsed = parse(source);
    let [Statement::Query(pipeline)] = &parsed.statements[..] else { return None };
    match (&pipeline.source, parsed.diagnostics.is_empty()) {
        (Source::Expression(expression), true) if pipeline.operators.is_empty() => {
            let is_literal = matches!(expression.kind, ExpressionKind::Literal(..));
            is_literal.then(|| (**expression).clone())
        }
        _ => None,
    }
}

/// The state of parsing.
pub(crate) struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Lexeme>,
    at: usize,
    depth: u32,
    /// Whether `column:"term"` may stand here.
    in_search: bool,
    /// A place, and how often it was looked at since the parser came there.
    looks: Cell<(usize, u32)>,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn lexeme(&self, ahead: usize) -> Lexeme {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + ahead).min(last)]
    }

    /// The token here; the end, if the parser looked at one place too often without moving on. So
    /// a mistake of ours ends in a syntax error and never in an endless loop.
    fn token(&self) -> Token {
        let (at, looks) = self.looks.get();
        let looks = if at == self.at { looks + 1 } else { 0 };
        self.looks.set((self.at, looks));
        if looks > LOOKS_MAX { Token::End } else { self.lexeme(0).token }
    }

    fn span(&self) -> Span {
        self.lexeme(0).span
    }

    /// The end of the token before.
    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn since(&self, start: Span) -> Span {
        if self.last_span().end >= start.start { start.to(self.last_span()) } else { start }
    }

    /// The text of the token so far ahead.
    fn text(&self, ahead: usize) -> &str {
        self.lexeme(ahead).span.text(self.source)
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.lexeme(ahead).token, Token::Symbol(found) if found == symbol)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.is_symbol_at(0, symbol)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.lexeme(ahead).token == Token::Name && self.text(ahead) == word
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &str) {
        if !self.eat_symbol(symbol) {
            self.report(codes::MISSING_TOKEN, format!("Expected: {symbol}"));
        }
    }

    fn expect_word(&mut self, word: &str) {
        if !self.eat_word(word) {
            self.report(codes::MISSING_TOKEN, format!("Expected: {word}"));
        }
    }

    /// Reports at the current token, once for each place.
    fn report(&mut self, code: &'static str, message: String) {
        let mut span = self.span();
        if self.token() == Token::End {
            span = Span::new(self.last_span().end, self.last_span().end);
        }
        self.report_at(code, span, message);
    }

    fn report_at(&mut self, code: &'static str, span: Span, message: String) {
        self.report_with(code, span, message, None);
    }

    fn report_with(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        fix: Option<String>,
    ) {
        let known = |known: &Diagnostic| known.span.start == span.start;
        if self.diagnostics.len() < DIAGNOSTICS_MAX && !self.diagnostics.iter().any(known) {
            self.diagnostics.push(Diagnostic { fix, ..Diagnostic::error(code, span, message) });
        }
    }

    /// Runs a part that may nest; gives up on the whole text if it is nested too deeply.
    fn nested<T>(
        &mut self,
        give_up: impl FnOnce(Span) -> T,
        part: impl FnOnce(&mut Self) -> T,
    ) -> T {
        if self.depth >= DEPTH_MAX {
            self.too_deep();
            return give_up(self.span());
        }
        self.depth += 1;
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    fn too_deep(&mut self) {
        let message = "The query is nested too deeply".to_owned();
        self.report_at(codes::TOO_DEEP, self.last_span(), message);
        self.at = self.tokens.len() - 1;
    }

    /// A node, unless the tree becomes too deep.
    fn node(&mut self, kind: ExpressionKind, span: Span) -> Expression {
        let node = Expression::new(kind, span);
        if node.depth > TREE_DEPTH_MAX {
            self.too_deep();
            return Expression::error(span);
        }
        node
    }

    /// A name, plain, `['quoted']` or `"quoted"` where only a name can stand.
    fn name(&mut self) -> Name {
        let span = self.span();
        if self.token() == Token::Name {
            let text = self.text(0).to_owned();
            self.advance();
            return Name { text, span };
        }
        // Units of time and numbers can be names where only a name can stand: `1d = …`.
        if self.token() == Token::Timespan {
            let text = self.text(0).to_owned();
            self.advance();
            return Name { text, span };
        }
        if self.token() == Token::Text {
            let text = decode(self.text(0));
            self.advance();
            return Name { text, span };
        }
        if self.is_quoted_name() {
            let text = decode(self.text(1));
            self.at += 3;
            return Name { text, span: self.since(span) };
        }
        self.report(codes::MISSING_TOKEN, "Expected: name".to_owned());
        Name { text: String::new(), span: Span::new(span.start, span.start) }
    }

    /// Whether a name stands here.
    fn at_name(&self) -> bool {
        self.lexeme(0).token == Token::Name || self.is_quoted_name()
    }

    /// `['…']`
    fn is_quoted_name(&self) -> bool {
        self.is_symbol("[") && self.lexeme(1).token == Token::Text && self.is_symbol_at(2, "]")
    }

    /// Whether the token so far ahead touches the one before it.
    fn touches_previous(&self, ahead: usize) -> bool {
        let at = self.at + ahead;
        at > 0
            && at < self.tokens.len()
            && self.tokens[at].span.start == self.tokens[at - 1].span.end
    }

    /// Whether an operator, statement or bracket ends here.
    fn at_boundary(&self) -> bool {
        match self.token() {
            Token::End => true,
            Token::Symbol(symbol) => matches!(symbol, "|" | ";" | ")" | "]" | "}"),
            _ => false,
        }
    }

    /// Skips to the end of the operator, over balanced brackets.
    fn skip_to_boundary(&mut self) {
        let mut open = 0u32;
        loop {
            match self.token() {
                Token::End => return,
                Token::Symbol("(" | "[" | "{") => open += 1,
                Token::Symbol(")" | "]" | "}") if open > 0 => open -= 1,
                Token::Symbol("|" | ";") if open > 0 => {}
                Token::Symbol("|" | ";" | ")" | "]" | "}") => return,
                _ => {}
            }
            self.advance();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Text to tokens. Hand-written; never fails: what it does not know becomes an error token and a
//! diagnostic.
//!
//! Three things are peculiar to Kusto: a name may begin with a digit (`90th_Percentile`), a number
//! may end in a unit of time (`5m`), and typed literals hold text of their own
//! (`datetime(2024-01-01 10:00)`), so they are one token here. `dynamic(…)` is not: the parser reads
//! it.

mod strings;

pub(crate) use strings::decode;

use crate::{Diagnostic, Span, Type, codes};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or keyword; also `!in`, `in~`, `$left`.
    Name,
    /// `'…'`, `"…"`, `@'…'`, `h"…"`, ```` ```…``` ````.
    Text,
    /// `12`, `0x1f`.
    Long,
    /// `1.5`, `1e3`.
    Real,
    /// `5m`, `1.5h`.
    Timespan,
    /// `datetime(…)` and the like; the content is between the parentheses.
    Typed(Type),
    /// Punctuation and operators.
    Symbol(&'static str),
    /// Something unknown, already reported.
    Error,
    /// After the last token.
    End,
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

/// The tokens of a text, the last one [`Token::End`].
#[derive(Debug)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Lexeme>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Longest first.
const SYMBOLS: [&str; 33] = [
    "<|", "==", "!=", "<>", "=~", "!~", "<=", ">=", "=>", "..", "(", ")", "[", "]", "{", "}", ",",
    ";", ":", "|", "=", "<", ">", "+", "-", "*", "/", "%", ".", "?", "~", "!", "@",
];

const UNITS: [&str; 37] = [
    "d",
    "day",
    "days",
    "h",
    "hr",
    "hrs",
    "hour",
    "hours",
    "m",
    "min",
    "minute",
    "minutes",
    "s",
    "sec",
    "second",
    "seconds",
    "ms",
    "milli",
    "millis",
    "millisec",
    "millisecond",
    "milliseconds",
    "micro",
    "micros",
    "microsec",
    "microsecond",
    "microseconds",
    "nano",
    "nanos",
    "nanosec",
    "nanosecond",
    "nanoseconds",
    "tick",
    "ticks",
    "us",
    "mins",
    "secs",
];

/// Cuts a text into tokens. The text must be shorter than 4 GiB.
pub(crate) fn lex(source: &str) -> Lexed {
    let mut lexer = Lexer { source, at: 0, diagnostics: Vec::new() };
    let mut tokens = Vec::with_capacity(source.len() / 4);
    loop {
        lexer.skip_trivia();
        let start = lexer.at;
        let token = lexer.token();
        tokens.push(Lexeme { token, span: lexer.span_from(start) });
        if token == Token::End {
            return Lexed { tokens, diagnostics: lexer.diagnostics };
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn span_from(&self, start: usize) -> Span {
        let offset = |at| u32::try_from(at).expect("queries are shorter than 4 GiB");
        Span::new(offset(start), offset(self.at))
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        length
    }

    fn skip_trivia(&mut self) {
        loop {
            self.take_while(|c| c.is_whitespace() || c == '\u{feff}');
            if !self.rest().starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Token {
        let Some(first) = self.peek() else { return Token::End };
        if let Some(length) = strings::prefix(self.rest()) {
            return self.text(length);
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if is_name_start(first) {
            return self.name();
        }
        let second = self.rest().chars().nth(1);
        if first == '!' && second.is_some_and(|c| c.is_ascii_alphabetic()) {
            self.at += 1;
            self.take_while(is_name_part);
            self.take_case_mark();
            return Token::Name;
        }
        if first == '.' && second.is_some_and(|c| c.is_ascii_digit()) && !self.follows_operand() {
            return self.number();
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol)) {
            self.at += symbol.len();
            return Token::Symbol(symbol);
        }
        let start = self.at;
        self.at += first.len_utf8();
        let message = format!("Unexpected character {first:?}");
        self.diagnostics.push(Diagnostic::error(
            codes::UNEXPECTED_CHARACTER,
            self.span_from(start),
            message,
        ));
        Token::Error
    }

    /// Whether the character before is the end of an operand, so that `.5` is no number.
    fn follows_operand(&self) -> bool {
        let before = self.source[..self.at].chars().next_back();
        before.is_some_and(|c| is_name_part(c) || matches!(c, ')' | ']' | '.'))
    }

    fn text(&mut self, prefix: usize) -> Token {
        let start = self.at;
        let (length, closed) = strings::length(self.rest(), prefix);
        self.at += length;
        if !closed {
            let (span, message) = (self.span_from(start), "The string is not closed");
            let fix = "close it with the quote it begins with";
            self.diagnostics.push(Diagnostic::error(codes::UNCLOSED, span, message).with_fix(fix));
        }
        Token::Text
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        self.at += self.peek().map_or(0, char::len_utf8);
        self.take_while(is_name_part);
        if self.take_case_mark() {
            return Token::Name;
        }
        let name = &self.source[start..self.at];
        let typed = Type::from_name(name).filter(|_| name != "dynamic" && name != "string");
        let Some(literal) = typed else { return Token::Name };
        let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        if !self.rest()[blank..].starts_with('(') {
            return Token::Name;
        }
        let open = self.at + blank;
        let Some(close) = self.source[open..].find([')', '\n', ';']) else { return Token::Name };
        if !self.source[open + close..].starts_with(')') {
            return Token::Name;
        }
        self.at = open + close + 1;
        Token::Typed(literal)
    }

    /// The `~` of `in~`, if it belongs to the name just read.
    fn take_case_mark(&mut self) -> bool {
        let rest = self.rest();
        let before = &self.source[..self.at];
        let marked = rest.starts_with('~') && before.ends_with("in");
        self.at += usize::from(marked);
        marked
    }

    /// A number, with a unit a timespan, with other letters a name.
    fn number(&mut self) -> Token {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            if digits > 0 && !self.peek().is_some_and(is_name_part) {
                return Token::Long;
            }
            self.at = start;
        }
        self.take_while(|c| c.is_ascii_digit());
        let mut token = Token::Long;
        let after = self.rest().chars().nth(1);
        let fraction = self.peek() == Some('.')
            && after != Some('.')
            && !after.is_some_and(|c| is_name_start(c) && c != 'e' && c != 'E');
        if fraction {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            token = Token::Real;
        }
        if self.take_exponent() {
            token = Token::Real;
        }
        let letters = self.at;
        self.take_while(is_name_part);
        match &self.source[letters..self.at] {
            "" => token,
            unit if UNITS.contains(&unit) => Token::Timespan,
            _ if token == Token::Long => Token::Name,
            _ => {
                let message = "A number is followed by letters that are no unit of time";
                let span = self.span_from(start);
                self.diagnostics.push(Diagnostic::error(codes::INVALID_LITERAL, span, message));
                Token::Error
            }
        }
    }

    fn take_exponent(&mut self) -> bool {
        let rest = self.rest().as_bytes();
        if !matches!(rest.first(), Some(b'e' | b'E')) {
            return false;
        }
        let sign = usize::from(matches!(rest.get(1), Some(b'+' | b'-')));
        let digits = rest[1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let next = self.rest()[1 + sign + digits..].chars().next();
        let is_exponent = digits > 0 && !next.is_some_and(is_name_part);
        if is_exponent {
            self.at += 1 + sign + digits;
        }
        is_exponent
    }
}

/// Whether a name may begin with it.
pub(crate) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

/// Whether a name may go on with it.
pub(crate) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests;

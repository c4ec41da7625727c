//! Lays a query out: an operator a line, one blank between words, comments kept.

use crate::lexer::{Lexeme, Token, lex};
use crate::{Diagnostic, check_syntax};

const INDENT: &str = "    ";

/// The query laid out. A text that does not parse stays as it is. Only blanks and ends of lines
/// change, so the query means the same.
pub fn format(text: &str) -> String {
    if check_syntax(text).iter().any(Diagnostic::is_error) {
        return text.to_owned();
    }
    let tokens = lex(text).tokens;
    let mut layout = Layout { out: String::new(), brackets: Vec::new() };
    let mut end = 0usize;
    let mut previous: Option<Lexeme> = None;
    for (at, lexeme) in tokens.iter().enumerate() {
        let gap = &text[end..lexeme.span.start as usize];
        let ends_line = layout.comments(gap);
        if lexeme.token == Token::End {
            break;
        }
        let space = Space { previous, is_empty: gap.is_empty(), ends_line };
        layout.token(text, &tokens, at, space);
        end = lexeme.span.end as usize;
        previous = Some(*lexeme);
    }
    layout.out.truncate(layout.out.trim_end().len());
    layout.out.push('\n');
    layout.out
}

/// An open bracket.
struct Bracket {
    /// Holds a pipeline or statements: its content is laid out on lines of its own.
    is_block: bool,
}

struct Layout {
    out: String,
    brackets: Vec<Bracket>,
}

impl Layout {
    fn depth(&self) -> usize {
        self.brackets.iter().filter(|bracket| bracket.is_block).count()
    }

    fn new_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches([' ', '\t']).len());
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        if !self.out.is_empty() {
            (0..self.depth()).for_each(|_| self.out.push_str(INDENT));
        }
    }

    /// Comments between two tokens; whether one of them ends the line.
    fn comments(&mut self, gap: &str) -> bool {
        let mut ends_line = false;
        for (at, line) in gap.split('\n').enumerate() {
            let Some(comment) = line.trim().strip_prefix("//") else { continue };
            if at > 0 {
                self.new_line();
            } else if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                self.out.push(' ');
            }
            self.out.push_str("//");
            self.out.push_str(comment.trim_end());
            self.out.push('\n');
            ends_line = true;
        }
        ends_line
    }

    fn token(&mut self, text: &str, tokens: &[Lexeme], at: usize, space: Space) {
        let Space { previous, is_empty, ends_line } = space;
        let lexeme = tokens[at];
        let symbol = if let Token::Symbol(symbol) = lexeme.token { symbol } else { "" };
        let closes = matches!(symbol, ")" | "]" | "}");
        let closed = if closes { self.brackets.pop() } else { None };
        let after_semicolon = previous.is_some_and(|p| matches!(p.token, Token::Symbol(";")));
        let opened_block = previous.is_some_and(|p| matches!(p.token, Token::Symbol("(" | "{")))
            && !closes
            && self.brackets.last().is_some_and(|bracket| bracket.is_block);
        let breaks = ends_line
            || symbol == "|"
            || after_semicolon && !closes
            || opened_block
            || closed.is_some_and(|bracket| bracket.is_block);
        if breaks {
            self.new_line();
        } else if previous.is_some_and(|before| needs_blank(before, lexeme, is_empty)) {
            self.out.push(' ');
        }
        self.out.push_str(lexeme.span.text(text));
        if matches!(symbol, "(" | "[" | "{") {
            self.brackets.push(Bracket { is_block: is_block(tokens, at) });
        }
    }
}

/// What stands before a token.
#[derive(Clone, Copy)]
struct Space {
    previous: Option<Lexeme>,
    is_empty: bool,
    /// A comment ends the line.
    ends_line: bool,
}

/// Blanks stay where they were, as one; a comma has one behind it.
fn needs_blank(before: Lexeme, here: Lexeme, is_empty: bool) -> bool {
    let symbol =
        |lexeme: Lexeme| if let Token::Symbol(symbol) = lexeme.token { symbol } else { "" };
    match (symbol(before), symbol(here)) {
        (_, "," | ";" | ")" | "]") | ("(" | "[", _) => false,
        ("," | "|", _) => true,
        (")", "") => true,
        _ => !is_empty,
    }
}

/// Whether a bracket holds a pipe or a semicolon of its own.
fn is_block(tokens: &[Lexeme], open: usize) -> bool {
    let mut depth = 0u32;
    for lexeme in &tokens[open..] {
        match lexeme.token {
            Token::Symbol("(" | "[" | "{") => depth += 1,
            Token::Symbol(")" | "]" | "}") => {
                depth -= 1;
                if depth == 0 {
                    return false;
                }
            }
            Token::Symbol("|" | ";") if depth == 1 => return true,
            _ => {}
        }
    }
    false
}

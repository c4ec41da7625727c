//! Texts to tokens.

use super::*;
use crate::tests::check;

#[test]
fn texts_become_tokens() {
    check("lexer.txt", |input| {
        let lexed = lex(input);
        let mut lines = Vec::new();
        for lexeme in &lexed.tokens {
            let text = lexeme.span.text(input);
            lines.push(match lexeme.token {
                Token::Text => format!("Text {:?}", decode(text)),
                Token::Symbol(symbol) => symbol.to_owned(),
                Token::End => break,
                token => format!("{token:?} {text}"),
            });
        }
        lines.extend(lexed.diagnostics.iter().map(|found| format!("! {}", found.message)));
        lines.join("\n")
    });
}

#[test]
fn every_byte_is_trivia_or_in_a_token() {
    for text in ["a b", "é!x", "'open", "```x", "1.5.x", "\u{feff}x // c", "h@\"a\"\"b\" \\"] {
        let mut end = 0;
        for lexeme in lex(text).tokens {
            assert!(lexeme.span.start >= end, "{text}");
            end = lexeme.span.end;
        }
        assert_eq!(end as usize, text.len(), "{text}");
    }
}

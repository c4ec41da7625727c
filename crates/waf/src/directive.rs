//! Cuts a rule file into directives: comments, continued lines and quotes.

use crate::problem::Problem;

/// A directive and its arguments, quotes taken off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
}

/// The directives of a file; what cannot be cut is told.
pub(crate) fn directives(file: &str, text: &str) -> (Vec<Directive>, Vec<Problem>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let mut whole = first.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim());
        }
        let line = at + 1;
        match words(&whole) {
            Ok(words) => {
                let mut words = words.into_iter();
                let name = words.next().unwrap_or_default();
                found.push(Directive { line, name, arguments: words.collect() });
            }
            Err(message) => problems.push(Problem { file: file.to_owned(), line, message }),
        }
    }
    (found, problems)
}

/// Words of a line, apart by white space; one in quotes may hold white space, and `\` before a quote
/// makes it a letter. Other backslashes stand for themselves.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            quoted(&rest[1..], first)?
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// What stands up to the closing quote, and what comes after it.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if letters.peek().is_some_and(|(_, next)| *next == quote) => {
                word.push(quote);
                letters.next();
            }
            _ if letter == quote => return Ok((word, &text[at + 1..])),
            _ => word.push(letter),
        }
    }
    Err(format!("a {quote} is opened and not closed: close it, or write \\{quote} for the letter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_and_quotes_hold_together() {
        let text = "# a comment\n\nSecRule ARGS:a \\\n    \"@rx \\\"\\d b\" \\\n    \"id:1,\\\n    msg:'it''s'\"\nSecMarker END\n";
        let (found, problems) = directives("f", text);
        assert_eq!(problems, []);
        assert_eq!(found[0].line, 3);
        assert_eq!(found[0].arguments, ["ARGS:a", "@rx \"\\d b", "id:1,msg:'it''s'"]);
        assert_eq!((found[1].line, found[1].arguments[0].as_str()), (7, "END"));
    }

    #[test]
    fn an_open_quote_is_told_with_its_line() {
        let (_, problems) = directives("f.conf", "\nSecRule ARGS \"@rx x\n");
        assert!(problems[0].to_string().starts_with("f.conf:2: a \" is opened"));
    }
}

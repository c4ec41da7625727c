//! `parse_command_line`: the words of a command line as Windows takes them apart.

use kql::Function;

use super::{Kernel, text_at};
use crate::cell::Cell;
use crate::json::quoted;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ParseCommandLine => |args, _| {
            if !text_at(args, 1).eq_ignore_ascii_case("windows") || text_at(args, 0).is_empty() {
                return Cell::Null;
            }
            let words: Vec<String> = words(text_at(args, 0)).iter().map(|word| quoted(word)).collect();
            Cell::dynamic(format!("[{}]", words.join(",")))
        },
    })
}

/// Blanks part words, but not within quotes; of backslashes before a quote each two are one, and an
/// odd one more makes the quote a letter.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let (mut slashes, mut is_quoted) = (0, false);
    for letter in line.chars() {
        if letter == '\\' {
            slashes += 1;
            continue;
        }
        let kept = if letter == '"' { slashes / 2 } else { slashes };
        if kept > 0 {
            word.get_or_insert_default().extend(std::iter::repeat_n('\\', kept));
        }
        let is_escaped = letter == '"' && slashes % 2 == 1;
        slashes = 0;
        match letter {
            '"' if !is_escaped => {
                word.get_or_insert_default();
                is_quoted = !is_quoted;
            }
            ' ' | '\t' if !is_quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if slashes > 0 {
        word.get_or_insert_default().extend(std::iter::repeat_n('\\', slashes));
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_parted_as_on_windows() {
        assert_eq!(words(r#"echo "hello world!" print"#), ["echo", "hello world!", "print"]);
        assert_eq!(words(r#"a\\b c\"d "e \\" "" f\"#), [r"a\\b", "c\"d", r"e \", "", r"f\"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}

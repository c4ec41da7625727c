//! String predicates with Kusto's rules of terms and letter case.
//!
//! A term is a maximal run of letters and digits. `has` looks for its argument where no letter or
//! digit touches either end of it.

use std::borrow::Cow;

use kql::TextOp;

/// Applies a predicate other than `matches regex` and `like`.
pub(crate) fn test(op: TextOp, case_sensitive: bool, text: &str, pattern: &str) -> bool {
    if case_sensitive {
        return exact(op, text, pattern);
    }
    if op == TextOp::Equal {
        return equal_without_case(text, pattern);
    }
    if pattern.is_ascii() && (text.is_ascii() || !is_lowered_to_ascii(text, pattern)) {
        return match op {
            TextOp::StartsWith => {
                let start = text.as_bytes().get(..pattern.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(pattern.as_bytes()))
            }
            TextOp::EndsWith => {
                text.len() >= pattern.len()
                    && text.as_bytes()[text.len() - pattern.len()..]
                        .eq_ignore_ascii_case(pattern.as_bytes())
            }
            _ => occurrences_ascii(text, pattern).any(|at| fits(op, text, pattern, at)),
        };
    }
    exact(op, &lower(text), &lower(pattern))
}

/// Lower case, copied only if something changes.
pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.to_lowercase())
}

/// The same text but for the case of letters.
pub(crate) fn equal_without_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { lower(a) == lower(b) }
}

fn exact(op: TextOp, text: &str, pattern: &str) -> bool {
    match op {
        TextOp::Equal => text == pattern,
        TextOp::Contains => memchr::memmem::find(text.as_bytes(), pattern.as_bytes()).is_some(),
        TextOp::StartsWith => text.starts_with(pattern),
        TextOp::EndsWith => text.ends_with(pattern),
        _ => memchr::memmem::find_iter(text.as_bytes(), pattern.as_bytes())
            .any(|at| fits(op, text, pattern, at)),
    }
}

/// Whether the occurrence at `at` stands where the predicate wants it.
fn fits(op: TextOp, text: &str, pattern: &str, at: usize) -> bool {
    match op {
        TextOp::Has => starts_term(text, pattern, at) && ends_term(text, pattern, at),
        TextOp::HasPrefix => starts_term(text, pattern, at),
        TextOp::HasSuffix => ends_term(text, pattern, at),
        _ => true,
    }
}

fn starts_term(text: &str, pattern: &str, at: usize) -> bool {
    let touches = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    !touches || !pattern.starts_with(char::is_alphanumeric)
}

fn ends_term(text: &str, pattern: &str, at: usize) -> bool {
    let touches = text[at + pattern.len()..].chars().next().is_some_and(char::is_alphanumeric);
    !touches || !pattern.ends_with(char::is_alphanumeric)
}

/// Whether a letter beyond ASCII could, in lower case, match the pattern: the Kelvin sign is a `k`,
/// the capital i with a dot begins with an `i`.
fn is_lowered_to_ascii(text: &str, pattern: &str) -> bool {
    let holds = |sign: &str| memchr::memmem::find(text.as_bytes(), sign.as_bytes()).is_some();
    let has_k = memchr::memchr2(b'k', b'K', pattern.as_bytes()).is_some();
    has_k && holds("\u{212A}") || holds("\u{130}")
}

/// Letters, the seldom ones of English text first; what is no letter is more seldom still.
const SELDOM: &[u8] = b"zqxjkvbpygfwmucldrhsnioate ";

/// Where the pattern stands, whatever the case of its letters: its most seldom byte is looked for.
fn occurrences_ascii<'a>(text: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let rank = |byte: &u8| {
        let byte = byte.to_ascii_lowercase();
        SELDOM.iter().position(|seldom| *seldom == byte).map_or(0, |rank| rank + 1)
    };
    let (offset, wanted) =
        pattern.iter().enumerate().min_by_key(|(_, byte)| rank(byte)).unwrap_or((0, &0));
    let matches_at = move |at: usize| {
        text.get(at..at + pattern.len()).is_some_and(|found| found.eq_ignore_ascii_case(pattern))
    };
    let (small, capital) = (wanted.to_ascii_lowercase(), wanted.to_ascii_uppercase());
    let empty = pattern.is_empty().then_some(0);
    let searched = if pattern.is_empty() { &text[..0] } else { text };
    let starts = memchr::memchr2_iter(small, capital, searched);
    let starts = starts.filter_map(move |at| at.checked_sub(offset));
    empty.into_iter().chain(starts.filter(move |at| matches_at(*at)))
}

/// The regular expression of a `like` pattern: `*` and `%` stand for anything.
pub(crate) fn like_pattern(pattern: &str, case_sensitive: bool) -> String {
    let mut out = String::from(if case_sensitive { "(?s)^" } else { "(?si)^" });
    for character in pattern.chars() {
        match character {
            '*' | '%' => out.push_str(".*"),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_wants_whole_terms() {
        let has = |text: &str, pattern: &str| test(TextOp::Has, false, text, pattern);
        assert!(has("North America", "america"));
        assert!(!has("North America", "amer"));
        assert!(has("a_b", "A") && has("x.gpt-4o,y", "gpt-4o"));
        assert!(!has("gpt-4o2", "gpt-4o"));
        assert!(has("Straße ÄPFEL", "äpfel") && !has("Äpfelmus", "äpfel"));
        assert!(has("anything", ""));
        assert!(test(TextOp::HasPrefix, false, "North America", "ame"));
        assert!(test(TextOp::HasSuffix, false, "North America", "RICA"));
        assert!(!test(TextOp::Has, true, "North America", "america"));
    }

    #[test]
    fn text_beyond_ascii_is_searched_as_if_it_were_lowered() {
        let texts = [
            "Ein Ärger — SALARY, €",
            "300 \u{212A} heat",
            "\u{130}stanbul",
            "naïve Kelvin",
            "é",
            "ſick",
        ];
        let patterns = ["salary", "k", "K heat", "i", "istan", "ve", "é", "", "s", "kelvin", "zz"];
        for (text, pattern) in texts.iter().flat_map(|t| patterns.iter().map(move |p| (*t, *p))) {
            for op in [
                TextOp::Has,
                TextOp::Contains,
                TextOp::StartsWith,
                TextOp::EndsWith,
                TextOp::HasPrefix,
            ] {
                let slow = exact(op, &lower(text), &lower(pattern));
                assert_eq!(test(op, false, text, pattern), slow, "{op:?} {text} {pattern}");
            }
        }
    }

    #[test]
    fn substrings_ignore_case_only_where_asked() {
        assert!(test(TextOp::Contains, false, "FabriKam", "brik"));
        assert!(!test(TextOp::Contains, true, "FabriKam", "brik"));
        assert!(test(TextOp::StartsWith, false, "Fabrikam", "FAB"));
        assert!(!test(TextOp::StartsWith, false, "Fa", "FAB"));
        assert!(test(TextOp::EndsWith, false, "Fabrikam", "KAM"));
        assert!(test(TextOp::Equal, false, "ÄB", "äb") && !test(TextOp::Equal, true, "AB", "ab"));
    }
}

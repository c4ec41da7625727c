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
    if text.is_ascii() && pattern.is_ascii() {
        return match op {
            TextOp::StartsWith => {
                text.len() >= pattern.len()
                    && text.as_bytes()[..pattern.len()].eq_ignore_ascii_case(pattern.as_bytes())
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

fn occurrences_ascii<'a>(text: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let first = pattern.first().copied().unwrap_or(0);
    let last_start = text.len().checked_sub(pattern.len());
    let matches_at = move |at: usize| {
        last_start.is_some_and(|last| at <= last)
            && text[at..at + pattern.len()].eq_ignore_ascii_case(pattern)
    };
    let (small, capital) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let empty = pattern.is_empty().then_some(0);
    let searched = if pattern.is_empty() { &text[..0] } else { text };
    empty
        .into_iter()
        .chain(memchr::memchr2_iter(small, capital, searched).filter(move |at| matches_at(*at)))
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
    fn substrings_ignore_case_only_where_asked() {
        assert!(test(TextOp::Contains, false, "FabriKam", "brik"));
        assert!(!test(TextOp::Contains, true, "FabriKam", "brik"));
        assert!(test(TextOp::StartsWith, false, "Fabrikam", "FAB"));
        assert!(!test(TextOp::StartsWith, false, "Fa", "FAB"));
        assert!(test(TextOp::EndsWith, false, "Fabrikam", "KAM"));
        assert!(test(TextOp::Equal, false, "ÄB", "äb") && !test(TextOp::Equal, true, "AB", "ab"));
    }
}

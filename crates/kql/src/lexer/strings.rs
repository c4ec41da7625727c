//! String literals: where they begin and end, and what they hold.

/// The length of what stands before the first character of a string literal (quote included), if
/// the text begins with one: `'`, `@"`, `h'`, `h@"`, three backticks.
pub(super) fn prefix(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'h' | b'H')));
    if bytes[at..].starts_with(b"```") || bytes[at..].starts_with(b"~~~") {
        return Some(at + 3);
    }
    at += usize::from(bytes.get(at) == Some(&b'@'));
    matches!(bytes.get(at), Some(b'\'' | b'"')).then_some(at + 1)
}

/// The length of the literal in bytes, and whether it is closed. One that is not ends with its line.
pub(super) fn length(text: &str, prefix: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    if prefix >= 3 && matches!(bytes[prefix - 1], b'`' | b'~') {
        let fence = &text[prefix - 3..prefix];
        return match text[prefix..].find(fence) {
            Some(end) => (prefix + end + 3, true),
            None => (text.len(), false),
        };
    }
    let quote = bytes[prefix - 1];
    let verbatim = prefix >= 2 && bytes[prefix - 2] == b'@';
    let mut at = prefix;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !verbatim && bytes.get(at + 1).is_some_and(|&next| next != b'\n') => at += 2,
            byte if byte == quote => {
                if verbatim && bytes.get(at + 1) == Some(&quote) {
                    at += 2;
                } else {
                    return (at + 1, true);
                }
            }
            b'\n' => return (at, false),
            _ => at += 1,
        }
    }
    (at.min(bytes.len()), false)
}

/// What a literal holds. Unknown escapes keep their character.
pub(crate) fn decode(literal: &str) -> String {
    let Some(prefix) = prefix(literal) else { return literal.to_owned() };
    let bytes = literal.as_bytes();
    let (length, closed) = length(literal, prefix);
    let fenced = prefix >= 3 && matches!(bytes[prefix - 1], b'`' | b'~');
    let closing = if !closed {
        0
    } else if fenced {
        3
    } else {
        1
    };
    let content = literal.get(prefix..length - closing).unwrap_or("");
    let quote = &literal[prefix - 1..prefix];
    if fenced {
        content.to_owned()
    } else if prefix >= 2 && bytes[prefix - 2] == b'@' {
        content.replace(&quote.repeat(2), quote)
    } else {
        unescape(content)
    }
}

fn unescape(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '0' => text.push('\0'),
            'u' | 'x' | 'U' => {
                let digits = match escape {
                    'u' => 4,
                    'x' => 2,
                    _ => 8,
                };
                let code = hex(rest, digits);
                match code {
                    Some(high @ 0xd800..=0xdbff) => {
                        let low = rest[digits..].strip_prefix("\\u").and_then(|rest| hex(rest, 4));
                        let Some(low @ 0xdc00..=0xdfff) = low else {
                            text.push('\u{fffd}');
                            rest = &rest[digits..];
                            continue;
                        };
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                        rest = &rest[digits + 6..];
                    }
                    Some(code) => {
                        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                        rest = &rest[digits..];
                    }
                    None => text.push(escape),
                }
            }
            other => text.push(other),
        }
    }
    text.push_str(rest);
    text
}

/// Exactly so many hexadecimal digits at the beginning.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let text = text.get(..digits)?;
    let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all { u32::from_str_radix(text, 16).ok() } else { None }
}

//! Transformations that take out what hides an attack: comments, detours in paths, quotes of shells.

use super::is_space;

pub(super) fn compress_whitespace(value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(value.len());
    let mut was_space = false;
    for byte in value {
        let is_space = is_space(*byte);
        match (is_space, was_space) {
            (true, true) => {}
            (true, false) => out.push(b' '),
            (false, _) => out.push(*byte),
        }
        was_space = is_space;
    }
    out
}

/// A command line as a shell understands it: quotes and escapes go, separators are one space, and none
/// stands before `/` and `(`.
pub(super) fn command_line(value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b'/' | b'(' => {
                if out.last() == Some(&b' ') {
                    out.pop();
                }
                out.push(*byte);
            }
            byte => out.push(byte.to_ascii_lowercase()),
        }
    }
    out
}

/// A path without `//`, `/./` and, but at its beginning, `/x/../`.
pub(super) fn path(value: &[u8]) -> Vec<u8> {
    let is_absolute = value.first() == Some(&b'/');
    let ends_open = matches!(value, [.., b'/'] | [.., b'/', b'.'] | [.., b'/', b'.', b'.']);
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in value.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if is_absolute => {}
                _ => parts.push(part),
            },
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(value.len());
    if is_absolute {
        out.push(b'/');
    }
    out.extend(parts.join(&b'/'));
    if ends_open && !parts.is_empty() {
        out.push(b'/');
    }
    out
}

/// Each comment of C as one space, an open one too.
pub(super) fn replace_comments(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"/*") {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        let inner = &rest[at + 2..];
        rest = memchr::memmem::find(inner, b"*/").map_or(&[], |end| &inner[end + 2..]);
    }
    out.extend_from_slice(rest);
    out
}

/// Comments of C and HTML go; after `--` or `#` all of the rest does, for a space.
pub(super) fn remove_comments(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(first) = rest.first() {
        let end: Option<&[u8]> = match rest {
            [b'/', b'*', ..] => Some(b"*/"),
            [b'<', b'!', b'-', b'-', ..] => Some(b"-->"),
            [b'-', b'-', ..] | [b'#', ..] => {
                out.push(b' ');
                return out;
            }
            _ => None,
        };
        let Some(end) = end else {
            out.push(*first);
            rest = &rest[1..];
            continue;
        };
        let Some(at) = memchr::memmem::find(&rest[2..], end) else {
            out.push(b' ');
            return out;
        };
        rest = &rest[2 + at + end.len()..];
    }
    out
}

/// The marks that begin and end comments go, what is within stays.
pub(super) fn remove_comment_marks(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(first) = rest.first() {
        let length = match rest {
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', b'>', ..] => 3,
            [b'/', b'*', ..] | [b'*', b'/', ..] | [b'-', b'-', ..] => 2,
            [b'#', ..] => 1,
            _ => 0,
        };
        if length == 0 {
            out.push(*first);
        }
        rest = &rest[length.max(1)..];
    }
    out
}

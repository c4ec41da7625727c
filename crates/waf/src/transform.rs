//! Transformations: what is done to a value before an operator looks at it.
//!
//! They follow ModSecurity's reference manual. What a transformation cannot read it leaves as it is.

mod decode;
mod rewrite;

use std::borrow::Cow;

use sha1::Digest;

use crate::problem;

/// One transformation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transformation {
    Base64Decode,
    Base64DecodeExt,
    Base64Encode,
    CmdLine,
    CompressWhitespace,
    CssDecode,
    EscapeSeqDecode,
    HexDecode,
    HexEncode,
    HtmlEntityDecode,
    JsDecode,
    Length,
    Lowercase,
    Md5,
    NormalizePath,
    NormalizePathWin,
    RemoveComments,
    RemoveCommentsChar,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceComments,
    ReplaceNulls,
    Sha1,
    SqlHexDecode,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
    UrlDecode,
    UrlDecodeUni,
    UrlEncode,
    Utf8ToUnicode,
}

const NAMES: &[(&str, Transformation)] = &[
    ("base64Decode", Transformation::Base64Decode),
    ("base64DecodeExt", Transformation::Base64DecodeExt),
    ("base64Encode", Transformation::Base64Encode),
    ("cmdLine", Transformation::CmdLine),
    ("compressWhitespace", Transformation::CompressWhitespace),
    ("cssDecode", Transformation::CssDecode),
    ("escapeSeqDecode", Transformation::EscapeSeqDecode),
    ("hexDecode", Transformation::HexDecode),
    ("hexEncode", Transformation::HexEncode),
    ("htmlEntityDecode", Transformation::HtmlEntityDecode),
    ("jsDecode", Transformation::JsDecode),
    ("length", Transformation::Length),
    ("lowercase", Transformation::Lowercase),
    ("md5", Transformation::Md5),
    ("normalizePath", Transformation::NormalizePath),
    ("normalisePath", Transformation::NormalizePath),
    ("normalizePathWin", Transformation::NormalizePathWin),
    ("normalisePathWin", Transformation::NormalizePathWin),
    ("removeComments", Transformation::RemoveComments),
    ("removeCommentsChar", Transformation::RemoveCommentsChar),
    ("removeNulls", Transformation::RemoveNulls),
    ("removeWhitespace", Transformation::RemoveWhitespace),
    ("replaceComments", Transformation::ReplaceComments),
    ("replaceNulls", Transformation::ReplaceNulls),
    ("sha1", Transformation::Sha1),
    ("sqlHexDecode", Transformation::SqlHexDecode),
    ("trim", Transformation::Trim),
    ("trimLeft", Transformation::TrimLeft),
    ("trimRight", Transformation::TrimRight),
    ("uppercase", Transformation::Uppercase),
    ("urlDecode", Transformation::UrlDecode),
    ("urlDecodeUni", Transformation::UrlDecodeUni),
    ("urlEncode", Transformation::UrlEncode),
    ("utf8toUnicode", Transformation::Utf8ToUnicode),
];

impl Transformation {
    /// By its name after `t:`, in any case.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, one)| *one).ok_or_else(|| {
            problem::unknown("transformation", name, NAMES.iter().map(|(name, _)| *name))
        })
    }

    /// The value after it; borrowed where it changes nothing.
    pub(crate) fn apply(self, value: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Base64Decode => Cow::Owned(decode::base64(value, false)),
            Self::Base64DecodeExt => Cow::Owned(decode::base64(value, true)),
            Self::Base64Encode => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(value);
                Cow::Owned(text.into_bytes())
            }
            Self::CmdLine => changed(value, rewrite::command_line(value)),
            Self::CompressWhitespace => changed(value, rewrite::compress_whitespace(value)),
            Self::CssDecode => with(value, b'\\', decode::css),
            Self::EscapeSeqDecode => with(value, b'\\', decode::escapes),
            Self::HexDecode => Cow::Owned(decode::hex(value)),
            Self::HexEncode => Cow::Owned(hex_encode(value)),
            Self::HtmlEntityDecode => with(value, b'&', decode::html_entities),
            Self::JsDecode => with(value, b'\\', decode::javascript),
            Self::Length => Cow::Owned(value.len().to_string().into_bytes()),
            Self::Lowercase if !value.iter().any(u8::is_ascii_uppercase) => Cow::Borrowed(value),
            Self::Lowercase => Cow::Owned(value.to_ascii_lowercase()),
            Self::Md5 => Cow::Owned(md5::Md5::digest(value).to_vec()),
            Self::NormalizePath => changed(value, rewrite::path(value)),
            Self::NormalizePathWin => changed(value, rewrite::path(&replace(value, b'\\', b'/'))),
            Self::RemoveComments => changed(value, rewrite::remove_comments(value)),
            Self::RemoveCommentsChar => changed(value, rewrite::remove_comment_marks(value)),
            Self::RemoveNulls => keep(value, |byte| byte != 0),
            Self::RemoveWhitespace => keep(value, |byte| !is_space(byte)),
            Self::ReplaceComments => changed(value, rewrite::replace_comments(value)),
            Self::ReplaceNulls => changed(value, replace(value, 0, b' ')),
            Self::Sha1 => Cow::Owned(sha1::Sha1::digest(value).to_vec()),
            Self::SqlHexDecode => with(value, b'0', decode::sql_hex),
            Self::Trim => Cow::Borrowed(trim_left(trim_right(value))),
            Self::TrimLeft => Cow::Borrowed(trim_left(value)),
            Self::TrimRight => Cow::Borrowed(trim_right(value)),
            Self::Uppercase => changed(value, value.to_ascii_uppercase()),
            Self::UrlDecode => decode::url(value, false),
            Self::UrlDecodeUni => decode::url(value, true),
            Self::UrlEncode => Cow::Owned(url_encode(value)),
            Self::Utf8ToUnicode if value.is_ascii() => Cow::Borrowed(value),
            Self::Utf8ToUnicode => Cow::Owned(decode::utf8_to_unicode(value)),
        }
    }
}

/// The value after all of them; none if they change nothing.
pub(crate) fn apply_all(transformations: &[Transformation], value: &[u8]) -> Option<Vec<u8>> {
    let mut changed: Option<Vec<u8>> = None;
    for transformation in transformations {
        let before = changed.as_deref().unwrap_or(value);
        let after = transformation.apply(before);
        let is_same = matches!(&after, Cow::Borrowed(same) if same.len() == before.len());
        if !is_same {
            changed = Some(after.into_owned());
        }
    }
    changed
}

/// White space as ModSecurity counts it, with the no-break space of Latin-1.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0)
}

fn changed(before: &[u8], after: Vec<u8>) -> Cow<'_, [u8]> {
    if before == after { Cow::Borrowed(before) } else { Cow::Owned(after) }
}

/// Only values that hold this byte are worked on.
fn with(value: &[u8], byte: u8, work: fn(&[u8]) -> Vec<u8>) -> Cow<'_, [u8]> {
    match memchr::memchr(byte, value) {
        Some(_) => Cow::Owned(work(value)),
        None => Cow::Borrowed(value),
    }
}

fn keep(value: &[u8], wanted: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    if value.iter().all(|byte| wanted(*byte)) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| wanted(*byte)).collect())
}

fn replace(value: &[u8], from: u8, to: u8) -> Vec<u8> {
    value.iter().map(|byte| if *byte == from { to } else { *byte }).collect()
}

fn trim_left(value: &[u8]) -> &[u8] {
    let from = value.iter().position(|byte| !is_space(*byte)).unwrap_or(value.len());
    &value[from..]
}

fn trim_right(value: &[u8]) -> &[u8] {
    let to = value.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    &value[..to]
}

fn hex_encode(value: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    value.iter().flat_map(pair).collect()
}

fn url_encode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(*byte),
            byte => {
                out.push(b'%');
                out.extend(hex_encode(&[*byte]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = include_str!("../testdata/transformations.txt");

    /// A value of the file: `\xHH` is a byte, `\\` a backslash.
    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text.as_bytes();
        while let Some(first) = rest.first() {
            let (byte, length) = match rest {
                [b'\\', b'x', digits @ ..] => (decode::hex(&digits[..2])[0], 4),
                [b'\\', b'\\', ..] => (b'\\', 2),
                [b'\\', b'n', ..] => (b'\n', 2),
                _ => (*first, 1),
            };
            out.push(byte);
            rest = &rest[length..];
        }
        out
    }

    #[test]
    fn every_transformation_does_what_the_cases_say() {
        let mut seen = Vec::new();
        for (number, line) in CASES.lines().enumerate().skip(1) {
            let mut parts = line.split(" | ");
            let name = parts.next().unwrap();
            let (value, wanted) = match (parts.next(), parts.next()) {
                (Some(value), Some(wanted)) => (value, wanted),
                (Some(rest), None) => ("", rest.strip_prefix("| ").unwrap()),
                _ => panic!("line {}", number + 1),
            };
            let one = Transformation::named(name).unwrap();
            let found = apply_all(&[one], &bytes(value)).unwrap_or_else(|| bytes(value));
            assert_eq!(found, bytes(wanted), "testdata/transformations.txt:{}", number + 1);
            seen.push(one);
        }
        for (name, one) in NAMES {
            assert!(seen.contains(one), "{name} has no case");
        }
    }
}

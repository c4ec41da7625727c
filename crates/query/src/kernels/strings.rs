//! Text.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kql::Function;

use super::{Kernel, Scratch, at, long_at, text_at};
use crate::cell::Cell;
use crate::convert::to_text;
use crate::json;
use crate::text::equal_without_case;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::Strlen => |args, _| Cell::Long(count(text_at(args, 0).chars().count())),
        Function::StringSize => |args, _| Cell::Long(count(text_at(args, 0).len())),
        Function::Substring => substring,
        Function::Strcat => |args, _| Cell::text(args.iter().map(to_text).collect::<String>()),
        Function::StrcatDelim => strcat_delim,
        Function::StrcatArray => strcat_array,
        Function::ToLower => |args, _| Cell::text(crate::text::lower(text_at(args, 0)).into_owned()),
        Function::ToUpper => |args, _| Cell::text(text_at(args, 0).to_uppercase()),
        Function::Strcmp => {
            |args, _| Cell::Long(text_at(args, 0).cmp(text_at(args, 1)) as i64)
        },
        Function::Strrep => strrep,
        Function::Reverse => |args, _| Cell::text(text_at(args, 0).chars().rev().collect::<String>()),
        Function::IndexOf => index_of,
        Function::Split => split,
        Function::ReplaceString => replace_string,
        Function::ReplaceStrings => replace_strings,
        Function::Translate => translate,
        Function::IsAscii => |args, _| Cell::Bool(text_at(args, 0).is_ascii()),
        Function::IsUtf8 => |_, _| Cell::Bool(true),
        Function::ToHex => to_hex,
        Function::RegexQuote => |args, _| Cell::text(regex_quote(text_at(args, 0))),
        Function::Base64EncodeToString => |args, _| Cell::text(STANDARD.encode(text_at(args, 0))),
        Function::Base64DecodeToString => base64_text,
        Function::Base64DecodeToArray => base64_array,
        Function::Base64EncodeFromArray => base64_from_array,
        Function::Base64EncodeFromGuid => base64_from_guid,
        Function::Base64DecodeToGuid => base64_to_guid,
        Function::UrlEncode => |args, _| Cell::text(url_encode(text_at(args, 0), true)),
        Function::UrlEncodeComponent => |args, _| Cell::text(url_encode(text_at(args, 0), false)),
        Function::UrlDecode => |args, _| Cell::text(super::url::decode(text_at(args, 0))),
        Function::UnicodeFromString => unicode_from,
        Function::UnicodeToString => unicode_to,
        Function::FormatBytes => format_bytes,
        Function::HasAnyIndex => has_any_index,
        Function::ParseCsv => parse_csv,
        Function::ParseVersion => parse_version,
        Function::ParseUrl => |args, _| Cell::dynamic(super::url::parse(text_at(args, 0))),
        Function::ParseUrlQuery => {
            |args, _| Cell::dynamic(super::url::parse_query(text_at(args, 0)))
        }
    })
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Cuts bytes out without copying what is borrowed.
fn cut<'a>(text: &Cow<'a, str>, range: std::ops::Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}

/// The byte position of a character; the length if there are fewer.
fn byte_of(text: &str, character: usize) -> usize {
    if text.is_ascii() {
        return character.min(text.len());
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// A negative start counts from the end; a negative length is empty.
fn substring<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Cell::Text(text), Some(start)) = (&args[0], long_at(args, 1)) else {
        return Cell::text("");
    };
    let start = if start < 0 {
        usize::try_from(count(text.chars().count()) + start).unwrap_or(0)
    } else {
        usize::try_from(start).unwrap_or(usize::MAX)
    };
    let length = match args.get(2) {
        Some(length) => usize::try_from(length.as_long().unwrap_or(-1)).unwrap_or(0),
        None => usize::MAX,
    };
    let from = byte_of_prefix(text, start);
    let to = from + byte_of_prefix(&text[from..], length);
    Cell::Text(cut(text, from..to))
}

/// As [`byte_of`], but looks only at the characters it passes.
fn byte_of_prefix(text: &str, characters: usize) -> usize {
    if characters >= text.len() {
        return text.len();
    }
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

fn strcat_delim<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let parts: Vec<_> = args[1..].iter().map(to_text).collect();
    Cell::text(parts.join(text_at(args, 0)))
}

fn strcat_array<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let parts: Vec<_> = json::elements(text_at(args, 0)).map(json::unquote).collect();
    Cell::text(parts.join(text_at(args, 1)))
}

/// Longest text `strrep` and `repeat` build.
const REPEAT_BYTES_MAX: usize = 1 << 20;

fn strrep<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let times = long_at(args, 1).and_then(|times| usize::try_from(times).ok()).unwrap_or(0);
    let (text, delimiter) = (text_at(args, 0), text_at(args, 2));
    let most = REPEAT_BYTES_MAX / (text.len() + delimiter.len()).max(1);
    Cell::text(vec![text; times.min(most)].join(delimiter))
}

/// Position of the n-th occurrence from a start within a length, in characters; −1 if there is none.
fn index_of<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (text, wanted) = (text_at(args, 0), text_at(args, 1));
    let Some(window) = Window::new(text, &args[2..]) else { return Cell::Null };
    let found = find_nth(window.text(text), wanted, window.occurrence);
    Cell::Long(found.map_or(-1, |at| window.position(text, at)))
}

fn find_nth(text: &str, wanted: &str, occurrence: usize) -> Option<usize> {
    if wanted.is_empty() {
        return (occurrence == 1).then_some(0);
    }
    let mut from = 0;
    for _ in 1..occurrence {
        let at = from + text.get(from..)?.find(wanted)?;
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    text.get(from..)?.find(wanted).map(|at| from + at)
}

/// The `start, length, occurrence` of `indexof` and its kin.
pub(super) struct Window {
    from: usize,
    to: usize,
    /// From 1.
    pub(super) occurrence: usize,
}

impl Window {
    /// None if the arguments make no sense, such as a negative occurrence.
    pub(super) fn new(text: &str, args: &[Cell<'_>]) -> Option<Self> {
        let start = args.first().map_or(Some(0), Cell::as_long)?;
        let length = args.get(1).map_or(Some(-1), Cell::as_long)?;
        let occurrence = args.get(2).map_or(Some(1), Cell::as_long)?;
        let start = if start < 0 { (count(text.chars().count()) + start).max(0) } else { start };
        let from = byte_of(text, usize::try_from(start).ok()?);
        let to = match usize::try_from(length) {
            Ok(length) => from + byte_of(&text[from..], length),
            Err(_) if length == -1 => text.len(),
            Err(_) => return None,
        };
        let occurrence = usize::try_from(occurrence).ok().filter(|nth| *nth > 0)?;
        Some(Self { from, to, occurrence })
    }

    pub(super) fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.from..self.to]
    }

    /// The character position in the whole text of a byte position in the window.
    pub(super) fn position(&self, text: &str, at: usize) -> i64 {
        count(text[..self.from + at].chars().count())
    }
}

fn split<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (text, delimiter) = (text_at(args, 0), text_at(args, 1));
    let parts: Vec<&str> =
        if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
    let Some(index) = args.get(2) else { return Cell::dynamic(json::strings(parts)) };
    let wanted = index.as_long().and_then(|index| usize::try_from(index).ok());
    Cell::dynamic(json::strings(wanted.and_then(|index| parts.get(index).copied())))
}

fn replace_string<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (text, from, to) = (text_at(args, 0), text_at(args, 1), text_at(args, 2));
    if from.is_empty() {
        return args[0].clone();
    }
    Cell::text(text.replace(from, to))
}

/// All replacements in one pass from the left; the first listed wins where several fit.
fn replace_strings<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let text = text_at(args, 0);
    // What would be replaced by something else than a string stays.
    let replacement = |wanted, with| match json::shape(with) {
        json::Shape::String => json::unquote(with),
        _ => json::unquote(wanted),
    };
    let pairs = json::elements(text_at(args, 1)).zip(json::elements(text_at(args, 2)));
    let (wanted, with): (Vec<_>, Vec<_>) =
        pairs.map(|(wanted, with)| (json::unquote(wanted), replacement(wanted, with))).unzip();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hit = wanted.iter().position(|key| !key.is_empty() && rest.starts_with(&**key));
        match hit {
            Some(at) => {
                out.push_str(&with[at]);
                rest = &rest[wanted[at].len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Cell::text(out)
}

fn translate<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let from: Vec<char> = text_at(args, 0).chars().collect();
    let to: Vec<char> = text_at(args, 1).chars().collect();
    let map = |character: char| match from.iter().rposition(|wanted| *wanted == character) {
        Some(at) => to.get(at).or(to.last()).copied(),
        None => Some(character),
    };
    Cell::text(text_at(args, 2).chars().filter_map(map).collect::<String>())
}

fn to_hex<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(value) = long_at(args, 0) else { return Cell::text("") };
    let width = long_at(args, 1).and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
    Cell::text(format!("{value:0>width$x}", width = width.min(64)))
}

fn regex_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let is_plain = character.is_alphanumeric() || character == '_' || !character.is_ascii();
        if !is_plain {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

fn base64_text<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let bytes = STANDARD.decode(text_at(args, 0)).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Cell::text(text.unwrap_or_default())
}

fn base64_array<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Ok(bytes) = STANDARD.decode(text_at(args, 0)) else { return Cell::Null };
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    Cell::dynamic(format!("[{}]", numbers.join(",")))
}

fn base64_from_array<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let bytes: Option<Vec<u8>> =
        json::elements(text_at(args, 0)).map(|number| number.parse().ok()).collect();
    Cell::text(bytes.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default())
}

/// The byte order of .NET: the first three groups are little-endian.
fn guid_bytes(bits: u128) -> [u8; 16] {
    let mut bytes = bits.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

fn base64_from_guid<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let bits = kql::parse_guid(text_at(args, 0));
    Cell::text(bits.map(|bits| STANDARD.encode(guid_bytes(bits))).unwrap_or_default())
}

fn base64_to_guid<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let bytes = STANDARD.decode(text_at(args, 0)).ok();
    let bits = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(|bytes| {
        let swapped = guid_bytes(u128::from_be_bytes(bytes));
        u128::from_be_bytes(swapped)
    });
    Cell::or_null(bits, |bits| Cell::Guid(Cow::Owned(kql::format_guid(bits))))
}

fn url_encode(text: &str, is_blank_plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' if is_blank_plus => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn unicode_from<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let points: Vec<String> =
        text_at(args, 0).chars().map(|character| u32::from(character).to_string()).collect();
    Cell::dynamic(format!("[{}]", points.join(",")))
}

fn unicode_to<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let mut out = String::new();
    let mut push = |point: i64| {
        out.extend(u32::try_from(point).ok().and_then(char::from_u32));
    };
    for arg in args {
        match arg {
            Cell::Dynamic(json) => {
                for element in json::elements(json) {
                    element.parse().ok().into_iter().for_each(&mut push);
                }
            }
            other => other.as_long().into_iter().for_each(&mut push),
        }
    }
    Cell::text(out)
}

fn format_bytes<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    const UNITS: [&str; 7] = ["Bytes", "KB", "MB", "GB", "TB", "PB", "EB"];
    let Some(bytes) = args[0].as_real() else { return Cell::text("") };
    let places = long_at(args, 1).and_then(|places| usize::try_from(places).ok()).unwrap_or(0);
    let wanted = UNITS.iter().position(|unit| equal_without_case(unit, text_at(args, 2)));
    let mut unit = 0;
    let mut value = bytes;
    while wanted.map_or(value.abs() >= 1024.0 && unit < UNITS.len() - 1, |wanted| unit < wanted) {
        value /= 1024.0;
        unit += 1;
    }
    let mut number = format!("{value:.*}", places.min(17));
    if number.contains('.') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
    Cell::text(format!("{number} {}", UNITS[unit]))
}

fn has_any_index<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let text = text_at(args, 0);
    let found = json::elements(text_at(args, 1))
        .position(|term| crate::text::test(kql::TextOp::Has, false, text, &json::unquote(term)));
    Cell::Long(found.map_or(-1, count))
}

/// The first record of comma-separated values.
fn parse_csv<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let text = text_at(args, 0);
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a field");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => break,
            other => field.push(other),
        }
    }
    Cell::dynamic(json::strings(fields.iter().map(String::as_str)))
}

/// `a.b.c.d` as one number: eight digits for each part.
fn parse_version<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let parts: Vec<&str> = text_at(args, 0).split('.').collect();
    if parts.len() > 4 {
        return Cell::Null;
    }
    let mut number = String::new();
    for position in 0..4 {
        let part = parts.get(position).copied().unwrap_or("0");
        if part.is_empty() || part.len() > 8 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Cell::Null;
        }
        number.push_str(&format!("{part:0>8}"));
    }
    Cell::or_null(at(args, 0).and_then(|_| crate::decimal::parse(&number)), Cell::Decimal)
}

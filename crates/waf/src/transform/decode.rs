//! Transformations that take an encoding off.

use std::borrow::Cow;

/// A hexadecimal digit's value.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The byte that two digits stand for.
pub(super) fn pair(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// A character of two bytes as one: those of full width become the ASCII they stand for, of others the
/// lower byte is kept.
fn narrow(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..0x5f).contains(&low) { low + 0x20 } else { low }
}

/// Percent encoding and `+`; `%uHHHH` too, as IIS reads it.
pub(super) fn url(value: &[u8], takes_unicode: bool) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let unicode = match after {
            [b'u' | b'U', digits @ ..] if takes_unicode => {
                pair(digits).zip(digits.get(2..).and_then(pair))
            }
            _ => None,
        };
        let (byte, length) = match first {
            b'+' => (b' ', 1),
            b'%' => match (unicode, pair(after)) {
                (Some((high, low)), _) => (narrow(high, low), 6),
                (None, Some(byte)) => (byte, 3),
                (None, None) => (b'%', 1),
            },
            byte => (*byte, 1),
        };
        out.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// `&#xH;`, `&#D;` and the names that HTML always had; the semicolon may lack.
pub(super) fn html_entities(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(first) = rest.first() {
        let (byte, length) = match first {
            b'&' => entity(&rest[1..]).map_or((b'&', 1), |(byte, length)| (byte, length + 1)),
            byte => (*byte, 1),
        };
        out.push(byte);
        rest = &rest[length..];
    }
    out
}

/// The byte that an entity stands for, and its length after the `&`.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    let (byte, length) = if let Some(number) = text.strip_prefix(b"#") {
        let (radix, from) = match number {
            [b'x' | b'X', ..] => (16, 1),
            _ => (10, 0),
        };
        let digits = number[from..].iter().take_while(|byte| char::from(**byte).is_digit(radix));
        let digits = digits.count();
        let text = std::str::from_utf8(&number[from..from + digits]).ok()?;
        // Of a number out of range the lower byte is not worth asking for.
        let code = u32::from_str_radix(text, radix).ok()?;
        (code.to_le_bytes()[0], 1 + from + digits)
    } else {
        const NAMES: [(&[u8], u8); 6] = [
            (b"quot", b'"'),
            (b"amp", b'&'),
            (b"lt", b'<'),
            (b"gt", b'>'),
            (b"nbsp", 0xa0),
            (b"apos", b'\''),
        ];
        let length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let name = &text[..length];
        let (name, byte) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        (*byte, name.len())
    };
    let ends = usize::from(text.get(length) == Some(&b';'));
    Some((byte, length + ends))
}

/// Escapes of JavaScript's strings.
pub(super) fn javascript(value: &[u8]) -> Vec<u8> {
    unescape(value, |after| {
        let unicode = after.strip_prefix(b"u");
        let wide = unicode.and_then(|digits| pair(digits).zip(digits.get(2..).and_then(pair)));
        if let Some((high, low)) = wide {
            return Some((narrow(high, low), 5));
        }
        if let Some(byte) = after.strip_prefix(b"x").and_then(pair) {
            return Some((byte, 3));
        }
        octal(after, 3).or_else(|| control(after[0]).map(|byte| (byte, 1))).or(Some((after[0], 1)))
    })
}

/// Escapes of C's strings; those that C does not know stay.
pub(super) fn escapes(value: &[u8]) -> Vec<u8> {
    unescape(value, |after| {
        if let Some(byte) = after.strip_prefix(b"x").and_then(pair) {
            return Some((byte, 3));
        }
        let letter = match after[0] {
            quote @ (b'\\' | b'?' | b'\'' | b'"') => Some(quote),
            letter => control(letter),
        };
        octal(after, 3).or_else(|| letter.map(|byte| (byte, 1)))
    })
}

/// Replaces each `\` and what is read after it; a `\` whose rest is not read stays.
fn unescape(value: &[u8], read: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let found = if *first == b'\\' && !after.is_empty() { read(after) } else { None };
        let (byte, length) = found.map_or((*first, 1), |(byte, length)| (byte, length + 1));
        out.push(byte);
        rest = &rest[length..];
    }
    out
}

fn octal(text: &[u8], digits_max: usize) -> Option<(u8, usize)> {
    let is_octal = |byte: &&u8| matches!(byte, b'0'..=b'7');
    let digits = text.iter().take(digits_max).take_while(is_octal).count();
    // Three digits may be more than a byte: then the third is no part of it.
    (1..=digits).rev().find_map(|length| {
        let text = std::str::from_utf8(&text[..length]).ok()?;
        Some((u8::from_str_radix(text, 8).ok()?, length))
    })
}

fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// Escapes of CSS: up to six digits and one space after them, or any other letter.
pub(super) fn css(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let taken = match (first, after.first()) {
            (b'\\', None) => 1,
            (b'\\', Some(b'\n')) => 2,
            (b'\\', Some(_)) if digits > 0 => {
                let spaces = after.get(digits).is_some_and(|byte| byte.is_ascii_whitespace());
                out.push(css_byte(&after[..digits]));
                1 + digits + usize::from(spaces)
            }
            (b'\\', Some(letter)) => {
                out.push(*letter);
                2
            }
            (byte, _) => {
                out.push(*byte);
                1
            }
        };
        rest = &rest[taken..];
    }
    out
}

fn css_byte(digits: &[u8]) -> u8 {
    let code = digits
        .iter()
        .filter_map(|byte| digit(*byte))
        .fold(0u32, |code, digit| code << 4 | u32::from(digit));
    let [low, high, rest, _] = code.to_le_bytes();
    narrow(if rest == 0 { high } else { 0 }, low)
}

/// Pairs of digits; it ends with the first that is none.
pub(super) fn hex(value: &[u8]) -> Vec<u8> {
    value.chunks(2).map_while(pair).collect()
}

/// `0x4142` as MySQL reads it.
pub(super) fn sql_hex(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(first) = rest.first() {
        if let [b'0', b'x' | b'X', digits @ ..] = rest {
            let count = digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() / 2 * 2;
            if count > 0 {
                out.extend(hex(&digits[..count]));
                rest = &digits[count..];
                continue;
            }
        }
        out.push(*first);
        rest = &rest[1..];
    }
    out
}

/// Base64 up to the first letter that is none, or past all such.
pub(super) fn base64(value: &[u8], is_lenient: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in value {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ if is_lenient => continue,
            _ => break,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count).to_le_bytes()[0]);
        }
    }
    out
}

/// Characters beyond ASCII as `%uHHHH`; bytes that are no UTF-8 stay.
pub(super) fn utf8_to_unicode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 2);
    for chunk in value.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_ascii() {
                out.extend(letter.to_string().into_bytes());
            } else {
                out.extend(format!("%u{:04x}", u32::from(letter)).into_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

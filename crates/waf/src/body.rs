//! Bodies taken apart into arguments: forms, multipart forms and JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::item::{Item, JSON_VALUES_MAX, arguments, halves};

/// Parts of a multipart form that are looked at.
const PARTS_MAX: usize = 200;
/// Longest boundary (RFC 2046 allows 70).
const BOUNDARY_BYTES_MAX: usize = 200;

/// What a body holds.
#[derive(Default)]
pub(crate) struct Parsed<'r> {
    pub(crate) arguments: Vec<Item<'r>>,
    pub(crate) files: Vec<File<'r>>,
    /// Each line of each part's head, under the part's name.
    pub(crate) part_headers: Vec<Item<'r>>,
    /// It is not what its type says, or holds more than is looked at.
    pub(crate) is_broken: bool,
}

/// A file of a multipart form.
pub(crate) struct File<'r> {
    pub(crate) name: Cow<'r, [u8]>,
    pub(crate) file_name: Cow<'r, [u8]>,
    pub(crate) size: usize,
}

pub(crate) fn url_encoded(bytes: &[u8]) -> Parsed<'_> {
    let (arguments, is_whole) = arguments(bytes);
    Parsed { arguments, is_broken: !is_whole, ..Parsed::default() }
}

/// JSON as arguments: `{"a":[{"b":1}]}` is `json.a.0.b` with the value `1`. Of a body that is cut off, what
/// was whole counts.
pub(crate) fn json(bytes: &[u8], is_partial: bool) -> Parsed<'_> {
    let mut flat = Flat { arguments: Vec::new(), name: "json".to_owned() };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Member(&mut flat).deserialize(&mut reader).and_then(|()| reader.end());
    let is_broken = match read {
        Ok(()) => false,
        Err(error) => bytes.is_empty() || !(is_partial && error.is_eof()),
    };
    Parsed { arguments: flat.arguments, is_broken, ..Parsed::default() }
}

struct Flat {
    arguments: Vec<Item<'static>>,
    /// Of the value that is being read.
    name: String,
}

impl Flat {
    fn add<E: serde::de::Error>(&mut self, value: String) -> Result<(), E> {
        if self.arguments.len() >= JSON_VALUES_MAX {
            return Err(E::custom("more values than are looked at"));
        }
        let name = Cow::Owned(self.name.clone().into_bytes());
        self.arguments.push(Item { name, value: Cow::Owned(value.into_bytes()) });
        Ok(())
    }

    /// Reads a value below this one. How deep values lie is limited by the reader.
    fn below<T>(&mut self, key: &str, read: impl FnOnce(Member<'_>) -> T) -> T {
        let length = self.name.len();
        self.name.push('.');
        self.name.push_str(key);
        let value = read(Member(self));
        self.name.truncate(length);
        value
    }
}

/// A value of JSON on its way into the arguments.
struct Member<'f>(&'f mut Flat);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.add(text.to_owned())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.add(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        for place in 0.. {
            let place: u32 = place;
            let next = self.0.below(&place.to_string(), |member| values.next_element_seed(member));
            if next?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            self.0.below(&key, |member| members.next_value_seed(member))?;
        }
        Ok(())
    }
}

/// A multipart form. Of one that is cut off, the last part is what there is of it.
pub(crate) fn multipart<'r>(bytes: &'r [u8], content_type: &[u8], is_partial: bool) -> Parsed<'r> {
    let mut parsed = Parsed::default();
    let Some(boundary) = boundary(content_type) else {
        return Parsed { is_broken: true, ..parsed };
    };
    let delimiter = [b"--", boundary.as_slice()].concat();
    let places: Vec<usize> = memchr::memmem::find_iter(bytes, &delimiter)
        .filter(|at| *at == 0 || bytes[..*at].ends_with(b"\n"))
        .take(PARTS_MAX + 2)
        .collect();
    let mut is_closed = false;
    for (number, at) in places.iter().enumerate() {
        let from = at + delimiter.len();
        if bytes[from..].starts_with(b"--") {
            is_closed = true;
            break;
        }
        let to = places.get(number + 1).copied();
        let part = &bytes[from..to.unwrap_or(bytes.len())];
        let is_cut = is_partial && to.is_none();
        if number == PARTS_MAX || !(parsed.part(part) || is_cut) {
            parsed.is_broken = true;
        }
    }
    parsed.is_broken |= !is_closed && !is_partial;
    parsed
}

impl<'r> Parsed<'r> {
    /// Adds a part; false if it has no head or no name.
    fn part(&mut self, part: &'r [u8]) -> bool {
        let part = part.strip_prefix(b"\r").unwrap_or(part);
        let Some(part) = part.strip_prefix(b"\n") else { return false };
        let end = memchr::memmem::find(part, b"\r\n\r\n").map(|at| (at, at + 4));
        let end = end.or_else(|| memchr::memmem::find(part, b"\n\n").map(|at| (at, at + 2)));
        let Some((head_end, content)) = end else { return false };
        let lines = part[..head_end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let disposition = lines.clone().find(|line| {
            halves(line, b':').0.trim_ascii().eq_ignore_ascii_case(b"content-disposition")
        });
        let Some(name) = disposition.and_then(|line| parameter(line, "name")) else { return false };
        let name: Cow<'r, [u8]> = Cow::Owned(name);
        for line in lines {
            self.part_headers.push(Item { name: name.clone(), value: Cow::Borrowed(line) });
        }
        let value = &part[content..];
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        match disposition.and_then(|line| parameter(line, "filename")) {
            Some(file_name) => {
                let file_name = Cow::Owned(file_name);
                self.files.push(File { name, file_name, size: value.len() });
            }
            None => self.arguments.push(Item { name, value: Cow::Borrowed(value) }),
        }
        true
    }
}

fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let boundary = parameter(content_type, "boundary")?;
    (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()).then_some(boundary)
}

/// The value of `name=` or `name="…"` in a header.
fn parameter(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut rest = header;
    loop {
        let at = memchr::memchr(b';', rest)?;
        rest = rest[at + 1..].trim_ascii_start();
        let (key, value) = halves(rest, b'=');
        if !key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
            continue;
        }
        let value = value.trim_ascii_start();
        return Some(match value.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => halves(value, b';').0.trim_ascii().to_vec(),
        });
    }
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => out.extend(bytes.next()),
            byte => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parsed: &Parsed<'_>) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pair = |item: &Item<'_>| format!("{}={}", text(&item.name), text(&item.value));
        parsed.arguments.iter().map(pair).collect()
    }

    #[test]
    fn json_becomes_arguments_by_path() {
        let parsed = json(
            br#"{"messages":[{"role":"user","content":"hi"}],"n":1,"s":true,"x":null}"#,
            false,
        );
        assert_eq!(
            shown(&parsed),
            [
                "json.messages.0.role=user",
                "json.messages.0.content=hi",
                "json.n=1",
                "json.s=true",
                "json.x="
            ]
        );
        assert!(!parsed.is_broken);
    }

    #[test]
    fn of_json_that_is_cut_off_what_was_whole_counts() {
        let text = br#"{"a":"one","b":"tw"#;
        assert_eq!(shown(&json(text, true)), ["json.a=one"]);
        assert!(!json(text, true).is_broken && json(text, false).is_broken);
        assert!(json(b"{]", true).is_broken && json(b"", false).is_broken);
        assert!(json("[".repeat(1_000).as_bytes(), false).is_broken, "too deep");
        assert!(json(format!("[{}1]", "1,".repeat(JSON_VALUES_MAX)).as_bytes(), false).is_broken);
    }

    #[test]
    fn forms_have_fields_files_and_part_heads() {
        let form = b"--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
            --x\r\ncontent-disposition: form-data; name=file; filename=\"a\\\"b.jsonl\"\r\n\
            content-type: text/plain\r\n\r\n{}\r\n--x--\r\n";
        let kind = b"multipart/form-data; charset=utf-8; boundary=\"x\"";
        let parsed = multipart(form, kind, false);
        assert_eq!(shown(&parsed), ["purpose=batch"]);
        assert_eq!((&*parsed.files[0].file_name, parsed.files[0].size), (&b"a\"b.jsonl"[..], 2));
        assert_eq!(parsed.part_headers.len(), 3);
        assert!(!parsed.is_broken);
        let cut = &form[..form.len() - 12];
        assert!(multipart(cut, kind, false).is_broken && !multipart(cut, kind, true).is_broken);
        assert!(multipart(form, b"multipart/form-data", false).is_broken);
    }
}

//! Header lists as they are recorded: kept as the JSON they stand in, so that neither the request
//! path nor the pipeline takes them apart header by header. Where a list becomes an object, its texts go over as
//! they stand, escapes and all.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr2, memmem};
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Json;

/// Header names (lower case) and values chosen for the record, in the order received; secrets redacted.
///
/// It is the text of a JSON array of pairs; nothing for an empty list.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderList(Option<Box<str>>);

impl HeaderList {
    /// True without headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Length of that text.
    pub(crate) fn bytes(&self) -> usize {
        self.text().map_or(0, str::len)
    }

    /// The JSON array; nothing for an empty list.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Takes the list apart. What is no list of pairs of texts counts as empty.
    pub fn read(&self) -> Headers<'_> {
        Headers(self.pairs().collect())
    }

    /// The first value of a header by its name in lower case, where no other is asked for.
    pub fn first(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = self.text()?;
        // No value can look like it: its quotes are escaped.
        let start = format!("[\"{name}\",\"");
        let at = memmem::find(text.as_bytes(), start.as_bytes())? + start.len();
        Some(unescaped(quoted(&text[at..])?))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.text().and_then(|text| text.strip_prefix('['));
        std::iter::from_fn(move || {
            let from_name = rest?.strip_prefix("[\"")?;
            let name = quoted(from_name)?;
            let from_value = from_name[name.len()..].strip_prefix("\",\"")?;
            let value = quoted(from_value)?;
            let end = from_value[value.len()..].strip_prefix("\"]")?;
            rest = end.strip_prefix(',');
            Some((name, value))
        })
    }
}

/// A header list, taken apart: names and values as they stand in the JSON, escaped.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Headers<'a> {
    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.0.iter().map(|(name, value)| (unescaped(name), unescaped(value)))
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        let found = self.0.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| unescaped(value))
    }

    /// Headers that are told as a change of others: of `base` all but the `dropped` names (separated by commas),
    /// then these. With none they are told whole.
    pub fn over(self, base: &Self, dropped: Option<&str>) -> Self {
        let Some(dropped) = dropped else { return self };
        let is_kept = |pair: &&(&str, &str)| !dropped.split(',').any(|dropped| dropped == pair.0);
        Self(base.0.iter().filter(is_kept).copied().chain(self.0).collect())
    }

    /// A JSON object; the values of a repeated name are joined (RFC 9110 §5.2).
    pub fn object(&self) -> Json {
        let pairs = &self.0;
        if pairs.is_empty() {
            return Json::default();
        }
        let bytes = pairs.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
        let mut text = String::with_capacity(bytes + 1);
        for (at, (name, value)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other == name) {
                continue;
            }
            let before = if at == 0 { "{\"" } else { ",\"" };
            for piece in [before, name, "\":\"", value] {
                text.push_str(piece);
            }
            for (_, value) in pairs[at + 1..].iter().filter(|(other, _)| other == name) {
                text.push_str(", ");
                text.push_str(value);
            }
            text.push('"');
        }
        text.push('}');
        Json(text)
    }
}

/// What stands before the next quote that is not escaped.
fn quoted(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            return Some(&text[..end]);
        }
        // What is escaped ends nothing.
        end += 2;
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let text: String = serde_json::from_str(&format!("\"{text}\"")).unwrap_or_default();
    text.into()
}

/// Makes a list, header by header.
#[derive(Debug, Default)]
pub struct HeaderListBuilder(Vec<u8>);

impl HeaderListBuilder {
    /// Bytes of the list besides each header's name and value.
    pub const OVERHEAD_BYTES: usize = r#"["",""],"#.len();

    /// Room for a list of so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes + 1))
    }

    /// Adds a header; its name is a token (RFC 9110 §5.6.2). Bytes of the value that are no UTF-8 become U+FFFD.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let text = &mut self.0;
        text.extend_from_slice(if text.is_empty() { b"[[\"" } else { b",[\"" });
        text.extend_from_slice(name.as_bytes());
        if is_plain(value) {
            text.extend_from_slice(b"\",\"");
            text.extend_from_slice(value);
            text.extend_from_slice(b"\"]");
            return;
        }
        let value = serde_json::Value::from(String::from_utf8_lossy(value));
        text.extend_from_slice(format!("\",{value}]").as_bytes());
    }

    /// The list.
    pub fn finish(self) -> HeaderList {
        let mut text = self.0;
        if text.is_empty() {
            return HeaderList::default();
        }
        text.push(b']');
        let text = String::from_utf8(text).expect("only UTF-8 was put in");
        HeaderList(Some(text.into()))
    }
}

/// It stands in JSON as it is. Few values do not; looking at all of a chunk is quicker than stopping early.
pub(crate) fn is_plain(value: &[u8]) -> bool {
    let is_plain = |bytes: &[u8]| {
        let is_plain = |byte: u8| matches!(byte, 0x20..0x7f) & (byte != b'"') & (byte != b'\\');
        bytes.iter().fold(true, |plain, byte| plain & is_plain(*byte))
    };
    let chunks = value.as_chunks::<16>().0;
    match value.last_chunk::<16>() {
        // It overlaps what goes before.
        Some(last) => chunks.iter().all(|chunk| is_plain(chunk)) && is_plain(last),
        None => is_plain(value),
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut list = HeaderListBuilder::default();
        for (name, value) in pairs {
            list.push(name.as_ref(), value.as_ref().as_bytes());
        }
        list.finish()
    }
}

impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().unwrap_or("[]"))
    }
}

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let is_empty = text.get() == "[]";
        Ok(Self((!is_empty).then(|| text.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_survives_its_text() {
        for pairs in
            [vec![], vec![("accept", "a"), ("x", "tab\t \"q\" \\ é \u{7f}"), ("accept", "b")]]
        {
            let list: HeaderList = pairs.iter().copied().collect();
            let text = serde_json::to_string(&pairs).expect("it is JSON");
            assert_eq!(list.text().unwrap_or("[]"), text);
            let read: HeaderList = serde_json::from_str(&text).expect("it reads");
            assert_eq!(read, list);
            let last = pairs.iter().find(|(name, _)| *name == "x").map(|(_, value)| *value);
            assert_eq!(read.first("x").as_deref(), last);
            let found: Vec<_> = read.read().pairs().collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(found, pairs);
        }
    }

    #[test]
    fn repeated_headers_are_joined_in_order() {
        let list: HeaderList =
            [("accept", "a"), ("via", "1.1 x"), ("accept", "b\"c")].into_iter().collect();
        let list = list.read();
        assert_eq!(list.object().0, r#"{"accept":"a, b\"c","via":"1.1 x"}"#);
        assert_eq!(list.first("Via").as_deref(), Some("1.1 x"));
        assert_eq!(list.first("accept").as_deref(), Some("a"));
        assert_eq!(list.first("host"), None);
        assert_eq!(Headers::default().object().0, "");
    }

    #[test]
    fn a_list_may_be_told_as_a_change_of_another() {
        let base: HeaderList = [("accept", "a"), ("host", "x"), ("via", "1")].into_iter().collect();
        let added: HeaderList = [("host", "y"), ("api-key", "***")].into_iter().collect();
        let base = base.read();
        let object = |dropped| added.read().over(&base, dropped).object().0;
        assert_eq!(object(None), r#"{"host":"y","api-key":"***"}"#);
        assert_eq!(object(Some("host,via")), r#"{"accept":"a","host":"y","api-key":"***"}"#);
        assert_eq!(Headers::default().over(&base, Some("")).object(), base.object());
    }

    #[test]
    fn what_is_no_list_of_pairs_is_empty() {
        for text in [r#"{"a":1}"#, r#"{"a":"b"}"#, "7", r#"[["a"]]"#, r#"["a","b"]"#] {
            let list: HeaderList = serde_json::from_str(text).expect("it is JSON");
            assert_eq!(list.read().pairs().count(), 0, "{text}");
        }
    }
}

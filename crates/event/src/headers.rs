//! Header lists as they are recorded: kept as the JSON they stand in, so that neither the request
//! path nor the pipeline takes them apart header by header.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Json;

/// A header's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

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

    /// Names and values. What is no list of pairs of texts counts as empty.
    pub fn pairs(&self) -> Vec<Pair<'_>> {
        let Some(text) = &self.0 else { return Vec::new() };
        let pairs: Vec<(Text<'_>, Text<'_>)> = serde_json::from_str(text).unwrap_or_default();
        pairs.into_iter().map(|(name, value)| (name.0, value.0)).collect()
    }

    /// A JSON object; the values of a repeated name are joined (RFC 9110 §5.2).
    pub fn object(&self) -> Json {
        object_of(&self.pairs())
    }

    /// The JSON object of a list that is told as a change of another: of `base` all but the `dropped` names
    /// (separated by commas), then its own. With none it is told whole.
    pub fn object_over(&self, base: &[Pair<'_>], dropped: Option<&str>) -> Json {
        let own = self.pairs();
        let Some(dropped) = dropped else { return object_of(&own) };
        let is_kept = |pair: &&Pair<'_>| !dropped.split(',').any(|dropped| dropped == pair.0);
        let pairs: Vec<_> = base.iter().filter(is_kept).cloned().chain(own).collect();
        object_of(&pairs)
    }
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

/// A JSON object of headers; the values of a repeated name are joined (RFC 9110 §5.2).
pub fn object_of(pairs: &[Pair<'_>]) -> Json {
    if pairs.is_empty() {
        return Json::default();
    }
    let bytes = pairs.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
    let mut text = String::with_capacity(bytes + 2);
    for (at, (name, value)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(other, _)| other == name) {
            continue;
        }
        text.push(if text.is_empty() { '{' } else { ',' });
        quote(&mut text, name);
        text.push(':');
        let others = pairs[at + 1..].iter().filter(|(other, _)| other == name);
        let joined = others.fold(Cow::Borrowed(&**value), |joined, (_, value)| {
            Cow::Owned(format!("{joined}, {value}"))
        });
        quote(&mut text, &joined);
    }
    text.push('}');
    Json(text)
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

/// Adds a JSON string.
fn quote(text: &mut String, value: &str) {
    if is_plain(value.as_bytes()) {
        for piece in ["\"", value, "\""] {
            text.push_str(piece);
        }
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().unwrap_or("[]"))
    }
}

impl Serialize for HeaderList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(text) => {
                let text: &RawValue = serde_json::from_str(text).map_err(S::Error::custom)?;
                text.serialize(serializer)
            }
            None => serializer.collect_seq([(); 0]),
        }
    }
}

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let is_empty = text.get() == "[]";
        Ok(Self((!is_empty).then(|| text.into())))
    }
}

/// Text that is borrowed where nothing in it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Reads).map(Self)
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
            let text = serde_json::to_string(&list).expect("it is JSON");
            assert_eq!(text, serde_json::to_string(&pairs).expect("it is JSON"));
            let read: HeaderList = serde_json::from_str(&text).expect("it reads");
            assert_eq!(read, list);
            let found = read.pairs();
            let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(found, pairs);
        }
    }

    #[test]
    fn repeated_headers_are_joined_in_order() {
        let list: HeaderList =
            [("accept", "a"), ("via", "1.1 x"), ("accept", "b\"c")].into_iter().collect();
        assert_eq!(list.object().0, r#"{"accept":"a, b\"c","via":"1.1 x"}"#);
        assert_eq!(HeaderList::default().object().0, "");
    }

    #[test]
    fn a_list_may_be_told_as_a_change_of_another() {
        let base: HeaderList = [("accept", "a"), ("host", "x"), ("via", "1")].into_iter().collect();
        let added: HeaderList = [("host", "y"), ("api-key", "***")].into_iter().collect();
        let object = |dropped| added.object_over(&base.pairs(), dropped).0;
        assert_eq!(object(None), r#"{"host":"y","api-key":"***"}"#);
        assert_eq!(object(Some("host,via")), r#"{"accept":"a","host":"y","api-key":"***"}"#);
        assert_eq!(HeaderList::default().object_over(&base.pairs(), Some("")), base.object());
    }

    #[test]
    fn what_is_no_list_of_pairs_is_empty() {
        let list: HeaderList = serde_json::from_str(r#"{"a":1}"#).expect("it is JSON");
        assert_eq!(list.pairs(), []);
    }
}

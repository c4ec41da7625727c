//! Header lists as they are recorded: kept as the JSON they stand in, so that neither the request
//! path nor the pipeline takes them apart header by header.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Json;

/// Room for the headers of an ordinary call.
const TEXT_BYTES: usize = 1024;

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

    /// The JSON array; nothing for an empty list.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Names and values. What is no list of pairs of texts counts as empty.
    pub fn pairs(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        let Some(text) = &self.0 else { return Vec::new() };
        let pairs: Vec<(Text<'_>, Text<'_>)> = serde_json::from_str(text).unwrap_or_default();
        pairs.into_iter().map(|(name, value)| (name.0, value.0)).collect()
    }

    /// A JSON object; the values of a repeated name are joined (RFC 9110 §5.2).
    pub fn object(&self) -> Json {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return Json::default();
        }
        let mut text = String::with_capacity(self.0.as_ref().map_or(0, |list| list.len()));
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
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            if text.is_empty() {
                text.reserve(TEXT_BYTES);
            }
            text.push_str(if text.is_empty() { "[[" } else { ",[" });
            quote(&mut text, name.as_ref());
            text.push(',');
            quote(&mut text, value.as_ref());
            text.push(']');
        }
        if text.is_empty() {
            return Self::default();
        }
        text.push(']');
        Self(Some(text.into()))
    }
}

/// Adds a JSON string.
fn quote(text: &mut String, value: &str) {
    // Few headers hold what must be escaped. Looking at all of it is quicker than stopping early.
    let escapes = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    if value.as_bytes().iter().fold(false, |found, byte| found | escapes(byte)) {
        text.push_str(&serde_json::Value::from(value).to_string());
        return;
    }
    text.push('"');
    text.push_str(value);
    text.push('"');
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
    fn what_is_no_list_of_pairs_is_empty() {
        let list: HeaderList = serde_json::from_str(r#"{"a":1}"#).expect("it is JSON");
        assert_eq!(list.pairs(), []);
    }
}

//! Reading header lists and the few headers that say what a body is.

use event::{HeaderList, Json};
use serde_json::{Map, Value};

use crate::decode::Encoding;

/// What the headers say of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Media {
    /// `Content-Type`, whole; empty if there was none.
    pub(crate) content_type: String,
    /// An encoding that can be undone.
    pub(crate) encoding: Option<Encoding>,
}

impl Media {
    pub(crate) fn of(headers: &HeaderList) -> Self {
        let content_type = first(headers, "content-type").unwrap_or_default().to_owned();
        let encoding = first(headers, "content-encoding").and_then(Encoding::from_name);
        Self { content_type, encoding }
    }

    /// `Content-Type` without its parameters, lower case.
    pub(crate) fn essence(&self) -> String {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    /// A stream of server-sent events.
    pub(crate) fn is_event_stream(&self) -> bool {
        self.essence() == "text/event-stream"
    }
}

/// The first value of a header.
pub(crate) fn first<'a>(headers: &'a HeaderList, name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Headers as a JSON object; the values of a repeated name are joined (RFC 9110 §5.2).
pub(crate) fn object(headers: &HeaderList) -> Json {
    if headers.is_empty() {
        return Json::default();
    }
    let mut object = Map::new();
    for (name, value) in headers {
        match object.get_mut(name) {
            Some(Value::String(joined)) => {
                joined.push_str(", ");
                joined.push_str(value);
            }
            _ => {
                object.insert(name.clone(), Value::String(value.clone()));
            }
        }
    }
    Json(Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_headers_are_joined_in_order() {
        let headers = [("accept", "a"), ("via", "1.1 x"), ("accept", "b\"c")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = r#"{"accept":"a, b\"c","via":"1.1 x"}"#;
        assert_eq!(object(&headers.to_vec()).0, expected);
        assert_eq!(object(&HeaderList::new()).0, "");
    }

    #[test]
    fn a_body_is_known_by_its_headers() {
        let headers = vec![
            ("Content-Type".to_owned(), "Text/Event-Stream; charset=utf-8".to_owned()),
            ("content-encoding".to_owned(), "GZip".to_owned()),
        ];
        let media = Media::of(&headers);
        assert!(media.is_event_stream());
        assert_eq!(media.encoding, Some(Encoding::Gzip));
    }
}

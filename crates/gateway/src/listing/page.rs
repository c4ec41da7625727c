//! What a list is asked for, and a page of one. Pure.

use bytes::Bytes;
use openai::ObjectKind;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects on a page unless asked otherwise, and at most; of files all.
const LIMIT: usize = 20;
const LIMIT_MAX: usize = 100;
const FILES_LIMIT_MAX: usize = 10_000;

/// What the caller asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) is_ascending: bool,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    /// The rest of the query, as received: filters, order, version.
    filters: String,
    /// Objects on a page of a backend; none where the API knows no pages.
    backend_limit: Option<usize>,
}

/// A page of a backend's list.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(super) has_more: bool,
}

impl Wanted {
    /// Reads the query of a list; none if it makes no sense.
    pub(super) fn read(kind: ObjectKind, query: &str) -> Option<Self> {
        let is_file = kind == ObjectKind::File;
        let limit_max = if is_file { FILES_LIMIT_MAX } else { LIMIT_MAX };
        let mut wanted = Self {
            limit: if is_file { FILES_LIMIT_MAX } else { LIMIT },
            // Stored completions and evals come in the order in which they were made.
            is_ascending: matches!(kind, ObjectKind::Completion | ObjectKind::Eval),
            after: None,
            before: None,
            filters: String::new(),
            backend_limit: (!is_file).then_some(LIMIT_MAX),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = || percent_decode_str(value).decode_utf8().ok().map(String::from);
            match name {
                "limit" => {
                    wanted.limit = value.parse().ok().filter(|n| (1..=limit_max).contains(n))?;
                    continue;
                }
                "after" => {
                    wanted.after = Some(text()?);
                    continue;
                }
                "before" => {
                    wanted.before = Some(text()?);
                    continue;
                }
                "order" => {
                    wanted.is_ascending = match value {
                        "asc" => true,
                        "desc" => false,
                        _ => return None,
                    };
                }
                _ => {}
            }
            if !wanted.filters.is_empty() {
                wanted.filters.push('&');
            }
            wanted.filters.push_str(pair);
        }
        Some(wanted)
    }

    /// The query for a backend's page that begins after an object.
    pub(super) fn query(&self, after: Option<&str>) -> String {
        let mut query = self.filters.clone();
        let mut add = |name: &str, value: &str| {
            let gap = if query.is_empty() { "" } else { "&" };
            query.push_str(&format!("{gap}{name}={value}"));
        };
        if let Some(limit) = self.backend_limit {
            add("limit", &limit.to_string());
        }
        if let Some(after) = after {
            add("after", after);
        }
        query
    }
}

impl Page {
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

/// The id of an object in a list.
pub(super) fn id_of(text: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_str::<Id>(text.get()).ok().map(|object| object.id)
}

/// A page for the caller; the objects stand in it as their backends wrote them.
pub(super) fn body(objects: &[&RawValue], has_more: bool) -> Bytes {
    let quoted = |id: Option<String>| match id {
        Some(id) => serde_json::Value::from(id).to_string(),
        None => "null".to_owned(),
    };
    let bytes: usize = objects.iter().map(|text| text.get().len() + 1).sum();
    let mut body = String::with_capacity(bytes + 200);
    body.push_str(r#"{"object":"list","data":["#);
    for (place, text) in objects.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str(text.get());
    }
    let first = quoted(objects.first().and_then(|text| id_of(text)));
    let last = quoted(objects.last().and_then(|text| id_of(text)));
    body.push_str(&format!(r#"],"first_id":{first},"last_id":{last},"has_more":{has_more}}}"#));
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_taken_apart_and_put_together_for_backends() {
        let query = "purpose=batch&after=file-1&limit=3&order=asc&api-version=2024-10-21";
        let wanted = Wanted::read(ObjectKind::File, query).expect("it makes sense");
        assert_eq!((wanted.limit, wanted.is_ascending), (3, true));
        assert_eq!(wanted.after.as_deref(), Some("file-1"));
        let rest = "purpose=batch&order=asc&api-version=2024-10-21";
        assert_eq!(wanted.query(None), rest);
        assert_eq!(wanted.query(Some("file-2")), format!("{rest}&after=file-2"));
        let wanted = Wanted::read(ObjectKind::Batch, "").expect("it makes sense");
        assert_eq!((wanted.limit, wanted.is_ascending), (20, false));
        assert_eq!(wanted.query(Some("b")), "limit=100&after=b");
        for wrong in ["limit=0", "limit=101", "limit=x", "order=up", "after=%ff"] {
            assert_eq!(Wanted::read(ObjectKind::Batch, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn objects_stand_in_a_page_as_they_were_written() {
        let text = r#"{"data":[{"id":"a", "x":1.50},{"id":"b\n"}],"has_more":true,"other":1}"#;
        let page = Page::read(text.as_bytes()).expect("a list");
        let texts: Vec<&RawValue> = page.data.iter().map(|text| &**text).collect();
        let want = r#"{"object":"list","data":[{"id":"a", "x":1.50},{"id":"b\n"}],"first_id":"a","last_id":"b\n","has_more":false}"#;
        assert_eq!(body(&texts, false), want);
        let empty =
            r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#;
        assert_eq!(body(&[], false), empty);
        assert!(Page::read(b"[]").is_err());
    }
}

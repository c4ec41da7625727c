//! Headers on their way through the gateway: those that came, changed into those that go on, and told by what was
//! changed.

use event::HeaderListBuilder;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credential;
use crate::record::SentHeaders;

/// Room in the record for the headers that the gateway changes.
const CHANGES_BYTES: usize = 192;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passing {
    headers: HeaderMap,
    /// Names that were put in or taken out, each once, and whether such a header had come.
    changed: Vec<(HeaderName, bool)>,
}

impl Passing {
    /// Headers as they came.
    pub(crate) fn new(headers: HeaderMap) -> Self {
        Self { headers, changed: Vec::new() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn into_headers(self) -> HeaderMap {
        self.headers
    }

    /// Puts a header in, in place of all of that name.
    pub(crate) fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let was_there = self.headers.insert(name.clone(), value).is_some();
        self.note(name, was_there);
    }

    /// Takes all headers of that name out.
    pub(crate) fn remove(&mut self, name: HeaderName) {
        if self.headers.remove(&name).is_some() {
            self.note(name, true);
        }
    }

    fn note(&mut self, name: HeaderName, was_there: bool) {
        if !self.changed.iter().any(|(changed, _)| *changed == name) {
            self.changed.push((name, was_there));
        }
    }

    /// How they differ now from those that came.
    pub(crate) fn changes(&self) -> SentHeaders {
        let mut list = HeaderListBuilder::with_capacity(CHANGES_BYTES);
        let mut dropped = String::new();
        for (name, had_come) in &self.changed {
            for value in self.headers.get_all(name) {
                list.push(name.as_str(), &credential::redact_header(name, value.as_bytes()));
            }
            if *had_come {
                if !dropped.is_empty() {
                    dropped.push(',');
                }
                dropped.push_str(name.as_str());
            }
        }
        SentHeaders { list: list.finish(), dropped: Some(dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::header_list;

    #[test]
    fn what_goes_on_is_told_by_what_was_changed() {
        let mut came = HeaderMap::new();
        for (name, value) in
            [("accept", "a"), ("host", "x"), ("via", "1"), ("via", "2"), ("te", "t")]
        {
            came.append(name, HeaderValue::from_static(value));
        }
        let mut passing = Passing::new(came.clone());
        assert!(passing.changes().list.is_empty());
        assert_eq!(passing.changes().dropped.as_deref(), Some(""));
        let value = HeaderValue::from_static;
        passing.remove(http::header::VIA);
        passing.insert(http::header::VIA, value("3"));
        passing.insert(http::header::HOST, value("y"));
        passing.remove(http::header::TE);
        passing.remove(http::header::TRAILER);
        passing.insert(HeaderName::from_static("api-key"), value("secret"));
        passing.insert(http::header::AGE, value("1"));
        passing.remove(http::header::AGE);
        let changes = passing.changes();
        assert_eq!(changes.dropped.as_deref(), Some("via,host,te"));
        let came = header_list(&came);
        let told = changes.list.read().over(&came.read(), changes.dropped.as_deref());
        assert_eq!(told.object().0, r#"{"accept":"a","via":"3","host":"y","api-key":"***"}"#);
    }
}

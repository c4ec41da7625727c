//! Reading header lists and the few headers that say what a body is.

use event::HeaderList;

/// What the headers say of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Media {
    /// `Content-Type`, whole; empty if there was none.
    pub(crate) content_type: String,
    /// An encoding that can be undone.
    pub(crate) encoding: Option<Encoding>,
}

/// An encoding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// By its name in `Content-Encoding`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

impl Media {
    pub(crate) fn of(headers: &HeaderList) -> Self {
        let content_type = headers.first("content-type").unwrap_or_default().into_owned();
        let encoding = headers.first("content-encoding");
        let encoding = encoding.and_then(|name| Encoding::from_name(&name));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_headers() {
        let headers =
            [("content-type", "Text/Event-Stream; charset=utf-8"), ("content-encoding", "GZip")];
        let media = Media::of(&headers.into_iter().collect());
        assert!(media.is_event_stream());
        assert_eq!(media.encoding, Some(Encoding::Gzip));
    }
}

//! Why a request could not be sent, by what the caller can do about it.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The settings are wrong: correct them.
    Config,
    /// The egress rules forbid the address: change the rules or the address.
    Denied,
    /// No connection came about: nothing was sent, another origin may be tried.
    Connect,
    /// All connections are in use: nothing was sent, try again later.
    Busy,
    /// The connection broke before an answer began.
    Broken,
    /// No answer began in time.
    Timeout,
    /// The request's own body failed: its sender is gone.
    Body,
}

/// An error of an outbound request.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(source.into()) }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole story in one line, its causes included.
    pub fn story(&self) -> String {
        let mut text = self.context.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

//! Why a secret cannot be had, by what the caller can do about it. The text names home and name of
//! the secret, never its value, nor what a home answered beyond its own error code.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The settings are wrong: correct them.
    Config,
    /// The home does not have it: put it there.
    Missing,
    /// The home refuses: grant the permission, or mend the login.
    Denied,
    /// The home does not answer now: it is tried again.
    Unavailable,
    /// What is stored cannot be read: restore it.
    Corrupt,
}

/// An error of a secret's home.
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

    pub(crate) fn caused(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, with what was wanted before it.
    pub(crate) fn of(mut self, what: &impl fmt::Display) -> Self {
        self.context = format!("{what}: {}", self.context);
        self
    }

    /// What the caller can do about it.
    pub const fn kind(&self) -> ErrorKind {
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

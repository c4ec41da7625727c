//! What can go wrong, by what the caller can do about it.

use std::fmt;

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The state would contradict itself: change the request.
    Invalid,
    /// There is no such thing.
    Missing,
    /// It is there already, or not in a state that allows this.
    Conflict,
    /// Somebody changed it meanwhile: read it again.
    Stale,
    /// The configuration file holds the state: change it there.
    ReadOnly,
    /// The database or the ledger cannot be reached: try again later.
    Unavailable,
}

/// Why something was not done; the text names the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    context: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into() }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What `If-Match` names is not what is there.
    pub fn stale() -> Self {
        Self::new(
            ErrorKind::Stale,
            "it was changed meanwhile: read it again, and send its new ETag",
        )
    }

    /// `If-None-Match: *` wants a new one, and there is one.
    pub fn taken() -> Self {
        Self::new(
            ErrorKind::Stale,
            "there is one with this id already: choose another id, or change that one",
        )
    }

    /// There is no such subscription, or not for whoever asks.
    pub fn no_such_subscription(id: &str) -> Self {
        Self::missing("subscription", id)
    }

    /// What is there does not allow it.
    pub fn conflict(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, context)
    }

    pub(crate) fn invalid(context: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, context.to_string())
    }

    /// There is no such thing.
    pub fn missing(what: &str, id: &str) -> Self {
        Self::new(ErrorKind::Missing, format!("there is no {what} `{id}`: list them to see which"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::new(ErrorKind::Unavailable, format!("the database of the desired state: {error}"))
    }
}

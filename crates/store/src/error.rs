//! Why the store could not do something, by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No room on the disk: free some, then write the same batch again; nothing of it was kept.
    Full,
    /// What is on disk is not what was written: restore it, or rebuild the tables from the ledger.
    Corrupt,
    /// The store was closed: open it again.
    Closed,
    /// Another process has the folder open: stop it.
    Locked,
    /// What is asked cannot be: change it.
    Invalid,
    /// The file system refused.
    Io,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of the store.
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

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An I/O error while doing `action` to `path`; a full disk is told apart.
    pub(crate) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let full = is_full(&source);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Io };
        let fix = if full { ": the disk is full, free some space" } else { "" };
        Self::new(kind, format!("cannot {action} {}{fix}", path.display())).with_source(source)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// True when the error, or what it stands for, is a lack of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The I/O error behind `error`, however deep.
pub(crate) fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
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

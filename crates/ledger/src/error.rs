//! Why the ledger could not do something, by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The queue has no room at this moment: wait for it.
    Full,
    /// A write or flush failed, nothing more is acknowledged: answer 503 and try again later.
    Poisoned,
    /// The ledger was closed.
    Closed,
    /// What is asked is outside the limits: change it.
    Invalid,
    /// What is on disk is not what was written: a person must look at it.
    Corrupt,
    /// What was asked for has been released and recycled.
    Released,
    /// Another process has the folder open.
    Locked,
    /// The file system refused.
    Io,
}

/// An error of the ledger. Cheap to clone: one failed flush fails many appends.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    context: Arc<str>,
    source: Option<Arc<io::Error>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<Arc<str>>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let mut context = format!("cannot {doing} {}", path.display());
        if source.kind() == io::ErrorKind::StorageFull {
            context.push_str(": no space left on the device, free some");
        }
        Self { kind: ErrorKind::Io, context: context.into(), source: Some(Arc::new(source)) }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Corrupt,
            format!(
                "{} is damaged at byte {offset}: {what}; nothing was changed: keep a copy of the \
                 folder, run `gatehouse audit verify` to see how far the damage goes, then restore \
                 this file from a backup, or move the whole folder away to start a new ledger",
                path.display()
            ),
        )
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole story in one line, its causes included.
    pub(crate) fn reason(&self) -> Arc<str> {
        match &self.source {
            Some(source) => format!("{}: {source}", self.context).into(),
            None => self.context.clone(),
        }
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

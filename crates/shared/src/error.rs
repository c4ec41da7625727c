//! Why shared knowledge cannot be read or written, by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No room on the disk: free some; it is tried again.
    Full,
    /// The snapshot is not what was written: move it away, it is made anew from the ledger.
    Corrupt,
    /// Another process has the snapshot open: stop it.
    Locked,
    /// What is asked cannot be: change it.
    Invalid,
    /// The ledger cannot be read.
    Ledger,
    /// The snapshot cannot be reached at this moment: try again.
    Unavailable,
    /// The file system refused.
    Io,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of what is known together.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<BoxError>,
}

impl Error {
    /// An error of this kind; the text names the fix.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn ledger(source: ledger::Error) -> Self {
        Self::new(ErrorKind::Ledger, "cannot read the ledger").with_source(source)
    }

    pub(crate) fn corrupt(path: &Path) -> Self {
        let text = format!(
            "the snapshot {} is damaged: stop the gateway and move it away, it is made anew from the \
             ledger as far back as that is kept; what is older must come from a backup",
            path.display()
        );
        Self::new(ErrorKind::Corrupt, text)
    }

    pub(crate) fn redb(action: &str, path: &Path, error: redb::Error) -> Self {
        let invalid = |io: &io::Error| io.kind() == io::ErrorKind::InvalidData;
        let is_corrupt = match &error {
            redb::Error::Io(io) => invalid(io),
            redb::Error::Corrupted(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. } => true,
            _ => false,
        };
        if is_corrupt {
            return Self::corrupt(path).with_source(error);
        }
        let is_full = matches!(&error, redb::Error::Io(io) if matches!(
            io.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ));
        let kind = if is_full { ErrorKind::Full } else { ErrorKind::Io };
        let fix = if is_full { ": the disk is full, free some space" } else { "" };
        Self::new(kind, format!("cannot {action} the snapshot {}{fix}", path.display()))
            .with_source(error)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole story in one line, its causes included.
    pub fn story(&self) -> String {
        let mut story = self.context.clone();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            story.push_str(": ");
            story.push_str(&source.to_string());
            next = source.source();
        }
        story
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

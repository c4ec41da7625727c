//! Names of the files in a ledger's folder, and the lock on it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, ErrorKind};

const SEGMENT: &str = "segment";
const SPARE: &str = "spare";
const UNFINISHED: &str = "unfinished";
const LOCK: &str = "lock";
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The files of a ledger, as their names say.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Segments in order.
    pub(crate) segments: Vec<PathBuf>,
    /// Files written in advance or recycled, ready to become segments.
    pub(crate) spares: Vec<PathBuf>,
    /// Spares that a crash left half-written.
    pub(crate) unfinished: Vec<PathBuf>,
}

impl Files {
    /// Lists the folder.
    pub(crate) fn list(dir: &Path) -> Result<Self, Error> {
        let mut files = Self::default();
        let failed = |error| Error::io("list", dir, error);
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(SEGMENT) => files.segments.push(path),
                Some(SPARE) => files.spares.push(path),
                Some(UNFINISHED) => files.unfinished.push(path),
                _ => {}
            }
        }
        files.segments.sort();
        files.spares.sort();
        Ok(files)
    }
}

/// Where the segment that begins with this sequence and epoch lies. Names sort as the chain goes.
pub(crate) fn segment_path(dir: &Path, first_sequence: u64, epoch: u64) -> PathBuf {
    dir.join(format!("{first_sequence:020}-{epoch:010}.{SEGMENT}"))
}

/// Where the spare of this number lies.
pub(crate) fn spare_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.{SPARE}"))
}

/// Where a spare lies while it is being written.
pub(crate) fn unfinished_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.{UNFINISHED}"))
}

/// Makes the folder if need be, for its owner only: it will hold prompts.
pub(crate) fn create(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| Error::io("create", dir, error))
}

/// The right to write to a folder, held as long as this lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, or names the process that has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOCK);
        let failed = |error| Error::io("lock", &path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(dir, &file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// A process has the folder open for writing.
    pub(crate) fn is_held(dir: &Path) -> bool {
        let Ok(file) = File::open(dir.join(LOCK)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Takes the lock; a look at it by a verification, which takes no time, is waited out.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

fn held(dir: &Path, file: &File) -> Error {
    let mut holder = String::new();
    let _ = file.take(64).read_to_string(&mut holder);
    let holder = if holder.is_empty() { "unknown" } else { holder.trim() };
    let dir = dir.display();
    let text =
        format!("{dir} is in use by another process ({holder}); stop it, or choose another folder");
    Error::new(ErrorKind::Locked, text)
}

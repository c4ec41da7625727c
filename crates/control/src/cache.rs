//! The published version and the directory on the disk of this gateway, for a start without the database.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::database::DirectoryRow;
use crate::decree::{Decree, Version};
use crate::directory::Resource;

/// Changes when the meaning of the file does.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Cached {
    format: u32,
    version: i64,
    decree: Decree,
}

/// First line of the directory's file; each further one is a user or a group.
#[derive(Serialize, Deserialize)]
struct DirectoryHead {
    format: u32,
    generation: i64,
    resources: usize,
}

/// Keeps a version; the file is whole or the one before.
pub(crate) fn write(file: &Path, version: &Version) -> std::io::Result<()> {
    let cached = Cached { format: FORMAT, version: version.number, decree: version.decree.clone() };
    let text = serde_json::to_vec(&cached).map_err(std::io::Error::other)?;
    replace(file, |opened| opened.write_all(&text))
}

/// Writes a file beside and puts it in the place of the one before.
fn replace(
    file: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let next = file.with_extension("next");
    let mut options = File::options();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    let mut buffered = BufWriter::new(&opened);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    opened.sync_all()?;
    fs::rename(&next, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The directory's file, beside that of the version.
fn beside(file: &Path) -> PathBuf {
    file.with_file_name("control-directory.ndjson")
}

/// Keeps the directory of a generation; the file is whole or the one before.
pub(crate) fn write_directory(
    file: &Path,
    generation: i64,
    resources: &[Arc<Resource>],
) -> std::io::Result<()> {
    replace(&beside(file), |opened| {
        let head = DirectoryHead { format: FORMAT, generation, resources: resources.len() };
        serde_json::to_writer(&mut *opened, &head)?;
        for resource in resources {
            opened.write_all(b"\n")?;
            serde_json::to_writer(&mut *opened, resource.as_ref())?;
        }
        opened.write_all(b"\n")
    })
}

/// The directory kept last, with its generation; none if there is none that can be read whole.
pub(crate) fn read_directory(file: &Path) -> Option<(i64, Vec<DirectoryRow>)> {
    let mut lines = BufReader::new(File::open(beside(file)).ok()?).lines();
    let read = || -> std::io::Result<(i64, Vec<DirectoryRow>)> {
        let wrong = |what: &str| std::io::Error::other(what.to_owned());
        let head = lines.next().ok_or_else(|| wrong("it is empty"))??;
        let head: DirectoryHead = serde_json::from_str(&head)?;
        if head.format != FORMAT {
            return Err(wrong("it has a format of another age"));
        }
        let mut rows = Vec::new();
        for line in lines {
            let document = line?;
            let Resource { id, .. } = serde_json::from_str(&document)?;
            rows.push(DirectoryRow { id, document });
        }
        if rows.len() != head.resources {
            return Err(wrong("it is not whole"));
        }
        Ok((head.generation, rows))
    };
    match read() {
        Ok(directory) => Some(directory),
        Err(error) => {
            tracing::warn!(%error, "the cached users and groups cannot be read");
            None
        }
    }
}

/// The version kept last; none if there is none that can be read.
pub(crate) fn read(file: &Path) -> Option<Version> {
    let text = fs::read(file).ok()?;
    match serde_json::from_slice::<Cached>(&text) {
        Ok(cached) if cached.format == FORMAT => {
            Some(Version { number: cached.version, decree: cached.decree })
        }
        Ok(cached) => {
            tracing::warn!(format = cached.format, "the cached state has a format of another age");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "the cached state cannot be read");
            None
        }
    }
}

//! The published version on the disk of this gateway, for a start without the database.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::control::Version;
use crate::decree::Decree;

/// Changes when the meaning of the file does.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Cached {
    format: u32,
    version: i64,
    decree: Decree,
}

/// Keeps a version; the file is whole or the one before.
pub(crate) fn write(file: &Path, version: &Version) -> std::io::Result<()> {
    let cached = Cached { format: FORMAT, version: version.number, decree: version.decree.clone() };
    let text = serde_json::to_vec(&cached).map_err(std::io::Error::other)?;
    let next = file.with_extension("next");
    let mut options = File::options();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    opened.write_all(&text)?;
    opened.sync_all()?;
    fs::rename(&next, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
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

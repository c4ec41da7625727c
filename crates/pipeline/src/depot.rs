//! Where bytes lie: in memory within the budget, in the work folder, in the sink's blobs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::{BlobWriter, BodyText, Sink};
use tempfile::TempPath;

use crate::budget::Budget;
use crate::{Error, ErrorKind, PipelineConfig};

/// Names of files in the work folder begin so; what a crash left of them is removed at start.
const SPILL_PREFIX: &str = "spill-";

/// The sink, the work folder, the memory budget, and the limits that say what goes where.
pub(crate) struct Depot {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) config: PipelineConfig,
    pub(crate) budget: Arc<Budget>,
    work_dir: PathBuf,
}

impl Depot {
    /// Prepares the work folder.
    pub(crate) fn open(
        sink: Arc<dyn Sink>,
        config: PipelineConfig,
        work_dir: PathBuf,
    ) -> Result<Arc<Self>, Error> {
        prepare(&work_dir).map_err(|source| {
            let context = format!("cannot use the work folder {}", work_dir.display());
            Error::from_source(ErrorKind::Invalid, context, source)
        })?;
        let budget = Budget::new(config.memory_bytes_max);
        Ok(Arc::new(Self { sink, config, budget, work_dir }))
    }

    /// A text for a cell: itself, or a blob if it is long or looks like a reference to one.
    pub(crate) fn text(&self, text: String) -> Result<BodyText, Error> {
        let is_short = text.len() as u64 <= self.config.inline_bytes_max;
        if is_short && !BodyText::is_ambiguous(&text) {
            return Ok(BodyText::Inline(text));
        }
        self.blob(text.as_bytes())
    }

    /// Bytes as a blob.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Result<BodyText, Error> {
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).map_err(blob_failed)?;
        writer.finish().map_err(blob_failed)
    }

    /// Starts a blob.
    pub(crate) fn blob_writer(&self) -> Result<Box<dyn BlobWriter>, Error> {
        self.sink.blob().map_err(blob_failed)
    }

    /// An empty file in the work folder, closed, so that ten thousand of them need no descriptors.
    pub(crate) fn spill(&self) -> Result<TempPath, Error> {
        let file = tempfile::Builder::new().prefix(SPILL_PREFIX).tempfile_in(&self.work_dir);
        file.map(tempfile::NamedTempFile::into_temp_path).map_err(spill_failed)
    }
}

pub(crate) fn blob_failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::from_source(ErrorKind::Sink, "cannot write a blob", source)
}

pub(crate) fn spill_failed(source: io::Error) -> Error {
    Error::from_source(ErrorKind::Sink, "cannot use a file in the work folder", source)
}

fn prepare(work_dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(work_dir)?;
    for entry in std::fs::read_dir(work_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

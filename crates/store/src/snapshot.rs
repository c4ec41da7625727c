//! All tables at one moment.

use std::sync::Arc;

use event::{Interaction, Message, TableRow};

use crate::Error;
use crate::blobs::{BlobReader, Blobs, Text};
use crate::extent::{Extent, index_of};
use crate::files::Files;
use crate::tail::Chunk;

/// A view of all tables at one moment. A row is in it once or not at all, whatever is sealed, merged
/// or given up meanwhile. While it is held, the files it needs stay on disk, so let go of it soon.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tables: Vec<Arc<TableView>>,
    files: Arc<Files>,
    blobs: Arc<Blobs>,
}

/// One table of a snapshot.
#[derive(Debug)]
pub(crate) struct TableView {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) extents: Arc<Vec<Arc<Extent>>>,
}

impl TableView {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.extents.is_empty()
    }
}

impl Snapshot {
    pub(crate) fn new(tables: Vec<Arc<TableView>>, files: Arc<Files>, blobs: Arc<Blobs>) -> Self {
        Self { tables, files, blobs }
    }

    /// The text of a blob, at most `limit_bytes` of it. The hash is checked when all of it is read.
    pub fn read_text(&self, sha256: &str, limit_bytes: usize) -> Result<Text, Error> {
        self.blobs.read_text(sha256, limit_bytes)
    }

    /// Opens a blob to be read as a stream.
    pub fn open_blob(&self, sha256: &str) -> Result<BlobReader, Error> {
        self.blobs.reader(sha256)
    }

    /// The least times of the parts that a table is stored in, in microseconds, newest first.
    pub fn starts(&self, table: &str) -> Result<Vec<i64>, Error> {
        let mut indexes = vec![index_of(table)?];
        if table == Message::TABLE.name {
            // Most messages are kept with these.
            indexes.push(index_of(Interaction::TABLE.name)?);
        }
        let views = || indexes.iter().map(|index| &self.tables[*index]);
        let extents = views().flat_map(|view| view.extents.iter().map(|e| e.record.time_min));
        let chunks = views().flat_map(|view| view.chunks.iter().map(|chunk| chunk.time_min));
        let mut starts: Vec<i64> = extents.chain(chunks).collect();
        starts.sort_unstable_by(|one, other| other.cmp(one));
        Ok(starts)
    }

    /// The rows that are in memory.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.tables.iter().flat_map(|table| &table.chunks)
    }

    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    pub(crate) fn table(&self, index: usize) -> &Arc<TableView> {
        &self.tables[index]
    }
}

//! What the store holds, for doctor and metrics.

use event::{Cursor, Interaction, Message, TableRow, Timestamp};

use crate::Store;
use crate::extent::{TABLES, table_index};
use crate::parts::count_all;
use crate::shared::State;

/// What the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Each table.
    pub tables: Vec<TableStatus>,
    /// Bytes of rows in memory, those on their way to disk included.
    pub tail_bytes: u64,
    /// The cursor after the last batch.
    pub cursor: Cursor,
    /// The cursor that survives a crash.
    pub durable_cursor: Cursor,
    /// The blobs; none until the first upkeep has counted them.
    pub blobs: Option<BlobStatus>,
}

/// What one table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStatus {
    /// Its name.
    pub name: &'static str,
    /// Rows on disk and in memory.
    pub rows: u64,
    /// Of these, in memory.
    pub tail_rows: u64,
    /// Files; messages are in those of their interactions, but for those written by older versions.
    pub extents: u64,
    /// Their bytes.
    pub extent_bytes: u64,
    /// Earliest `TimeGenerated` on disk; none while there is nothing.
    pub oldest_at: Option<Timestamp>,
    /// Latest `TimeGenerated` on disk; none while there is nothing.
    pub newest_at: Option<Timestamp>,
}

/// The blobs as of the last upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobStatus {
    /// How many.
    pub blobs: u64,
    /// Bytes they take on disk.
    pub blob_bytes: u64,
}

impl Store {
    /// What the store holds at this moment.
    pub fn status(&self) -> StoreStatus {
        let blobs = self.blob_totals().map(|(blobs, blob_bytes)| BlobStatus { blobs, blob_bytes });
        let mut state = self.state();
        let (kept, kept_in_memory) = messages(&mut state);
        let mut tables = Vec::with_capacity(TABLES.len());
        for (index, table) in TABLES.iter().enumerate() {
            let sealing = state.sealing[index].iter().map(|chunk| chunk.batch.num_rows());
            let mut tail_rows = (state.tail.rows(index) + sealing.sum::<usize>()) as u64;
            let records = || state.extents.tables[index].iter().map(|extent| &extent.record);
            let mut rows = records().map(|record| record.rows).sum::<u64>();
            if table.name == Message::TABLE.name {
                tail_rows += kept_in_memory;
                rows += kept;
            }
            tables.push(TableStatus {
                name: table.name,
                rows: tail_rows + rows,
                tail_rows,
                extents: records().count() as u64,
                extent_bytes: records().map(|record| record.bytes).sum(),
                oldest_at: records().map(|r| r.time_min).min().map(Timestamp::from_unix_micros),
                newest_at: records().map(|r| r.time_max).max().map(Timestamp::from_unix_micros),
            });
        }
        StoreStatus {
            tables,
            tail_bytes: (state.tail.bytes + state.sealing_bytes) as u64,
            cursor: state.cursor,
            durable_cursor: state.durable,
            blobs,
        }
    }
}

/// Messages that are kept with interactions: on disk, and in memory.
fn messages(state: &mut State) -> (u64, u64) {
    let Some(index) = table_index(Interaction::TABLE.name) else { return (0, 0) };
    let extents = state.extents.tables[index].iter().map(|extent| extent.record.messages).sum();
    let tail = state.tail.chunks();
    let chunks = tail[index].iter().chain(&state.sealing[index]);
    (extents, chunks.map(|chunk| count_all(&chunk.batch)).sum())
}

//! Writing a file in advance: syncing over written space costs a fraction of what growing a file does.

use std::io;
use std::path::Path;

use crate::Error;
use crate::disk::BLOCK_BYTES;
use crate::folder::{spare_path, unfinished_path};
use crate::shared::Shared;
use crate::spares::Spare;

/// Bytes written between two syncs, so that the writer's own syncs are not held up.
const STEP_BYTES: u64 = 1 << 20;

/// Writes a file of zeros and makes it durable. Gives up early once `ending` says so.
pub(crate) fn prepare(
    shared: &Shared,
    number: u64,
    bytes: u64,
    ending: &dyn Fn() -> bool,
) -> Result<Spare, Error> {
    let disk = shared.disk.as_ref();
    let unfinished = unfinished_path(&shared.dir, number);
    let spare = spare_path(&shared.dir, number);
    let written =
        fill(shared, &unfinished, bytes, ending).and_then(|()| disk.rename(&unfinished, &spare));
    written.map_err(|error| {
        // What is left of it takes up space that is probably wanted.
        let _ = disk.remove(&unfinished);
        Error::io("write in advance the segment", &spare, error)
    })?;
    Ok(Spare { path: spare, is_used: false })
}

fn fill(shared: &Shared, path: &Path, bytes: u64, ending: &dyn Fn() -> bool) -> io::Result<()> {
    drop(shared.disk.create(path)?);
    let file = shared.open_to_append(path)?;
    let room = vec![0; STEP_BYTES as usize + BLOCK_BYTES];
    // From here on they can be written as they are.
    let zeros = &room[room.as_ptr().align_offset(BLOCK_BYTES)..];
    let mut offset = 0;
    while offset < bytes {
        if ending() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the ledger is being closed"));
        }
        let step = (bytes - offset).min(STEP_BYTES);
        file.write_all_at(&zeros[..step as usize], offset)?;
        file.sync()?;
        offset += step;
    }
    Ok(())
}

//! The keeper: a thread that does beside the writer what may take its time. It recycles released
//! segments, prepares spares, and notes in the head how far the ledger reaches.

use std::time::Duration;

use event::Timestamp;

use crate::Error;
use crate::folder::spare_path;
use crate::locks::LOCK;
use crate::prepare::prepare;
use crate::shared::{Segment, Shared};
use crate::spares::Spare;

/// Time between two looks at the clock and the head.
const INTERVAL: Duration = Duration::from_secs(5);

/// The keeper's life; ends when its bell says so.
pub(crate) fn run(shared: &Shared) {
    loop {
        if let Err(error) = keep(shared)
            && !shared.keeper.ended()
        {
            tracing::warn!(reason = %error.reason(), "the ledger's upkeep failed and is tried again");
        }
        if !shared.keeper.wait(INTERVAL) {
            return;
        }
    }
}

fn keep(shared: &Shared) -> Result<(), Error> {
    recycle(shared)?;
    refill(shared)?;
    note_head(shared)
}

/// Gives up segments that nobody needs any more. The head's lock makes it one at a time.
pub(crate) fn recycle(shared: &Shared) -> Result<(), Error> {
    let now = (shared.now)();
    let released = shared.released.lock().expect(LOCK).values().min().copied().unwrap_or(0);
    let mut head = shared.head.lock().expect(LOCK);
    let given_up = {
        let segments = shared.segments.lock().expect(LOCK);
        releasable(&segments, released, &shared.config, now)
    };
    if given_up == 0 {
        return Ok(());
    }
    // The head first: after a crash between the two, the files are surplus, not missing.
    let first_sequence = shared.segments.lock().expect(LOCK)[given_up].first_sequence;
    head.write(|head| head.first_sequence = first_sequence)?;
    let gone: Vec<Segment> = shared.segments.lock().expect(LOCK).drain(..given_up).collect();
    for segment in gone {
        discard(shared, &segment)?;
    }
    let synced = shared.disk.sync_dir(&shared.dir);
    synced.map_err(|error| Error::io("sync", &shared.dir, error))
}

/// How many of the oldest segments may go. The last one never does.
fn releasable(
    segments: &[Segment],
    released: u64,
    config: &crate::LedgerConfig,
    now: Timestamp,
) -> usize {
    let mut kept: u64 = segments.iter().map(|segment| segment.segment_bytes).sum();
    let keep_millis = i64::try_from(config.retain_age_seconds.saturating_mul(1000));
    let keep_millis = keep_millis.unwrap_or(i64::MAX);
    let mut count = 0;
    for pair in segments.windows(2) {
        let [segment, next] = pair else { break };
        let old = now.millis_since(next.created_at) >= keep_millis;
        let surplus = config.retain_bytes > 0 && kept > config.retain_bytes;
        if next.first_sequence > released || !(old || surplus) {
            break;
        }
        kept -= segment.segment_bytes;
        count += 1;
    }
    count
}

/// Makes a spare of a segment, or removes it.
pub(crate) fn discard(shared: &Shared, segment: &Segment) -> Result<(), Error> {
    let fits = segment.segment_bytes == shared.config.segment_bytes;
    let is_wanted = shared.spares.count() < shared.config.spare_segments as usize;
    if fits && is_wanted && shared.spares.takes_used() {
        let spare = spare_path(&shared.dir, shared.spares.number());
        let renamed = shared.disk.rename(&segment.path, &spare);
        renamed.map_err(|error| Error::io("recycle", &segment.path, error))?;
        shared.spares.put(Spare { path: spare, is_used: true });
        return Ok(());
    }
    shared.disk.remove(&segment.path).map_err(|error| Error::io("remove", &segment.path, error))
}

fn refill(shared: &Shared) -> Result<(), Error> {
    while shared.spares.count() < shared.config.spare_segments as usize {
        shared.spares.set_preparing(true);
        let number = shared.spares.number();
        let bytes = shared.config.segment_bytes;
        let ending = || shared.keeper.ended();
        let spare = prepare(shared, number, bytes, &ending);
        if let Ok(spare) = &spare {
            shared.spares.put(spare.clone());
        }
        shared.spares.set_preparing(false);
        spare?;
    }
    Ok(())
}

fn note_head(shared: &Shared) -> Result<(), Error> {
    let mut head = shared.head.lock().expect(LOCK);
    // Read under the lock: the writer's note at the end must not be overwritten by an older one.
    let durable = shared.progress.position();
    if head.head().durable == durable || head.head().clean {
        return Ok(());
    }
    let written_at = (shared.now)();
    head.write(|head| {
        head.durable = durable;
        head.written_at = written_at;
    })
}

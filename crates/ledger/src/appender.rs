//! The one who writes: commits into the active segment, syncs, changes of segment, and the reopen
//! after a failure. It belongs to one thread at a time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::{Frame, InteractionId, Kind};

use crate::disk::{BLOCK_BYTES, DiskFile};
use crate::folder::segment_path;
use crate::format::{Encoder, Position, SegmentHeader, Stored, StoredFrame, VERSION, header_bytes};
use crate::locks::LOCK;
use crate::prepare::prepare;
use crate::random;
use crate::recent::RecentCommit;
use crate::shared::{Counters, Segment, Shared};
use crate::spares::Spare;
use crate::walk::{OpenSet, Walk, follow, read_header};
use crate::{Durability, Error, ErrorKind};

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) segment: Segment,
    /// Where the next commit goes.
    pub(crate) offset: u64,
}

/// See the module.
pub(crate) struct Appender {
    shared: Arc<Shared>,
    active: Active,
    encoder: Encoder,
    /// What is open as of `written`.
    open: OpenSet,
    /// What the commit being built opens (with its sequence) and closes; no more than its frames.
    effects: Vec<(InteractionId, Option<u64>)>,
    /// Its frames.
    frames: Vec<StoredFrame>,
    /// The end of what was written.
    written: Position,
    /// The end of what was synced.
    durable: Position,
    /// When the oldest write that is not synced yet was made.
    unsynced_since: Option<Instant>,
    /// How long writing took since the last sync.
    writing: Duration,
}

impl Appender {
    /// Goes on where recovery ended: all up to `durable` is on disk, `open` was open then.
    pub(crate) fn new(
        shared: Arc<Shared>,
        active: Active,
        durable: Position,
        open: OpenSet,
    ) -> Result<Self, Error> {
        let config = &shared.config;
        let smallest = usize::try_from(config.compress_bytes_min).unwrap_or(usize::MAX);
        let encoder = Encoder::new(config.compress.then_some(smallest))
            .map_err(|error| Error::io("prepare compression for", &shared.dir, error))?;
        Ok(Self {
            shared,
            active,
            encoder,
            open,
            effects: Vec::new(),
            frames: Vec::new(),
            written: durable,
            durable,
            unsynced_since: None,
            writing: Duration::ZERO,
        })
    }

    /// The end of what was written, and of what was synced.
    pub(crate) fn written(&self) -> Position {
        self.written
    }

    pub(crate) fn durable(&self) -> Position {
        self.durable
    }

    pub(crate) fn unsynced_for(&self) -> Option<Duration> {
        self.unsynced_since.map(|since| since.elapsed())
    }

    pub(crate) fn open_interactions(&self) -> &OpenSet {
        &self.open
    }

    /// Starts a commit; then [`Appender::push`] its frames and [`Appender::write`] it.
    pub(crate) fn begin(&mut self) {
        self.encoder.begin(self.written);
        self.effects.clear();
        self.frames.clear();
    }

    /// Adds a frame to the commit and answers its sequence.
    pub(crate) fn push(&mut self, frame: &Frame) -> u64 {
        let sequence = self.encoder.push(frame);
        self.frames.push(StoredFrame::new(frame, sequence));
        match frame.kind {
            Kind::Opened => self.effects.push((frame.interaction, Some(sequence))),
            Kind::Closed => self.effects.push((frame.interaction, None)),
            _ => {}
        }
        sequence
    }

    /// Writes the commit, into a new segment if it must be. It is durable after [`Appender::sync`].
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        let raw_bytes = self.encoder.raw_bytes();
        let bytes = self.encoder.pack();
        if self.active.offset + bytes > self.active.segment.segment_bytes || self.is_over() {
            self.rotate(bytes)?;
        }
        let began = Instant::now();
        let Segment { epoch, salt, path, segment_bytes, .. } = &self.active.segment;
        let written_at = (self.shared.now)();
        let (end, commit) = self.encoder.seal(*epoch, *salt, self.durable.sequence, written_at);
        let stored_bytes = commit.len() as u64;
        fill_block(commit, self.active.offset, *segment_bytes);
        let result = self.active.file.write_all_at(commit, self.active.offset);
        result.map_err(|error| Error::io("write to", path, error))?;
        self.writing += began.elapsed();
        let counters = &self.shared.counters;
        Counters::add(&counters.commits, 1);
        Counters::add(&counters.stored_bytes, stored_bytes);
        Counters::add(&counters.frames, end.sequence - self.written.sequence);
        Counters::add(&counters.raw_bytes, raw_bytes);
        self.active.offset += stored_bytes;
        self.shared.picked.push(&self.frames, written_at);
        self.shared.recent.push(RecentCommit {
            written_at,
            frames: self.frames.drain(..).collect(),
            epoch: *epoch,
            end: self.active.offset,
        });
        self.written = end;
        for (interaction, opened) in self.effects.drain(..) {
            match opened {
                Some(sequence) => self.open.insert(interaction, sequence),
                None => self.open.remove(&interaction),
            };
        }
        self.unsynced_since.get_or_insert(began);
        Ok(())
    }

    /// Makes all that was written durable, and says so to those who wait for it.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.durable == self.written {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.active.file.sync();
        result.map_err(|error| Error::io("sync", &self.active.segment.path, error))?;
        let counters = &self.shared.counters;
        Counters::add(&counters.syncs, 1);
        let took = std::mem::take(&mut self.writing) + started.elapsed();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Counters::add(&counters.sync_micros, micros);
        self.durable = self.written;
        self.unsynced_since = None;
        self.shared.progress.advance(self.durable);
        Ok(())
    }

    /// The active segment has records and has reached its age, or another is asked for.
    pub(crate) fn is_over(&self) -> bool {
        if self.shared.segment_due.load(Ordering::Relaxed) {
            return true;
        }
        let age = self.shared.config.segment_age_seconds.saturating_mul(1000);
        let millis = (self.shared.now)().millis_since(self.active.segment.created_at);
        self.active.offset > self.active.segment.body_at
            && millis >= i64::try_from(age).unwrap_or(i64::MAX)
    }

    /// Begins a new segment with room for a commit of `commit_bytes`. The old one is synced before
    /// the new one exists, so that only the last segment can ever have a torn end.
    pub(crate) fn rotate(&mut self, commit_bytes: u64) -> Result<(), Error> {
        self.sync()?;
        let open = listed(&self.open);
        self.begin_segment(open, self.durable, &[], commit_bytes)
    }

    fn begin_segment(
        &mut self,
        open: Vec<(InteractionId, u64)>,
        previous: Position,
        carried: &[Stored],
        commit_bytes: u64,
    ) -> Result<(), Error> {
        let shared = &self.shared;
        let carried_bytes: u64 = carried.iter().map(|commit| commit.header.bytes()).sum();
        let needed = header_bytes(open.len()) + carried_bytes + commit_bytes;
        let epoch = self.active.segment.epoch + 1;
        let header = SegmentHeader {
            version: VERSION,
            ledger: shared.ledger,
            epoch,
            salt: random::word(),
            segment_bytes: shared.config.segment_bytes.max(needed),
            created_at: (shared.now)(),
            previous,
            open,
        };
        self.active = activate(shared, &header, carried)?;
        shared.segment_due.store(false, Ordering::Relaxed);
        // A new end is worth noting in the head, and a spare was taken.
        shared.keeper.ring();
        Ok(())
    }

    /// Tries to serve again after a failure. What was acknowledged is read back and checked; what
    /// was not is left behind, and a new segment supersedes it. The failed file is never synced
    /// again: a second sync may succeed without having written anything.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        let path = self.active.segment.path.clone();
        let failed = |error| Error::io("read back", &path, error);
        let file = self.shared.disk.open(&path).map_err(failed)?;
        let header = read_header(file.as_ref()).map_err(failed)?;
        let header = header.map_err(|defect| Error::corrupt(&path, 0, defect))?;
        let mut walk = Walk::new(file.as_ref(), &header);
        let mut open: OpenSet = header.open.iter().copied().collect();
        while walk.position.sequence < self.durable.sequence {
            let commit = walk.next().map_err(failed)?;
            let commit = commit.map_err(|defect| Error::corrupt(&path, walk.offset, defect))?;
            commit.frames.iter().for_each(|frame| follow(&mut open, frame));
        }
        if walk.position != self.durable {
            return Err(Error::corrupt(&path, walk.offset, "it is not what was acknowledged"));
        }
        let listed = listed(&open);
        let carried = self.carried(&mut walk, &mut open).map_err(failed)?;
        let end = carried.last().map_or(self.durable, |commit| commit.header.end());
        self.begin_segment(listed, self.durable, &carried, 0)?;
        if end != self.written {
            tracing::warn!(
                first_sequence = end.sequence + 1,
                last_sequence = self.written.sequence,
                "frames that were written but never synced are gone; their sequences are used again"
            );
        }
        self.shared.recent.clear();
        self.shared.picked.clear();
        self.open = open;
        self.written = end;
        self.durable = end;
        self.unsynced_since = None;
        self.shared.progress.advance(end);
        Ok(())
    }

    /// Commits that `relaxed` had acknowledged before they were synced: they go over to the new
    /// segment as far as they can be read back. In the other modes there are none.
    fn carried<S: crate::disk::Source + ?Sized>(
        &self,
        walk: &mut Walk<'_, S>,
        open: &mut OpenSet,
    ) -> std::io::Result<Vec<Stored>> {
        let mut carried = Vec::new();
        if self.shared.config.durability != Durability::Relaxed {
            return Ok(carried);
        }
        while walk.position.sequence < self.written.sequence {
            let Ok(commit) = walk.next()? else { break };
            commit.frames.iter().for_each(|frame| follow(open, frame));
            carried.push(commit);
        }
        Ok(carried)
    }
}

/// Makes a spare the segment that `header` describes, with commits taken over from another one.
/// On return it is durable under its name, and listed.
pub(crate) fn activate(
    shared: &Shared,
    header: &SegmentHeader,
    carried: &[Stored],
) -> Result<Active, Error> {
    let dir = &shared.dir;
    let disk = shared.disk.as_ref();
    let Spare { path: spare, is_used } = take_spare(shared, header.segment_bytes)?;
    let path = segment_path(dir, header.first_sequence(), header.epoch);
    let begun = begin_file(shared, &spare, &path, header, carried);
    let (file, offset) = begun.map_err(|error| {
        let _ = disk.remove(&spare);
        Error::io("begin the segment", &path, error)
    })?;
    disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
    let segment = Segment::new(path, header, is_used);
    shared.segments.lock().expect(LOCK).push(segment.clone());
    Ok(Active { file, segment, offset })
}

fn begin_file(
    shared: &Shared,
    spare: &Path,
    path: &Path,
    header: &SegmentHeader,
    carried: &[Stored],
) -> std::io::Result<(Box<dyn DiskFile>, u64)> {
    let file = shared.open_to_append(spare)?;
    let mut bytes = header.encode();
    for commit in carried {
        let mut moved = commit.header.clone();
        moved.epoch = header.epoch;
        moved.durable_sequence = header.previous.sequence;
        bytes.extend_from_slice(&moved.encode(header.salt));
        bytes.extend_from_slice(&commit.body);
    }
    let length = bytes.len() as u64;
    fill_block(&mut bytes, 0, header.segment_bytes);
    file.write_all_at(&bytes, 0)?;
    file.sync()?;
    shared.disk.rename(spare, path)?;
    Ok((file, length))
}

/// Zeros to the end of the block that a write ends in, so that none has to be read before it is written.
fn fill_block(bytes: &mut Vec<u8>, offset: u64, file_bytes: u64) {
    let end = offset + bytes.len() as u64;
    let block_end = end.next_multiple_of(BLOCK_BYTES as u64).min(file_bytes).max(end);
    bytes.resize(bytes.len() + (block_end - end) as usize, 0);
}

/// The open set as a segment header lists it, oldest first.
pub(crate) fn listed(open: &OpenSet) -> Vec<(InteractionId, u64)> {
    let mut listed: Vec<_> = open.iter().map(|(id, sequence)| (*id, *sequence)).collect();
    listed.sort_unstable_by_key(|(_, sequence)| *sequence);
    listed
}

/// A file of this size, written in full: one prepared in advance, or one made now.
fn take_spare(shared: &Shared, bytes: u64) -> Result<Spare, Error> {
    if bytes == shared.config.segment_bytes
        && let Some(spare) = shared.spares.take()
    {
        return Ok(spare);
    }
    let number = shared.spares.number();
    prepare(shared, number, bytes, &|| false)
}

/// The error under which appends are refused while the ledger is poisoned.
pub(crate) fn poisoned(error: &Error) -> Error {
    let reason = error.reason();
    Error::new(ErrorKind::Poisoned, format!("the ledger cannot record at this moment: {reason}"))
}

//! Erasure: payloads go, their leaves stay, and with them every digest.
//!
//! Only segments that are closed are touched: the writer begins a new one first. A segment that holds
//! something to be erased is written anew beside itself and takes its own place by a rename, so after a crash
//! it is there in one form or the other. Whoever reads the old file reads it to its end. Bytes of an earlier
//! use go too: spares that have them are removed, and what stands behind the end of a segment is zeroed.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::{InteractionId, Kind};

use crate::disk::DiskFile;
use crate::folder::unfinished_path;
use crate::format::{
    COMMIT_HEADER_BYTES, CommitHeader, Defect, SegmentHeader, StoredFrame, decode_body, erased,
};
use crate::locks::LOCK;
use crate::shared::{Segment, Shared};
use crate::spares;
use crate::walk::{Walk, read_bytes, read_commit_header, read_header};
use crate::{Error, ErrorKind, State};

/// Bytes read or written at once.
const STEP_BYTES: usize = 1 << 20;
/// How long the writer may take to begin a new segment, and the time between two looks.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// What an erasure did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Frames whose payload it took out.
    pub frames: u64,
    /// Bytes of these payloads.
    pub bytes: u64,
    /// Segments that were written anew.
    pub segments: u64,
    /// Interactions that had not ended, of which nothing was erased: name them again later.
    pub open: HashSet<InteractionId>,
}

/// See [`crate::Ledger::erase`].
pub(crate) fn erase(
    shared: &Shared,
    interactions: &HashSet<InteractionId>,
) -> Result<Erased, Error> {
    let _one_at_a_time = shared.erasing.lock().expect(LOCK);
    let _fresh = FreshOnly::begin(shared)?;
    let (first_kept, open) = begin_segment(shared)?;
    let open: HashSet<_> = interactions.intersection(&open).copied().collect();
    let ended: HashSet<_> = interactions.difference(&open).copied().collect();
    let closed: Vec<(Segment, u64)> = {
        let segments = shared.segments.lock().expect(LOCK);
        let pairs = segments.windows(2).map(|pair| (pair[0].clone(), pair[1].first_sequence - 1));
        pairs.filter(|(segment, _)| segment.epoch < first_kept).collect()
    };
    let mut total = Erased { open, ..Erased::default() };
    for (segment, last_sequence) in closed {
        match Closed::open(shared, &segment, last_sequence) {
            Ok(closed) => total.add(&closed.erase(&ended)?),
            // Its retention ended meanwhile.
            Err(_) if !is_listed(shared, &segment) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

impl Erased {
    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.segments += other.segments;
    }
}

/// While it lives, no file with bytes of an earlier use becomes a segment.
struct FreshOnly<'a>(&'a Shared);

impl<'a> FreshOnly<'a> {
    fn begin(shared: &'a Shared) -> Result<Self, Error> {
        // Under the head's lock nobody makes a spare of a segment.
        let head = shared.head.lock().expect(LOCK);
        let used = shared.spares.refuse_used();
        drop(head);
        let fresh_only = Self(shared);
        for path in used {
            let removed = shared.disk.remove(&path);
            removed.map_err(|error| Error::io("remove", &path, error))?;
        }
        // So that the writer need not make it.
        let (number, bytes) = (shared.spares.number(), shared.config.segment_bytes);
        let ending = || shared.keeper.ended();
        let spare = spares::prepare(shared.disk.as_ref(), &shared.dir, number, bytes, &ending)?;
        shared.spares.put(spare);
        Ok(fresh_only)
    }
}

impl Drop for FreshOnly<'_> {
    fn drop(&mut self) {
        self.0.spares.admit_used();
        self.0.keeper.ring();
    }
}

/// Has the writer begin a new segment; answers its epoch, and what was open then.
fn begin_segment(shared: &Shared) -> Result<(u64, HashSet<InteractionId>), Error> {
    let newest = || shared.segments.lock().expect(LOCK).last().cloned();
    let epoch = || newest().map_or(0, |segment| segment.epoch);
    let before = epoch();
    shared.segment_due.store(true, Ordering::Relaxed);
    shared.queue.nudge();
    let began = Instant::now();
    while epoch() == before {
        let is_serving = matches!(&*shared.state.borrow(), State::Serving);
        if !is_serving || began.elapsed() > PATIENCE {
            let text =
                "the ledger cannot begin a new segment at this moment; erase again once it records";
            return Err(Error::new(ErrorKind::Poisoned, text));
        }
        std::thread::sleep(LOOK);
    }
    let begun = newest().expect("a segment has just begun");
    let header = Closed::open(shared, &begun, 0)?.header;
    Ok((begun.epoch, header.open.into_iter().map(|(interaction, _)| interaction).collect()))
}

fn is_listed(shared: &Shared, segment: &Segment) -> bool {
    let segments = shared.segments.lock().expect(LOCK);
    segments.iter().any(|listed| listed.epoch == segment.epoch)
}

/// A segment that is no longer written.
struct Closed<'a> {
    shared: &'a Shared,
    segment: &'a Segment,
    /// The next segment goes on behind it: what else stands here was superseded.
    last_sequence: u64,
    header: SegmentHeader,
    file: Box<dyn DiskFile>,
}

impl<'a> Closed<'a> {
    fn open(shared: &'a Shared, segment: &'a Segment, last_sequence: u64) -> Result<Self, Error> {
        let path = &segment.path;
        let file = shared.disk.open(path).map_err(|error| Error::io("open", path, error))?;
        let header = read_header(file.as_ref()).map_err(|error| Error::io("read", path, error))?;
        let header = header.map_err(|defect| Error::corrupt(path, 0, defect))?;
        Ok(Self { shared, segment, last_sequence, header, file })
    }

    fn erase(&self, interactions: &HashSet<InteractionId>) -> Result<Erased, Error> {
        let is_wanted = |frame: &StoredFrame| {
            !frame.is_erased()
                && interactions.contains(&frame.interaction)
                && Kind::from_byte(frame.kind).is_some_and(Kind::is_content)
        };
        let found = self.find(&is_wanted)?;
        if found.erased.frames == 0 {
            self.zero_from(found.end)?;
            return Ok(found.erased);
        }
        self.write_anew(&is_wanted)?;
        Ok(Erased { segments: 1, ..found.erased })
    }

    /// Looks through it without proving anything.
    fn find(&self, is_wanted: &dyn Fn(&StoredFrame) -> bool) -> Result<Found, Error> {
        let mut found = Found { end: self.header.bytes(), erased: Erased::default() };
        let mut sequence = self.header.previous.sequence;
        while sequence < self.last_sequence {
            let (header, frames) = self.commit_at(found.end)?;
            for frame in frames.iter().filter(|frame| is_wanted(frame)) {
                found.erased.frames += 1;
                found.erased.bytes += frame.payload.len() as u64;
            }
            sequence = header.last_sequence();
            found.end += header.bytes();
        }
        Ok(found)
    }

    fn commit_at(&self, offset: u64) -> Result<(CommitHeader, Vec<StoredFrame>), Error> {
        let damaged = |defect| Error::corrupt(&self.segment.path, offset, defect);
        let SegmentHeader { epoch, salt, .. } = self.header;
        let header = read_commit_header(self.file.as_ref(), epoch, salt, offset);
        let header = header.map_err(|error| self.unread(error))?.map_err(damaged)?;
        let at = offset + COMMIT_HEADER_BYTES as u64;
        let body = read_bytes(self.file.as_ref(), at, header.stored_bytes as usize);
        let body = body.map_err(|error| self.unread(error))?;
        let body = body.ok_or_else(|| damaged(Defect::Short))?;
        let frames = decode_body(&header, &body.into(), false).map_err(damaged)?;
        Ok((header, frames))
    }

    /// Zeroes what stands behind the end, if anything does.
    fn zero_from(&self, end: u64) -> Result<(), Error> {
        let zeros = vec![0; STEP_BYTES];
        let mut window = vec![0; STEP_BYTES];
        let mut offset = end;
        let mut is_changed = false;
        loop {
            let read = self.file.read_full_at(&mut window, offset);
            let count = read.map_err(|error| self.unread(error))?;
            if count == 0 {
                break;
            }
            if window[..count] != zeros[..count] {
                let written = self.file.write_all_at(&zeros[..count], offset);
                written.map_err(|error| self.unwritten(error))?;
                is_changed = true;
            }
            offset += count as u64;
        }
        if is_changed { self.file.sync().map_err(|error| self.unwritten(error)) } else { Ok(()) }
    }

    fn write_anew(&self, is_wanted: &dyn Fn(&StoredFrame) -> bool) -> Result<(), Error> {
        let disk = self.shared.disk.as_ref();
        let temporary = unfinished_path(&self.shared.dir, self.shared.spares.number());
        let taken =
            self.copy(&temporary, is_wanted).and_then(|bytes| self.replace(&temporary, bytes));
        if taken.is_err() {
            let _ = disk.remove(&temporary);
        }
        taken
    }

    /// Writes it without what is wanted; answers the length of the file.
    fn copy(&self, path: &Path, is_wanted: &dyn Fn(&StoredFrame) -> bool) -> Result<u64, Error> {
        let failed = |error| Error::io("write", path, error);
        let file = self.shared.disk.create(path).map_err(failed)?;
        let mut walk = Walk::new(self.file.as_ref(), &self.header);
        let mut offset = self.header.bytes();
        while walk.position.sequence < self.last_sequence {
            let at = walk.offset;
            let damaged = |defect| Error::corrupt(&self.segment.path, at, defect);
            let commit = walk.next().map_err(|error| self.unread(error))?.map_err(damaged)?;
            let (header, body) = erased(&commit, is_wanted).map_err(damaged)?;
            let head = header.encode(self.header.salt);
            file.write_all_at(&head, offset).map_err(failed)?;
            file.write_all_at(&body, offset + head.len() as u64).map_err(failed)?;
            offset += header.bytes();
        }
        let bytes = self.header.segment_bytes.max(offset);
        let header = SegmentHeader { segment_bytes: bytes, ..self.header.clone() };
        file.write_all_at(&header.encode(), 0).map_err(failed)?;
        fill(file.as_ref(), offset, bytes).map_err(failed)?;
        file.sync().map_err(failed)?;
        Ok(bytes)
    }

    /// Gives the new file the name of the old one, unless the segment was given up meanwhile.
    fn replace(&self, temporary: &Path, bytes: u64) -> Result<(), Error> {
        let Shared { disk, dir, .. } = self.shared;
        // Under the head's lock nobody gives up segments.
        let _head = self.shared.head.lock().expect(LOCK);
        if !is_listed(self.shared, self.segment) {
            return disk.remove(temporary).map_err(|error| Error::io("remove", temporary, error));
        }
        let path = &self.segment.path;
        disk.rename(temporary, path).map_err(|error| Error::io("replace", path, error))?;
        let mut segments = self.shared.segments.lock().expect(LOCK);
        for listed in segments.iter_mut().filter(|listed| listed.epoch == self.segment.epoch) {
            listed.segment_bytes = bytes;
        }
        drop(segments);
        disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
    }

    fn unread(&self, error: io::Error) -> Error {
        Error::io("read", &self.segment.path, error)
    }

    fn unwritten(&self, error: io::Error) -> Error {
        Error::io("write to", &self.segment.path, error)
    }
}

/// What a look through a segment found.
struct Found {
    /// Where its last commit ends.
    end: u64,
    erased: Erased,
}

/// Zeros up to the end of the file.
fn fill(file: &dyn DiskFile, mut offset: u64, end: u64) -> io::Result<()> {
    let zeros = vec![0; STEP_BYTES];
    while offset < end {
        let count = (end - offset).min(STEP_BYTES as u64) as usize;
        file.write_all_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}

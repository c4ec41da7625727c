//! Erasure: payloads go, their leaves stay, and with them every digest.
//!
//! Only segments that are closed are touched: if the one being written is concerned, the writer begins a new one
//! first. A segment that holds something to be erased is written anew beside itself, as long as it must be, and takes
//! its own place by a rename, so after a crash it is there in one form or the other. Whoever reads the old file reads it to its end. Bytes of an earlier
//! use go too: spares that have them are removed, and what stands behind the end of a segment is zeroed.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use event::{InteractionId, Kind};

use crate::disk::DiskFile;
use crate::folder::unfinished_path;
use crate::format::{
    COMMIT_HEADER_BYTES, CommitHeader, Defect, SegmentHeader, StoredFrame, decode_body, erased,
};
use crate::locks::LOCK;
use crate::prepare::prepare;
use crate::shared::{Segment, Shared};
use crate::spares::Spare;
use crate::walk::{Walk, read_bytes, read_commit_header, read_header};
use crate::{Error, ErrorKind, State};

/// Bytes read or written at once.
const STEP_BYTES: usize = 1 << 20;
/// How long the writer may take to begin a new segment, and the time between two looks.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// What an erasure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Frames whose payload it took out.
    pub frames: u64,
    /// Bytes of these payloads.
    pub bytes: u64,
    /// Segments that were written anew.
    pub segments: u64,
}

/// See [`crate::Ledger::erase`].
pub(crate) fn erase(
    shared: &Shared,
    interactions: &HashSet<InteractionId>,
    stop: &dyn Fn() -> bool,
) -> Result<Erased, Error> {
    let _one_at_a_time = shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
    let _fresh = FreshOnly::begin(shared)?;
    leave_active(shared, interactions)?;
    // The writer may have been about to begin a segment in a file that was used before.
    leave_active(shared, interactions)?;
    // From here on what is to be erased stands in closed segments alone.
    shared.recent.clear();
    shared.picked.clear();
    let closed: Vec<(Segment, u64)> = {
        let segments = shared.segments.lock().expect(LOCK);
        let pairs = segments.windows(2).map(|pair| (pair[0].clone(), pair[1].first_sequence - 1));
        pairs.collect()
    };
    let (mut total, mut damaged) = (Erased::default(), Vec::new());
    for (segment, last_sequence) in closed {
        if stop() {
            let text = "the ledger is being closed: the rest is erased once it is open again";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        let done = Closed::open(shared, &segment, last_sequence)
            .and_then(|closed| closed.erase(interactions));
        match done {
            Ok(erased) => total.add(&erased),
            // Its retention ended meanwhile.
            Err(_) if !is_listed(shared, &segment) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    match damaged.first() {
        None => Ok(total),
        Some(first) => {
            let count = damaged.len();
            let text = format!(
                "{count} damaged segments of the ledger may still hold what is to be erased, all others are done: {first}"
            );
            Err(Error::new(ErrorKind::Corrupt, text))
        }
    }
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
        for Spare { path, .. } in used {
            let removed = shared.disk.remove(&path);
            removed.map_err(|error| Error::io("remove", &path, error))?;
        }
        Ok(fresh_only)
    }
}

impl Drop for FreshOnly<'_> {
    fn drop(&mut self) {
        self.0.spares.admit_used();
        self.0.keeper.ring();
    }
}

/// What is open, by the writer, which takes what was queued before first.
pub(crate) fn open(shared: &Shared) -> Result<HashSet<InteractionId>, Error> {
    let (asker, answer) = sync_channel(1);
    shared.askers.lock().expect(LOCK).push(asker);
    shared.queue.nudge();
    let began = Instant::now();
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(open) => return Ok(open),
            Err(_) => check_serving(shared, began)?,
        }
    }
}

/// An error if the writer cannot do what it is asked, or has not for long.
fn check_serving(shared: &Shared, began: Instant) -> Result<(), Error> {
    let is_serving = matches!(&*shared.state.borrow(), State::Serving);
    if is_serving && began.elapsed() <= PATIENCE {
        return Ok(());
    }
    let text = "the ledger does not record at this moment; erase again once it does";
    Err(Error::new(ErrorKind::Poisoned, text))
}

/// Has the writer begin a new segment if the one it writes holds what is to be erased, or bytes of an earlier
/// use.
fn leave_active(shared: &Shared, interactions: &HashSet<InteractionId>) -> Result<(), Error> {
    let newest = || shared.segments.lock().expect(LOCK).last().cloned();
    let Some(active) = newest() else { return Ok(()) };
    let durable = shared.progress.position().sequence;
    let is_concerned = active.is_used
        || Closed::open(shared, &active, durable)?.find(&is_wanted(interactions))?.erased.frames
            > 0;
    if !is_concerned {
        return Ok(());
    }
    if shared.spares.count() == 0 {
        // So that the writer need not make it.
        let (number, bytes) = (shared.spares.number(), shared.config.segment_bytes);
        let ending = || shared.keeper.ended();
        shared.spares.put(prepare(shared, number, bytes, &ending)?);
    }
    shared.segment_due.store(true, Ordering::Relaxed);
    shared.queue.nudge();
    let began = Instant::now();
    while newest().is_some_and(|segment| segment.epoch == active.epoch) {
        check_serving(shared, began)?;
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// What is to be erased of a frame's interaction.
fn is_wanted(interactions: &HashSet<InteractionId>) -> impl Fn(&StoredFrame) -> bool {
    |frame| {
        !frame.is_erased()
            && interactions.contains(&frame.interaction)
            && Kind::from_byte(frame.kind).is_some_and(Kind::is_content)
    }
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
        let is_wanted = is_wanted(interactions);
        let found = self.find(&is_wanted)?;
        if found.erased.frames == 0 {
            if self.segment.is_used {
                self.zero_from(found.end)?;
                self.change(|listed| listed.is_used = false);
            }
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
        // It ends where its last commit does: nothing is written behind it any more.
        let header = SegmentHeader { segment_bytes: offset, ..self.header.clone() };
        file.write_all_at(&header.encode(), 0).map_err(failed)?;
        file.sync().map_err(failed)?;
        Ok(offset)
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
        self.change(|listed| {
            listed.segment_bytes = bytes;
            listed.is_used = false;
        });
        disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
    }

    fn change(&self, change: impl Fn(&mut Segment)) {
        let mut segments = self.shared.segments.lock().expect(LOCK);
        segments.iter_mut().filter(|listed| listed.epoch == self.segment.epoch).for_each(change);
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

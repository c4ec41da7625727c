//! Reads durable frames in order, following the writer from segment to segment.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use event::{Frame, Kind, Timestamp};
use rustix::fs::{Advice, fadvise};

use crate::format::{COMMIT_HEADER_BYTES, CommitHeader, Defect, StoredFrame, decode_body};
use crate::locks::LOCK;
use crate::picked::{Found, PickedFrame};
use crate::shared::{Segment, Shared};
use crate::walk::{read_bytes, read_commit_header};
use crate::{Error, ErrorKind};

/// A durable frame and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence: gapless, from 1.
    pub sequence: u64,
    /// When the commit was written that it stands in: a moment after it was appended.
    pub written_at: Timestamp,
    /// What was appended. The payload of an erased frame is empty.
    pub frame: Frame,
    /// Bytes that the payload had, if it was erased.
    pub erased_bytes: Option<u32>,
}

impl Entry {
    /// A frame as it was appended.
    pub const fn new(sequence: u64, written_at: Timestamp, frame: Frame) -> Self {
        Self { sequence, written_at, frame, erased_bytes: None }
    }
}

/// Reads durable frames in order, following the writer. Calls block: it wants a thread of its own.
///
/// It holds one commit at a time in memory, at most 32 MiB; a payload that is kept keeps the commit
/// it came in.
pub struct Reader {
    shared: Arc<Shared>,
    /// The sequence to answer next.
    next: u64,
    /// Frames of other kinds are passed over; empty: none is.
    only: Vec<Kind>,
    place: Option<Place>,
    /// Where the commit stands that follows the last one from memory: epoch of its segment, offset, sequence.
    resume: (u64, u64, u64),
    /// The commit at hand.
    frames: Arc<[StoredFrame]>,
    /// Its frames before this one have been answered.
    at: usize,
    /// When that commit was written.
    written_at: Timestamp,
}

/// Where the next commit is to be read.
struct Place {
    file: File,
    segment: Segment,
    offset: u64,
    /// First sequence of the commit there.
    sequence: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from_sequence: u64) -> Result<Self, Error> {
        let mut reader = Self {
            shared,
            next: from_sequence,
            only: Vec::new(),
            place: None,
            resume: (0, 0, 0),
            frames: Arc::default(),
            at: 0,
            written_at: Timestamp::default(),
        };
        if from_sequence == 0 {
            reader.next = reader.shared.segments.lock().expect(LOCK)[0].first_sequence;
        } else if from_sequence > reader.shared.progress.position().sequence + 1 {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("sequence {from_sequence} lies behind the end of the ledger"),
            ));
        } else {
            reader.segment()?;
        }
        Ok(reader)
    }

    /// Answers frames of these kinds alone from now on. Those that come are held in memory for it (1 MiB for all
    /// readers together), so that the others need not be read.
    pub fn only(mut self, kinds: &[Kind]) -> Self {
        self.shared.picked.want(kinds);
        self.only = kinds.to_vec();
        self
    }

    /// The sequence at which [`Reader::next`] goes on.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next durable frame; waits up to `wait` for one, then answers none. None at once if the
    /// ledger was closed, or if what came holds nothing that is wanted.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(stored) = self.frames.get(self.at).cloned() {
                self.at += 1;
                if stored.sequence < self.next {
                    continue;
                }
                self.next = stored.sequence + 1;
                if self.wants(stored.kind) {
                    return self.entry(stored).map(Some);
                }
                continue;
            }
            if !self.shared.progress.wait_for(self.next, wait) {
                return Ok(None);
            }
            match self.picked() {
                Found::Frame(PickedFrame { stored, written_at }) => {
                    (self.next, self.written_at) = (stored.sequence + 1, written_at);
                    return self.entry(stored).map(Some);
                }
                Found::None => return Ok(None),
                Found::Unknown => self.read_commit()?,
            }
        }
    }

    /// What is held of the frames that are wanted. With none before the end, that is where it goes on.
    fn picked(&mut self) -> Found {
        if self.only.is_empty() {
            return Found::Unknown;
        }
        let end = self.shared.progress.position().sequence;
        let found = match self.shared.picked.find(self.next, |kind| self.wants(kind)) {
            // Not durable yet.
            Found::Frame(picked) if picked.stored.sequence > end => Found::None,
            found => found,
        };
        if !matches!(found, Found::Unknown) {
            // A file or a commit that is not read on need not be held.
            self.place = None;
            self.hold(Arc::default());
        }
        if matches!(found, Found::None) {
            self.next = end + 1;
        }
        found
    }

    fn wants(&self, kind: u8) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| *wanted as u8 == kind)
    }

    fn entry(&self, stored: StoredFrame) -> Result<Entry, Error> {
        let sequence = stored.sequence;
        let erased_bytes = stored.is_erased().then_some(stored.length);
        let frame: Option<Frame> = stored.frame();
        let frame = frame.ok_or_else(|| {
            let kind = stored.kind;
            Error::new(
                ErrorKind::Invalid,
                format!("frame {sequence} is of kind {kind}, which only a newer version knows"),
            )
        })?;
        Ok(Entry { sequence, written_at: self.written_at, frame, erased_bytes })
    }

    /// Gets the commit that holds `next`, which is durable: from memory, or else from its file.
    fn read_commit(&mut self) -> Result<(), Error> {
        if let Some(commit) = self.shared.recent.find(self.next) {
            self.place = None;
            self.resume = (commit.epoch, commit.end, commit.last_sequence() + 1);
            self.written_at = commit.written_at;
            self.hold(commit.frames.clone());
            return Ok(());
        }
        let (segment, is_newest) = self.segment()?;
        let mut place = match self.place.take() {
            Some(place) if place.segment.epoch == segment.epoch => place,
            _ => Place::begin(segment, is_newest)?.or_at(self.resume),
        };
        loop {
            let header = place.header(&self.shared)?;
            if self.next <= header.last_sequence() {
                self.hold(place.frames(&header, &self.shared)?.into());
                self.written_at = header.written_at;
                place.skip(&header);
                self.place = Some(place);
                return Ok(());
            }
            place.skip(&header);
        }
    }

    fn hold(&mut self, frames: Arc<[StoredFrame]>) {
        self.frames = frames;
        self.at = 0;
    }

    /// The segment that holds `next`, and whether it is the one that is written. Of several that begin with it, the last: the others were
    /// superseded.
    fn segment(&self) -> Result<(Segment, bool), Error> {
        let segments = self.shared.segments.lock().expect(LOCK);
        let after = segments.partition_point(|segment| segment.first_sequence <= self.next);
        match after.checked_sub(1) {
            Some(index) => Ok((segments[index].clone(), after == segments.len())),
            None => Err(released(self.next)),
        }
    }
}

impl Place {
    fn begin(segment: Segment, is_newest: bool) -> Result<Self, Error> {
        let file = File::open(&segment.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => released(segment.first_sequence),
            _ => Error::io("open", &segment.path, error),
        })?;
        if is_newest {
            // Where it is written past the cache, what is read ahead of the writer is thrown away and read again.
            let _ = fadvise(&file, 0, None, Advice::Random);
        }
        let (offset, sequence) = (segment.body_at, segment.first_sequence);
        Ok(Self { file, segment, offset, sequence })
    }

    /// The place of a later commit, if it still stands there: an erasure writes a segment anew.
    fn or_at(self, (epoch, offset, sequence): (u64, u64, u64)) -> Self {
        let Segment { epoch: own, salt, .. } = self.segment;
        let is_there = epoch == own
            && read_commit_header(&self.file, epoch, salt, offset)
                .is_ok_and(|read| read.is_ok_and(|header| header.first_sequence == sequence));
        if is_there { Self { offset, sequence, ..self } } else { self }
    }

    fn header(&self, shared: &Shared) -> Result<CommitHeader, Error> {
        let Segment { epoch, salt, path, .. } = &self.segment;
        let header = read_commit_header(&self.file, *epoch, *salt, self.offset);
        let header = header.map_err(|error| Error::io("read", path, error))?;
        let header = header.map_err(|defect| self.defect(shared, defect))?;
        if header.first_sequence != self.sequence {
            let (expected, found) = (self.sequence, header.first_sequence);
            return Err(self.defect(shared, Defect::Sequence { expected, found }));
        }
        Ok(header)
    }

    fn frames(&self, header: &CommitHeader, shared: &Shared) -> Result<Vec<StoredFrame>, Error> {
        let at = self.offset + COMMIT_HEADER_BYTES as u64;
        let body = read_bytes(&self.file, at, header.stored_bytes as usize);
        let body = body.map_err(|error| Error::io("read", &self.segment.path, error))?;
        let body = body.ok_or_else(|| self.defect(shared, Defect::Short))?;
        decode_body(header, &body.into(), false).map_err(|defect| self.defect(shared, defect))
    }

    fn skip(&mut self, header: &CommitHeader) {
        self.offset += header.bytes();
        self.sequence = header.last_sequence() + 1;
    }

    /// The file may have been recycled under the reader; otherwise it is damaged.
    fn defect(&self, shared: &Shared, defect: Defect) -> Error {
        let segments = shared.segments.lock().expect(LOCK);
        if segments.iter().any(|segment| segment.epoch == self.segment.epoch) {
            Error::corrupt(&self.segment.path, self.offset, defect)
        } else {
            released(self.sequence)
        }
    }
}

fn released(sequence: u64) -> Error {
    Error::new(
        ErrorKind::Released,
        format!("sequence {sequence} has been released and is no longer in the ledger"),
    )
}

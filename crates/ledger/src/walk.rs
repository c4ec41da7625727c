//! Walks a segment commit by commit, and tells a torn end from damage.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use event::{InteractionId, Kind};

use crate::disk::Source;
use crate::format::{
    COMMIT_HEADER_BYTES, CommitHeader, Defect, MAGIC, Position, SEGMENT_FIXED_BYTES, SegmentHeader,
    Stored, StoredFrame, decode_body,
};

/// Bytes searched at a time for commits behind a bad one.
const SEARCH_BYTES: usize = 1 << 20;

/// Reads the header of a segment.
pub(crate) fn read_header<S: Source + ?Sized>(
    source: &S,
) -> io::Result<Result<SegmentHeader, Defect>> {
    let mut bytes = vec![0; SEGMENT_FIXED_BYTES];
    let count = source.read_full_at(&mut bytes, 0)?;
    if count < bytes.len() {
        return Ok(Err(Defect::Short));
    }
    let length = match SegmentHeader::length(&bytes) {
        Ok(length) => length,
        Err(defect) => return Ok(Err(defect)),
    };
    let rest = match read_bytes(source, SEGMENT_FIXED_BYTES as u64, length - SEGMENT_FIXED_BYTES)? {
        Some(rest) => rest,
        None => return Ok(Err(Defect::Short)),
    };
    bytes.extend_from_slice(&rest);
    Ok(SegmentHeader::decode(&bytes))
}

/// Reads exactly `length` bytes; none if the source ends before. What is allocated grows with what
/// is there, not with what a damaged length claims.
pub(crate) fn read_bytes<S: Source + ?Sized>(
    source: &S,
    offset: u64,
    length: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(start + (length - start).min(SEARCH_BYTES), 0);
        let count = source.read_full_at(&mut bytes[start..], offset + start as u64)?;
        if start + count < bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

/// Reads the commit header at `offset` of the segment of this epoch and salt.
pub(crate) fn read_commit_header<S: Source + ?Sized>(
    source: &S,
    epoch: u64,
    salt: u64,
    offset: u64,
) -> io::Result<Result<CommitHeader, Defect>> {
    let mut bytes = [0; COMMIT_HEADER_BYTES];
    if source.read_full_at(&mut bytes, offset)? < bytes.len() {
        return Ok(Err(Defect::Absent));
    }
    Ok(CommitHeader::decode(&bytes, salt)
        .and_then(|header| if header.epoch == epoch { Ok(header) } else { Err(Defect::Absent) }))
}

/// Walks the commits of one segment in order, checking checksums and chain.
pub(crate) struct Walk<'a, S: Source + ?Sized> {
    source: &'a S,
    segment: &'a SegmentHeader,
    /// Where the next commit begins.
    pub(crate) offset: u64,
    /// Where the chain stands.
    pub(crate) position: Position,
    /// Highest sequence a commit so far knew to be durable.
    pub(crate) durable_sequence: u64,
}

impl<'a, S: Source + ?Sized> Walk<'a, S> {
    pub(crate) fn new(source: &'a S, segment: &'a SegmentHeader) -> Self {
        Self {
            source,
            segment,
            offset: segment.bytes(),
            position: segment.previous,
            durable_sequence: segment.previous.sequence,
        }
    }

    /// The next commit, or why what stands here is none.
    pub(crate) fn next(&mut self) -> io::Result<Result<Stored, Defect>> {
        let SegmentHeader { epoch, salt, .. } = *self.segment;
        let header = match read_commit_header(self.source, epoch, salt, self.offset)? {
            Ok(header) => header,
            Err(defect) => return Ok(Err(defect)),
        };
        let at = self.offset + COMMIT_HEADER_BYTES as u64;
        let Some(body) = read_bytes(self.source, at, header.stored_bytes as usize)? else {
            return Ok(Err(Defect::Short));
        };
        Ok(self.accept(header, body.into()))
    }

    fn accept(&mut self, header: CommitHeader, body: Bytes) -> Result<Stored, Defect> {
        let expected = self.position.sequence + 1;
        if header.first_sequence != expected {
            return Err(Defect::Sequence { expected, found: header.first_sequence });
        }
        if header.previous != self.position.digest {
            return Err(Defect::Chain);
        }
        let frames = decode_body(&header, &body, true)?;
        let offset = self.offset;
        self.offset += header.bytes();
        self.position = header.end();
        self.durable_sequence = self.durable_sequence.max(header.durable_sequence);
        Ok(Stored { header, offset, body, frames })
    }

    /// What stands behind the point where the walk stopped: see [`Behind`].
    pub(crate) fn behind(&self) -> io::Result<Behind> {
        let mut behind = Behind { end: self.offset, durable_sequence: 0 };
        let mut at = self.offset;
        let mut window = vec![0; SEARCH_BYTES];
        loop {
            let count = self.source.read_full_at(&mut window, at)?;
            if count < COMMIT_HEADER_BYTES {
                return Ok(behind);
            }
            for hit in memchr::memmem::find_iter(
                &window[..count - COMMIT_HEADER_BYTES + MAGIC.len()],
                &MAGIC,
            ) {
                let bytes = window[hit..].first_chunk().expect("the search ends a header early");
                if let Ok(header) = CommitHeader::decode(bytes, self.segment.salt)
                    && header.epoch == self.segment.epoch
                {
                    behind.end = behind.end.max(at + hit as u64 + header.bytes());
                    behind.durable_sequence = behind.durable_sequence.max(header.durable_sequence);
                }
            }
            at += (count - COMMIT_HEADER_BYTES + 1) as u64;
        }
    }
}

/// Commits of the same segment found behind a bad one. If one of them knew the bad one to be
/// durable, the bad one is damage; otherwise all of it is the torn end of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Where the last of them ends; the place of the bad one if there are none.
    pub(crate) end: u64,
    /// Highest sequence one of them knew to be durable.
    pub(crate) durable_sequence: u64,
}

/// Interactions that have an `Opened` but no `Closed` yet, with the sequence of the `Opened`.
pub(crate) type OpenSet = HashMap<InteractionId, u64>;

/// Follows what a frame opens or closes.
pub(crate) fn follow(open: &mut OpenSet, frame: &StoredFrame) {
    if frame.kind == Kind::Opened as u8 {
        open.insert(frame.interaction, frame.sequence);
    } else if frame.kind == Kind::Closed as u8 {
        open.remove(&frame.interaction);
    }
}

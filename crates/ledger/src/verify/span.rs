//! A part of a ledger, in whole segments: which of them hold what lies between two places.

use std::fs::File;
use std::path::{Path, PathBuf};

use event::Timestamp;

use crate::format::SegmentHeader;
use crate::walk::{read_commit_header, read_header};

/// A place in a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The frame of this sequence.
    Sequence(u64),
    /// What was written at this time.
    Time(Timestamp),
}

/// What lies between two places, both included; without one it reaches to the first or last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: Option<Place>,
    /// Where it ends.
    pub to: Option<Place>,
}

impl Span {
    /// Whether it ends before it begins; a sequence and a time are not compared.
    pub fn is_backwards(&self) -> bool {
        match (self.from, self.to) {
            (Some(Place::Sequence(from)), Some(Place::Sequence(to))) => from > to,
            (Some(Place::Time(from)), Some(Place::Time(to))) => from > to,
            _ => false,
        }
    }

    /// The segments that hold it, as positions in the list: first, and one behind the last.
    pub(super) fn segments(&self, files: &[PathBuf]) -> (usize, usize) {
        let heads: Vec<Option<Begin>> = if self.from.is_none() && self.to.is_none() {
            Vec::new()
        } else {
            files.iter().map(|path| Begin::read(path)).collect()
        };
        // Commits of one instant may lie in two segments: both are walked.
        let begins_before = |head: &Option<Begin>, place| {
            let is_same = |begin: &Begin| begin.written_at.map(Place::Time) == Some(place);
            head.as_ref().is_some_and(|begin| begin.is_before(place) && !is_same(begin))
        };
        let first = self.from.map_or(0, |place| {
            heads.iter().rposition(|head| begins_before(head, place)).unwrap_or(0)
        });
        // A segment that cannot be read is walked, so that it is found.
        let end = self.to.map_or(files.len(), |place| {
            let is_behind =
                |head: &Option<Begin>| head.as_ref().is_some_and(|begin| begin.is_behind(place));
            heads.iter().position(is_behind).unwrap_or(files.len())
        });
        (first, end.max(first + 1).min(files.len()))
    }
}

/// Where a segment begins.
struct Begin {
    sequence: u64,
    /// None before its first commit is written.
    written_at: Option<Timestamp>,
}

impl Begin {
    fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let header: SegmentHeader = read_header(&file).ok()?.ok()?;
        let commit = read_commit_header(&file, header.epoch, header.salt, header.bytes());
        let written_at = commit.ok()?.ok().map(|commit| commit.written_at);
        Some(Self { sequence: header.first_sequence(), written_at })
    }

    /// One without commits says nothing of times.
    fn is_behind(&self, place: Place) -> bool {
        let says = matches!(place, Place::Sequence(_)) || self.written_at.is_some();
        says && !self.is_before(place)
    }

    fn is_before(&self, place: Place) -> bool {
        match place {
            Place::Sequence(sequence) => self.sequence <= sequence,
            Place::Time(at) => self.written_at.is_some_and(|written_at| written_at <= at),
        }
    }
}

//! Proves that a ledger is whole: every checksum, the chain, the sequence, both ends, an outcome for
//! every interaction, and an order for everything that was erased. Reads only, beside a live writer too.
//!
//! What it cannot see: the removal of released segments is allowed, so what they held is only known
//! by the digest that the first kept segment begins with; and commits younger than the last note in
//! the head file (at most a few seconds in a live or crashed folder, none after a clean close) can
//! be cut off the end without trace. Whoever can write the folder could also make it anew from the
//! start. Against both, keep public keys and checkpoints elsewhere ([`Trust`]).

mod erasures;
mod outcomes;
mod report;
mod signatures;
mod span;

use std::fs::File;
use std::path::{Path, PathBuf};

use event::{Kind, LedgerCheckpoint, Note, Record};

use crate::folder::{Files, FolderLock, segment_path};
use crate::format::{Defect, GENESIS, Position, SegmentHeader, Stored, StoredFrame};
use crate::head::{self, Head};
use crate::walk::{Walk, read_header};
use crate::{Error, ErrorKind};

use erasures::{Erased, Erasures};
use outcomes::Outcomes;
pub use report::{Finding, FindingKind, Progress, Report};
use signatures::Signatures;
pub use signatures::Trust;
pub use span::{Place, Span};

/// Times a verification starts again because a live writer recycled what it was about to read.
const TRIES: u32 = 100;

/// Walks the whole ledger in `dir`, telling `progress` after every segment.
///
/// An error means that the folder could not be read; what is wrong in it is in the report.
pub fn verify(dir: &Path, progress: impl FnMut(Progress)) -> Result<Report, Error> {
    verify_span(dir, &Span::default(), &Trust::default(), progress)
}

/// Walks the segments that hold a part of the ledger in `dir`. The chain is followed from the digest that
/// the first of them begins with to the one that the segment behind them does. Signatures are held against it,
/// and what is trusted from elsewhere.
pub fn verify_span(
    dir: &Path,
    span: &Span,
    trust: &Trust,
    progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let mut progress = progress;
    let is_live = FolderLock::is_held(dir);
    for _ in 0..TRIES {
        let mut verifier = Verifier {
            dir,
            report: Report { is_live, ..Report::default() },
            head: None,
            ledger: [0; 16],
            outcomes: Outcomes::default(),
            erasures: Erasures::default(),
            signatures: Signatures::new(trust),
            reached: None,
            overtaken: false,
        };
        verifier.run(span, &mut progress)?;
        if !verifier.overtaken {
            return Ok(verifier.report);
        }
    }
    Err(Error::new(
        ErrorKind::Released,
        "segments are recycled faster than they can be verified; keep more of them",
    ))
}

struct Verifier<'a> {
    dir: &'a Path,
    report: Report,
    head: Option<Head>,
    /// Identity of the ledger, by the segment at hand.
    ledger: [u8; 16],
    outcomes: Outcomes,
    erasures: Erasures,
    signatures: Signatures<'a>,
    /// Where the chain stands, as far as it could be followed.
    reached: Option<Position>,
    /// A live writer recycled a segment before it could be read: start again.
    overtaken: bool,
}

/// A segment whose header could be read.
struct Opened {
    path: PathBuf,
    file: File,
    header: SegmentHeader,
}

impl Verifier<'_> {
    fn run(&mut self, span: &Span, progress: &mut impl FnMut(Progress)) -> Result<(), Error> {
        self.head = self.read_head()?;
        let files = Files::list(self.dir)?.segments;
        if files.is_empty() {
            self.check_empty();
            return Ok(());
        }
        let (first, end) = span.segments(&files);
        self.report.is_part = first > 0 || end < files.len();
        let mut at_hand = self.open(&files[first])?;
        for (index, path) in files.iter().enumerate().take(end).skip(first) {
            // A live writer may have gone on to a segment that was not there before.
            let next_path = match files.get(index + 1) {
                Some(next) => Some(next.clone()),
                None => Files::list(self.dir)?.segments.into_iter().find(|other| other > path),
            };
            let next = next_path.map(|path| self.open(&path)).transpose()?.flatten();
            if let Some(segment) = at_hand {
                self.segment(&segment, next.as_ref(), index == first)?;
            }
            if self.overtaken {
                return Ok(());
            }
            at_hand = next;
            progress(Progress {
                segments_done: (index + 1 - first) as u64,
                segments: (end - first) as u64,
                frames: self.report.frames,
            });
        }
        self.report.erasures_ordered = self.erasures.orders();
        if end == files.len() {
            self.check_orders(&files, first)?;
            self.check_end(&files);
        } else {
            self.check_part_end(at_hand.as_ref());
        }
        Ok(())
    }

    /// Everything that is erased was ordered to be. Orders may stand behind what they are about, so of a part
    /// that ends earlier nothing can be said.
    fn check_orders(&mut self, files: &[PathBuf], first: usize) -> Result<(), Error> {
        let unordered = self.erasures.unordered();
        // A live ledger may have gone on, and been erased from, since its files were listed: start again.
        if !unordered.is_empty()
            && self.report.is_live
            && Files::list(self.dir)?.segments.last() != files.last()
        {
            self.overtaken = true;
        }
        for Erased { interaction, segment, offset, sequence } in unordered {
            let number = usize::try_from(segment).unwrap_or(usize::MAX).saturating_sub(1);
            let path = files.get(first.saturating_add(number)).map_or(self.dir, PathBuf::as_path);
            let text =
                format!("content of interaction {interaction} is erased, and no order says so");
            self.find(FindingKind::ErasedWithoutOrder, path, offset, sequence, text);
        }
        Ok(())
    }

    /// What the segment behind the part says of its end.
    fn check_part_end(&mut self, behind: Option<&Opened>) {
        let reached = self.reached.unwrap_or_default();
        self.report.last_sequence = reached.sequence;
        self.report.last_digest = reached.digest;
        self.report.open = self.outcomes.remaining().len() as u64;
        if let Some(Opened { path, header, .. }) = behind
            && self.reached.is_some()
            && !self.outcomes.are_open(&header.open)
        {
            let text =
                "its list of open interactions is not what the segments before it leave open";
            self.find(FindingKind::Damaged, path, 128, header.first_sequence(), text);
        }
    }

    fn read_head(&mut self) -> Result<Option<Head>, Error> {
        let path = head::path(self.dir);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = "the head file is missing: whether an end was cut off cannot be told";
                self.find(FindingKind::Missing, &path, 0, 0, text);
                return Ok(None);
            }
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        let slots = head::read(&file).map_err(|error| Error::io("read", &path, error))?;
        for (offset, defect) in slots.damaged {
            self.find(FindingKind::Damaged, &path, offset, 0, defect);
        }
        Ok(slots.newest)
    }

    fn check_empty(&mut self) {
        if let Some(head) = self.head
            && head.durable.sequence > 0
        {
            let last = head.durable.sequence;
            let text = format!("all segments are missing; the head has noted sequence {last}");
            self.find(FindingKind::Missing, self.dir, 0, last, text);
        }
    }

    /// Opens a segment and reads its header; none if that is impossible (then it is a finding) or
    /// if it was released meanwhile.
    fn open(&mut self, path: &Path) -> Result<Option<Opened>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(_) if self.is_overtaken(path) => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let header = read_header(&file).map_err(|error| Error::io("read", path, error))?;
        if self.is_overtaken(path) {
            return Ok(None);
        }
        let header = match header {
            Ok(header) => header,
            Err(defect) => {
                self.find(FindingKind::Damaged, path, 0, 0, defect);
                return Ok(None);
            }
        };
        if self.head.is_some_and(|head| head.ledger != header.ledger) {
            let sequence = header.first_sequence();
            self.find(FindingKind::Damaged, path, 16, sequence, "it is of another ledger");
            return Ok(None);
        }
        if *path != segment_path(self.dir, header.first_sequence(), header.epoch) {
            let sequence = header.first_sequence();
            self.find(
                FindingKind::Damaged,
                path,
                0,
                sequence,
                "its name is not that of its header",
            );
        }
        Ok(Some(Opened { path: path.to_owned(), file, header }))
    }

    /// Walks one segment: up to where the next one begins, or to its own end if it is the last.
    fn segment(
        &mut self,
        segment: &Opened,
        next: Option<&Opened>,
        first: bool,
    ) -> Result<(), Error> {
        let Opened { path, file, header } = segment;
        self.report.segments += 1;
        self.ledger = header.ledger;
        self.check_begin(segment, first);
        let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
        if length != header.segment_bytes {
            let text = format!("the file has {length} bytes, it had {}", header.segment_bytes);
            self.find(FindingKind::Missing, path, length, header.first_sequence(), text);
        }
        let failed = |error| Error::io("read", path, error);
        let mut walk = Walk::new(file, header);
        let limit = next.map_or(u64::MAX, |next| next.header.previous.sequence);
        let defect = loop {
            if walk.position.sequence >= limit {
                break None;
            }
            match walk.next().map_err(failed)? {
                Ok(commit) => self.commit(path, &commit),
                Err(defect) => break Some(defect),
            }
        };
        self.reached = Some(walk.position);
        match (next, defect) {
            (Some(_), Some(defect)) => {
                self.broken_off(path, &walk, &defect);
                Ok(())
            }
            (Some(next), None) => {
                self.check_next(segment, next, walk.position);
                Ok(())
            }
            (None, defect) => self.check_last(path, &mut walk, defect),
        }
    }

    /// The segment must begin where the one before it ended, with the same interactions open.
    fn check_begin(&mut self, segment: &Opened, first: bool) {
        let Opened { path, header, .. } = segment;
        let sequence = header.first_sequence();
        if first {
            self.report.first_sequence = sequence;
            let expected = self.head.map_or(sequence, |head| head.first_sequence);
            if sequence > expected && !self.report.is_part && !self.has_moved_on(sequence) {
                let text = format!("sequences {expected} to {} are missing", sequence - 1);
                self.find(FindingKind::Missing, path, 0, expected, text);
            }
            if sequence == 1 && header.previous.digest != GENESIS {
                self.find(FindingKind::Damaged, path, 72, 1, "the chain does not begin here");
            }
        } else if self.reached.is_none() {
            let text = format!("what came before sequence {sequence} is missing");
            self.find(FindingKind::Missing, path, 0, sequence, text);
        } else if !self.outcomes.are_open(&header.open) {
            let text =
                "its list of open interactions is not what the segments before it leave open";
            self.find(FindingKind::Damaged, path, 128, sequence, text);
        }
        if first || self.reached.is_none() {
            self.signatures.begin(header.previous);
            self.erasures.excuse(&header.open);
        }
        self.outcomes.restart(&header.open);
    }

    /// A live writer gave up what lies before since the head was read: start again.
    fn has_moved_on(&mut self, sequence: u64) -> bool {
        let head = File::open(head::path(self.dir)).and_then(|file| head::read(&file));
        let newest = head.ok().and_then(|slots| slots.newest);
        let has_moved = newest.is_some_and(|head| head.first_sequence >= sequence);
        self.overtaken |= self.report.is_live && has_moved;
        self.overtaken
    }

    fn check_next(&mut self, segment: &Opened, next: &Opened, end: Position) {
        if end == next.header.previous {
            return;
        }
        let sequence = next.header.first_sequence();
        let text = if end.sequence == next.header.previous.sequence {
            "it does not continue the chain of the segment before it".to_owned()
        } else {
            format!("it begins at sequence {sequence} in the midst of a commit")
        };
        self.find(FindingKind::Damaged, &next.path, 64, sequence, text);
        if segment.header.epoch >= next.header.epoch {
            self.find(FindingKind::Damaged, &next.path, 32, sequence, "its epoch does not rise");
        }
    }

    /// A segment that is not the last broke off: damage, unless it was recycled under our eyes.
    fn broken_off(&mut self, path: &Path, walk: &Walk<'_, File>, defect: &Defect) {
        self.reached = None;
        if !self.is_overtaken(path) {
            let sequence = walk.position.sequence + 1;
            let text = format!("{defect}; the rest of the segment cannot be read");
            self.find(FindingKind::Damaged, path, walk.offset, sequence, text);
        }
    }

    /// A recycled segment has lost its name before anything in it changed.
    fn is_overtaken(&mut self, path: &Path) -> bool {
        self.overtaken |= self.report.is_live && !path.exists();
        self.overtaken
    }

    /// The end of the last segment: torn by a crash, or damaged?
    fn check_last(
        &mut self,
        path: &Path,
        walk: &mut Walk<'_, File>,
        mut defect: Option<Defect>,
    ) -> Result<(), Error> {
        let failed = |error| Error::io("read", path, error);
        let behind = loop {
            let behind = walk.behind().map_err(failed)?;
            if !self.report.is_live || behind.end == walk.offset {
                break behind;
            }
            // The writer may have finished meanwhile what was half-written when we came by.
            match walk.next().map_err(failed)? {
                Ok(commit) => self.commit(path, &commit),
                Err(found) => {
                    defect = Some(found);
                    break behind;
                }
            }
        };
        self.reached = Some(walk.position);
        let last = walk.position.sequence;
        if self.is_overtaken(path) {
            return Ok(());
        }
        if behind.durable_sequence > last {
            let defect = defect.unwrap_or(Defect::Absent);
            let text = format!("{defect}, though later commits are there");
            self.find(FindingKind::Damaged, path, walk.offset, last + 1, text);
        } else {
            self.report.torn_bytes = behind.end - walk.offset;
        }
        Ok(())
    }

    fn commit(&mut self, path: &Path, commit: &Stored) {
        let header = &commit.header;
        self.report.commits += 1;
        self.report.raw_bytes += u64::from(header.raw_bytes);
        self.report.stored_bytes += header.bytes();
        self.report.first_at.get_or_insert(header.written_at);
        self.report.last_at = Some(header.written_at);
        for frame in &commit.frames {
            self.frame(path, commit.offset, frame);
        }
        if let Some(sequence) = self.signatures.commit(header.end(), header.written_at) {
            let text = "the chain does not go through a checkpoint from elsewhere";
            self.find(FindingKind::BadSignature, path, commit.offset, sequence, text);
        }
        if let Some(head) = self.head
            && (header.first_sequence..=header.last_sequence()).contains(&head.durable.sequence)
            && header.end() != head.durable
        {
            let text = "the commit is not the one that the head has noted";
            self.find(FindingKind::Damaged, path, commit.offset, head.durable.sequence, text);
        }
    }

    fn frame(&mut self, path: &Path, offset: u64, frame: &StoredFrame) {
        self.report.frames += 1;
        let sequence = frame.sequence;
        if frame.is_erased() {
            self.report.erased += 1;
            if !self.erasures.erased(frame, self.report.segments, offset) {
                let text =
                    format!("a frame of kind {} is erased, which holds no content", frame.kind);
                self.find(FindingKind::ErasedWithoutOrder, path, offset, sequence, text);
            }
        } else if let Some(known) = frame.frame() {
            match Record::decode(known.kind, &known.payload) {
                Ok(Record::Note(note)) => {
                    if let Note::LedgerCheckpoint(row) = &*note {
                        self.checkpoint(path, offset, sequence, row);
                    }
                }
                Ok(_) => {}
                Err(error) => self.find(FindingKind::Undecodable, path, offset, sequence, error),
            }
        } else {
            let text = format!("kind {} is unknown to this version", frame.kind);
            self.find(FindingKind::Undecodable, path, offset, sequence, text);
        }
        match Kind::from_byte(frame.kind) {
            Some(Kind::Erasure) => self.erasures.ordered(frame.interaction),
            Some(Kind::Opened) => {
                self.report.opened += 1;
                if !self.outcomes.open(frame.interaction, sequence) {
                    let text = format!("interaction {} is opened twice", frame.interaction);
                    self.find(FindingKind::TwoStarts, path, offset, sequence, text);
                }
            }
            Some(Kind::Closed) => {
                self.report.closed += 1;
                if let Err((kind, what)) = self.outcomes.close(frame.interaction) {
                    let text = format!("interaction {} {what}", frame.interaction);
                    self.find(kind, path, offset, sequence, text);
                }
            }
            Some(Kind::Refused) => self.report.refused += 1,
            _ => {}
        }
    }

    fn checkpoint(&mut self, path: &Path, offset: u64, sequence: u64, row: &LedgerCheckpoint) {
        match self.signatures.checkpoint(row, self.ledger) {
            Ok(signed) => self.report.signed(&signed),
            Err(why) => {
                let text = format!("the checkpoint does not hold: {why}");
                self.find(FindingKind::BadSignature, path, offset, sequence, text);
            }
        }
    }

    /// Whether the end is where the head has noted it, and what has no outcome there.
    fn check_end(&mut self, files: &[PathBuf]) {
        let path = files.last().expect("an empty folder was dealt with").clone();
        let reached = self.reached.unwrap_or_default();
        self.report.last_sequence = reached.sequence;
        self.report.last_digest = reached.digest;
        if let Some(head) = self.head {
            let noted = head.durable.sequence;
            if reached.sequence < noted {
                let text = format!(
                    "the ledger ends at sequence {}, the head has noted {noted}",
                    reached.sequence
                );
                self.find(FindingKind::Missing, &path, 0, reached.sequence + 1, text);
            } else if head.clean && !self.report.is_live && reached != head.durable {
                let text = "the ledger does not end where it was closed";
                self.find(FindingKind::Damaged, &path, 0, noted, text);
            } else if reached.sequence == noted && reached.digest != head.durable.digest {
                let text = "the last digest is not the one that the head has noted";
                self.find(FindingKind::Damaged, &path, 0, noted, text);
            }
        }
        if let Some(text) = self.signatures.end() {
            self.find(FindingKind::Unsigned, &path, 0, reached.sequence, text);
        }
        let open = self.outcomes.remaining();
        self.report.open = open.len() as u64;
        if self.report.is_live {
            return;
        }
        for (interaction, sequence) in open {
            let text = format!(
                "interaction {interaction} has no outcome; opening the ledger gives it one"
            );
            self.find(FindingKind::NoOutcome, &path, 0, sequence, text);
        }
    }

    fn find(
        &mut self,
        kind: FindingKind,
        path: &Path,
        offset: u64,
        sequence: u64,
        text: impl ToString,
    ) {
        self.report.add(Finding {
            kind,
            file: path.to_owned(),
            offset,
            sequence,
            text: text.to_string(),
        });
    }
}

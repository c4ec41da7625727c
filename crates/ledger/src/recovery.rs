//! Opening a ledger: finding its end, telling a crash from damage, and closing what a crash left
//! open.

use std::path::Path;
use std::sync::Arc;

use event::{Closed, InteractionId, Outcome, Record};

use crate::appender::{Active, Appender, activate, listed};
use crate::disk::{Disk, DiskFile};
use crate::folder::Files;
use crate::format::{Defect, GENESIS, Position, SegmentHeader, VERSION, header_bytes};
use crate::head::{self, Head, HeadFile};
use crate::keeper::discard;
use crate::locks::LOCK;
use crate::random;
use crate::shared::{Segment, Shared};
use crate::walk::{OpenSet, Walk, follow, read_header};
use crate::{Error, ErrorKind};

/// Interactions closed in one commit.
const CLOSED_PER_COMMIT: usize = 1024;

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Interactions a crash had left open; each has got its `Closed` with outcome `interrupted`.
    pub interrupted: Vec<InteractionId>,
    /// Bytes of unfinished commits behind the last good one; none of them had been acknowledged.
    pub truncated_bytes: u64,
    /// First sequence that can be read.
    pub first_sequence: u64,
    /// Sequence of the last frame, those of `interrupted` included; 0 in a new ledger.
    pub last_sequence: u64,
}

/// The end of a ledger as it was found.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) end: Position,
    pub(crate) open: OpenSet,
    /// Where the next commit would go.
    pub(crate) offset: u64,
    /// Bytes of unfinished commits there.
    pub(crate) torn_bytes: u64,
    /// An earlier version began the segment.
    pub(crate) is_older: bool,
    /// The file is shorter than it was made.
    pub(crate) is_short: bool,
    pub(crate) file: Box<dyn DiskFile>,
}

/// What lies in a folder, checked as far as opening must: every header, and all of the last segment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) head: HeadFile,
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Option<Tail>,
}

/// Looks at the folder; makes a new ledger's head if there is nothing.
pub(crate) fn find(
    disk: &dyn Disk,
    dir: &Path,
    files: &Files,
    now: event::Timestamp,
) -> Result<Found, Error> {
    let head = find_head(disk, dir, files, now)?;
    let known = head.head();
    let mut segments = Vec::new();
    let mut last = None;
    for path in &files.segments {
        let (file, header) = open_segment(disk, path)?;
        check_header(path, &header, &known, segments.last())?;
        segments.push(Segment::new(path.clone(), &header, true));
        last = Some((file, header));
    }
    let tail = match last {
        Some((file, header)) => Some(find_tail(&segments, file, header, &known)?),
        None if known.durable.sequence > 0 => return Err(missing(dir, "all segments are", &known)),
        None => None,
    };
    if let Some(first) = segments.first()
        && first.first_sequence > known.first_sequence
    {
        let what = format!("the segment with sequence {} is", known.first_sequence);
        return Err(missing(dir, &what, &known));
    }
    Ok(Found { head, segments, tail })
}

fn missing(dir: &Path, what: &str, head: &Head) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "{what} missing from {}, which held sequences {} to {}; nothing was changed: restore \
             the missing files from a backup, or move the whole folder away to start a new ledger",
            dir.display(),
            head.first_sequence,
            head.durable.sequence
        ),
    )
}

fn find_head(
    disk: &dyn Disk,
    dir: &Path,
    files: &Files,
    now: event::Timestamp,
) -> Result<HeadFile, Error> {
    let path = head::path(dir);
    let slots = if path.exists() {
        let file = disk.open(&path).map_err(|error| Error::io("open", &path, error))?;
        head::read(file.as_ref()).map_err(|error| Error::io("read", &path, error))?
    } else {
        head::Slots::default()
    };
    match slots.newest {
        Some(head) => {
            for (offset, defect) in &slots.damaged {
                tracing::warn!(offset, %defect, "one copy of the ledger's head was damaged");
            }
            HeadFile::open(disk, dir, head)
        }
        None if files.segments.is_empty() => {
            let head = Head {
                ledger: random::identity(),
                generation: 0,
                first_sequence: 1,
                durable: Position { sequence: 0, digest: GENESIS },
                clean: false,
                written_at: now,
            };
            HeadFile::create(disk, dir, head)
        }
        None => {
            Err(Error::corrupt(&path, 0, "the head of a ledger that has segments is unreadable"))
        }
    }
}

fn open_segment(disk: &dyn Disk, path: &Path) -> Result<(Box<dyn DiskFile>, SegmentHeader), Error> {
    let file = disk.open(path).map_err(|error| Error::io("open", path, error))?;
    let header = read_header(file.as_ref()).map_err(|error| Error::io("read", path, error))?;
    let header = header.map_err(|defect| Error::corrupt(path, 0, defect))?;
    Ok((file, header))
}

fn check_header(
    path: &Path,
    header: &SegmentHeader,
    head: &Head,
    before: Option<&Segment>,
) -> Result<(), Error> {
    if header.ledger != head.ledger {
        return Err(Error::corrupt(path, 16, "the segment is of another ledger"));
    }
    if let Some(before) = before
        && (before.epoch >= header.epoch || before.first_sequence > header.first_sequence())
    {
        return Err(Error::corrupt(path, 32, "the segment is not in its place"));
    }
    Ok(())
}

/// Reads the last segment to its end.
fn find_tail(
    segments: &[Segment],
    file: Box<dyn DiskFile>,
    header: SegmentHeader,
    head: &Head,
) -> Result<Tail, Error> {
    let path = &segments.last().expect("the tail is that of a segment").path;
    let failed = |error| Error::io("read", path, error);
    let mut walk = Walk::new(file.as_ref(), &header);
    let mut open: OpenSet = header.open.iter().copied().collect();
    // The head names an end of a commit: if it lies in this segment, the digest must be met there.
    let mut known_met = head.durable.sequence < header.previous.sequence;
    let defect = loop {
        known_met |= walk.position == head.durable;
        match walk.next().map_err(failed)? {
            Ok(commit) => commit.frames.iter().for_each(|frame| follow(&mut open, frame)),
            Err(defect) => break defect,
        }
    };
    let behind = walk.behind().map_err(failed)?;
    let damaged = behind.durable_sequence > walk.position.sequence
        || walk.position.sequence < head.durable.sequence;
    if damaged {
        return Err(Error::corrupt(
            path,
            walk.offset,
            damage(&defect, head, walk.position.sequence),
        ));
    }
    if !known_met {
        return Err(Error::corrupt(path, 0, "the digest is not the one that the head has noted"));
    }
    if head.clean && walk.position != head.durable {
        return Err(Error::corrupt(path, walk.offset, "commits stand behind the noted end"));
    }
    let (offset, end) = (walk.offset, walk.position);
    let mut byte = [0];
    let last_byte = header.segment_bytes.saturating_sub(1);
    let is_short = file.read_full_at(&mut byte, last_byte).map_err(failed)? == 0;
    let torn_bytes = behind.end - offset;
    let is_older = header.version < VERSION;
    Ok(Tail { end, open, offset, torn_bytes, is_older, is_short, file })
}

fn damage(defect: &Defect, head: &Head, last_good: u64) -> String {
    let known = head.durable.sequence;
    format!("{defect}, though what follows sequence {last_good} was acknowledged (up to {known})")
}

/// Makes the ledger ready to be written: the active segment, and an outcome for every interaction
/// that has none.
pub(crate) fn resume(
    shared: &Arc<Shared>,
    tail: Option<Tail>,
) -> Result<(Appender, Recovery), Error> {
    let first_sequence = {
        let mut head = shared.head.lock().expect(LOCK);
        // Into both copies, so that a damaged one is whole again.
        head.write_both(|head| head.clean = false)?;
        head.head().first_sequence
    };
    drop_surplus(shared, first_sequence)?;
    let mut recovery = Recovery { first_sequence, ..Recovery::default() };
    let (active, end, open) = match tail {
        None => {
            let end = Position { sequence: 0, digest: GENESIS };
            (begin(shared, 1, end, &OpenSet::new())?, end, OpenSet::new())
        }
        Some(tail) => {
            recovery.truncated_bytes = tail.torn_bytes;
            let (end, open) = (tail.end, tail.open.clone());
            (go_on(shared, tail)?, end, open)
        }
    };
    shared.progress.advance(end);
    let mut appender = Appender::new(Arc::clone(shared), active, end, open)?;
    recovery.interrupted = interrupt(shared, &mut appender)?;
    recovery.last_sequence = appender.durable().sequence;
    Ok((appender, recovery))
}

/// Finishes a recycling that a crash cut short.
fn drop_surplus(shared: &Shared, first_sequence: u64) -> Result<(), Error> {
    loop {
        let surplus = {
            let mut segments = shared.segments.lock().expect(LOCK);
            match segments.get(1) {
                Some(next) if next.first_sequence <= first_sequence => segments.remove(0),
                _ => return Ok(()),
            }
        };
        discard(shared, &surplus)?;
    }
}

/// Goes on in the last segment. A torn end is left where it is, and a new segment begun: so what
/// was torn can never be mistaken for what comes after. So is one that an earlier version began.
fn go_on(shared: &Shared, tail: Tail) -> Result<Active, Error> {
    let segment = shared.segments.lock().expect(LOCK).last().expect("a tail has a segment").clone();
    let failed = |error| Error::io("go on in", &segment.path, error);
    if tail.is_short {
        tracing::warn!(path = %segment.path.display(), "the last segment was cut short; restored");
        let last_byte = segment.segment_bytes.saturating_sub(1);
        tail.file.write_all_at(&[0], last_byte).map_err(failed)?;
    }
    // What was read may be in memory only: a killed process leaves unsynced pages behind.
    tail.file.sync().map_err(failed)?;
    if tail.torn_bytes > 0 || tail.is_older {
        return begin(shared, segment.epoch + 1, tail.end, &tail.open);
    }
    let file = shared.open_to_append(&segment.path).map_err(failed)?;
    Ok(Active { file, segment, offset: tail.offset })
}

fn begin(shared: &Shared, epoch: u64, previous: Position, open: &OpenSet) -> Result<Active, Error> {
    let open = listed(open);
    let header = SegmentHeader {
        version: VERSION,
        ledger: shared.ledger,
        epoch,
        salt: random::word(),
        segment_bytes: shared.config.segment_bytes.max(header_bytes(open.len())),
        created_at: (shared.now)(),
        previous,
        open,
    };
    activate(shared, &header, &[])
}

/// Gives every interaction that is open the outcome `interrupted`, durably.
fn interrupt(shared: &Shared, appender: &mut Appender) -> Result<Vec<InteractionId>, Error> {
    let open = listed(appender.open_interactions());
    let interrupted: Vec<_> = open.into_iter().map(|(interaction, _)| interaction).collect();
    let closed_at = (shared.now)();
    let closed = Closed { closed_at, outcome: Outcome::Interrupted, ..Closed::default() };
    let record = Record::Closed(Box::new(closed));
    for some in interrupted.chunks(CLOSED_PER_COMMIT) {
        appender.begin();
        for interaction in some {
            appender.push(&record.clone().encode(*interaction));
        }
        appender.write()?;
    }
    appender.sync()?;
    Ok(interrupted)
}

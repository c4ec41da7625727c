//! Makes commits out of frames, in buffers that are used again.

use std::io;
use std::time::{Duration, Instant};

use event::{Frame, Timestamp};
use sha2::{Digest as _, Sha256};

use super::frame::Secret;
use super::{
    COMMIT_HEADER_BYTES, CommitHeader, FRAME_HEAD_BYTES, Position, VERSION, commit, frame,
};
use crate::random;

/// Level that keeps up with a disk.
pub(super) const ZSTD_LEVEL: i32 = 1;
/// Pieces of a large commit that are compressed to see whether the rest is worth it.
const PROBE_PIECES: usize = 4;
const PROBE_PIECE_BYTES: usize = 2 << 10;
/// Buffers larger than this are not kept.
const KEPT_BYTES: usize = 4 << 20;

/// Builds one commit at a time: `begin`, `push`…, `seal`.
pub(crate) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    /// Commits with fewer bytes are stored as they are; none: all are.
    compress_bytes_min: Option<usize>,
    budget: Budget,
    hasher: Sha256,
    previous: Position,
    frame_count: u32,
    secret: Secret,
    /// Room for the header, then the secret and the frames.
    raw: Vec<u8>,
    /// Room for the header, then the compressed body.
    packed: Vec<u8>,
    compressed: bool,
}

impl Encoder {
    pub(crate) fn new(compress_bytes_min: Option<usize>) -> io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            compress_bytes_min,
            budget: Budget::new(),
            hasher: Sha256::new(),
            previous: Position::default(),
            frame_count: 0,
            secret: Secret::default(),
            raw: Vec::new(),
            packed: Vec::new(),
            compressed: false,
        })
    }

    /// Starts the commit after `previous`.
    pub(crate) fn begin(&mut self, previous: Position) {
        self.previous = previous;
        self.hasher = commit::begin_digest(VERSION, previous);
        self.frame_count = 0;
        self.compressed = false;
        for buffer in [&mut self.raw, &mut self.packed] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
            buffer.clear();
            buffer.resize(COMMIT_HEADER_BYTES, 0);
        }
        self.secret = random::secret();
        self.raw.extend_from_slice(&self.secret);
    }

    /// Adds a frame and answers its sequence.
    pub(crate) fn push(&mut self, frame: &Frame) -> u64 {
        self.frame_count += 1;
        let sequence = self.previous.sequence + u64::from(self.frame_count);
        let head = frame::head(frame, sequence);
        let blind = frame::blind(&self.secret, sequence);
        frame::chain(&mut self.hasher, &head, &frame::leaf(Some(&blind), &frame.payload));
        self.raw.extend_from_slice(&head);
        self.raw.extend_from_slice(&frame.payload);
        sequence
    }

    /// Bytes of the commit as it would be without compression.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.raw.len() as u64
    }

    /// Compresses what was pushed if that pays. Answers the bytes the commit takes.
    pub(crate) fn pack(&mut self) -> u64 {
        let wanted = self.compress_bytes_min;
        if wanted.is_some_and(|min| self.raw.len() >= min) && self.budget.has_credit() {
            let started = Instant::now();
            self.compressed = self.pays() && self.compress();
            self.budget.spend(started.elapsed());
        }
        if self.compressed { self.packed.len() as u64 } else { self.raw.len() as u64 }
    }

    /// Finishes the commit for the segment it goes to. Call [`Encoder::pack`] before.
    pub(crate) fn seal(
        &mut self,
        epoch: u64,
        salt: u64,
        durable_sequence: u64,
        written_at: Timestamp,
    ) -> (Position, &mut Vec<u8>) {
        let raw_bytes = body_bytes(&self.raw);
        let digest = commit::end_digest(self.hasher.clone(), written_at);
        let commit = if self.compressed { &mut self.packed } else { &mut self.raw };
        let header = CommitHeader {
            version: VERSION,
            compressed: self.compressed,
            epoch,
            first_sequence: self.previous.sequence + 1,
            durable_sequence,
            written_at,
            frame_count: self.frame_count,
            raw_bytes,
            stored_bytes: body_bytes(commit),
            previous: self.previous.digest,
            digest,
            body_sum: crc32fast::hash(&commit[COMMIT_HEADER_BYTES..]),
        };
        commit[..COMMIT_HEADER_BYTES].copy_from_slice(&header.encode(salt));
        (header.end(), commit)
    }

    /// A guess from samples; a commit too small for samples is simply tried.
    fn pays(&mut self) -> bool {
        let body = &self.raw[COMMIT_HEADER_BYTES..];
        if body.len() < 4 * PROBE_PIECES * PROBE_PIECE_BYTES {
            return true;
        }
        let mut sample = Vec::with_capacity(PROBE_PIECES * PROBE_PIECE_BYTES);
        for piece in 0..PROBE_PIECES {
            let at = (body.len() - PROBE_PIECE_BYTES) / PROBE_PIECES * piece;
            sample.extend_from_slice(&body[at..at + PROBE_PIECE_BYTES]);
        }
        let packed = self.compressor.compress(&sample).map_or(usize::MAX, |packed| packed.len());
        packed < sample.len() / 8 * 7
    }

    fn compress(&mut self) -> bool {
        let body = &self.raw[COMMIT_HEADER_BYTES..];
        // One byte less than the body: what would not shrink fails early.
        self.packed.resize(COMMIT_HEADER_BYTES + body.len() - 1, 0);
        let packed =
            self.compressor.compress_to_buffer(body, &mut self.packed[COMMIT_HEADER_BYTES..]);
        match packed {
            Ok(length) => {
                self.packed.truncate(COMMIT_HEADER_BYTES + length);
                true
            }
            Err(_) => false,
        }
    }
}

/// How much of its time the writer may spend on compression: at most a sixty-fourth, so that under full
/// load it is throughput that counts, and else every byte.
struct Budget {
    credit: Duration,
    seen_at: Instant,
    /// What was spent beyond the credit, to be earned back first.
    debt: Duration,
}

impl Budget {
    /// One part in so many of the time that passes is credit.
    const PART: u32 = 64;
    const CREDIT_MAX: Duration = Duration::from_millis(50);

    fn new() -> Self {
        Self { credit: Self::CREDIT_MAX, seen_at: Instant::now(), debt: Duration::ZERO }
    }

    fn has_credit(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.seen_at) / Self::PART;
        self.seen_at = now;
        let paid = self.debt.min(earned);
        self.debt -= paid;
        self.credit = (self.credit + earned - paid).min(Self::CREDIT_MAX);
        !self.credit.is_zero()
    }

    fn spend(&mut self, time: Duration) {
        self.debt += time.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(time);
    }
}

/// Bytes that `frame` takes in a commit.
pub(crate) fn frame_bytes(frame: &Frame) -> usize {
    FRAME_HEAD_BYTES + frame.payload.len()
}

fn body_bytes(commit: &[u8]) -> u32 {
    u32::try_from(commit.len() - COMMIT_HEADER_BYTES).expect("a commit is at most 32 MiB")
}

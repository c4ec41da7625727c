//! How the ledger lies on disk, byte by byte: `FORMAT.md` in code. Integers are little-endian.
//!
//! A segment is a [`SegmentHeader`] and then commits back to back; a commit is a [`CommitHeader`]
//! and its body; a body, decompressed, is frames back to back, each a [`FrameHead`] and a payload.

mod commit;
mod encoder;
mod erase;
mod frame;
mod segment;

use std::fmt;

pub(crate) use commit::{COMMIT_HEADER_BYTES, CommitHeader, MAGIC, Stored, decode_body};
pub(crate) use encoder::{Encoder, frame_bytes};
pub(crate) use erase::erased;
pub(crate) use frame::{FRAME_HEAD_BYTES, StoredFrame};
pub(crate) use segment::{SEGMENT_FIXED_BYTES, SegmentHeader, header_bytes};

/// Version of everything described here; what earlier ones wrote is read.
pub const VERSION: u16 = 2;

/// Most bytes one append may bring, frame heads included.
pub(crate) const APPEND_BYTES_MAX: usize = 16 << 20;
/// Most bytes the frames of one commit take: the erased form of short frames is longer than they were.
pub(crate) const COMMIT_BYTES_MAX: usize = 2 * APPEND_BYTES_MAX;

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// The digest before the first commit.
pub(crate) const GENESIS: Digest = [0; 32];

/// A place in the chain: the last frame so far, and the digest of the commit it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) digest: Digest,
}

/// Why bytes are not what should stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// No commit begins here: the end, or bytes of an earlier use.
    Absent,
    /// The bytes end before the structure does.
    Short,
    /// A checksum is wrong.
    Sum(&'static str),
    /// A version we do not know.
    Version(u16),
    /// A field has a value it cannot have.
    Field(&'static str),
    /// The sequence does not continue.
    Sequence { expected: u64, found: u64 },
    /// The digest does not continue the chain.
    Chain,
    /// The digest is not that of the frames.
    Digest,
    /// The body does not decompress to what the header says.
    Compression,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no commit is here"),
            Self::Short => f.write_str("the file ends too early"),
            Self::Sum(what) => write!(f, "the checksum of the {what} is wrong"),
            Self::Version(version) => {
                write!(f, "format version {version} is unknown, this program knows {VERSION}")
            }
            Self::Field(what) => write!(f, "the {what} is impossible"),
            Self::Sequence { expected, found } => {
                write!(f, "sequence {expected} is expected, {found} is here")
            }
            Self::Chain => f.write_str("the digest does not continue the chain"),
            Self::Digest => f.write_str("the digest is not that of the frames"),
            Self::Compression => f.write_str("the body does not decompress"),
        }
    }
}

/// Reads fixed-size fields one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Defect::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Defect> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Defect> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Defect> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Defect> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Defect> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;

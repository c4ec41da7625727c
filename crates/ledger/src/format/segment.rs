//! The header of a segment: whose it is, where in the chain it begins, and what was open then.

use event::{InteractionId, Timestamp};

use super::{Defect, Fields, Position, VERSION};

const MAGIC: [u8; 8] = *b"GHLEDGER";
/// Bytes before the list of open interactions.
pub(crate) const SEGMENT_FIXED_BYTES: usize = 128;
const CRC_AT: usize = SEGMENT_FIXED_BYTES - 4;
const OPEN_BYTES: usize = 24;
/// More interactions than this cannot be open at once; a larger count is damage.
const OPEN_MAX: u32 = 4 << 20;

/// What stands at the beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Version of the format it was begun in.
    pub(crate) version: u16,
    /// Random identity of the ledger, the same in all its files.
    pub(crate) ledger: [u8; 16],
    /// Rises with every segment begun; bytes of an earlier use of the file carry a lower one.
    pub(crate) epoch: u64,
    /// Random; part of every commit header's checksum, so that no payload can pass for a commit.
    pub(crate) salt: u64,
    /// Length of the file.
    pub(crate) segment_bytes: u64,
    /// When it was begun.
    pub(crate) created_at: Timestamp,
    /// Where the chain stood then.
    pub(crate) previous: Position,
    /// Interactions open then, with the sequence of their `Opened`.
    pub(crate) open: Vec<(InteractionId, u64)>,
}

impl SegmentHeader {
    /// Bytes it takes, and so the offset of the first commit.
    pub(crate) fn bytes(&self) -> u64 {
        header_bytes(self.open.len())
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        self.previous.sequence + 1
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_FIXED_BYTES + OPEN_BYTES * self.open.len());
        let open = u32::try_from(self.open.len()).expect("far fewer are open than 2^32");
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&open.to_le_bytes());
        bytes.extend_from_slice(&self.ledger);
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.segment_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.created_at.unix_micros().to_le_bytes());
        bytes.extend_from_slice(&self.previous.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.previous.digest);
        bytes.resize(SEGMENT_FIXED_BYTES, 0);
        for (id, sequence) in &self.open {
            bytes.extend_from_slice(&id.to_bytes());
            bytes.extend_from_slice(&sequence.to_le_bytes());
        }
        let sum = sum(&bytes);
        bytes[CRC_AT..SEGMENT_FIXED_BYTES].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// How many bytes the header takes, from its first [`SEGMENT_FIXED_BYTES`].
    pub(crate) fn length(fixed: &[u8]) -> Result<usize, Defect> {
        let mut fields = Fields(fixed);
        if fields.take()? != MAGIC {
            return Err(Defect::Field("segment header's first word"));
        }
        let version = fields.u16()?;
        if !(1..=VERSION).contains(&version) {
            return Err(Defect::Version(version));
        }
        fields.u16()?;
        let open = fields.u32()?;
        if open > OPEN_MAX {
            return Err(Defect::Field("number of open interactions"));
        }
        Ok(SEGMENT_FIXED_BYTES + OPEN_BYTES * open as usize)
    }

    /// Reads it from all the bytes [`SegmentHeader::length`] asks for.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Defect> {
        let length = Self::length(bytes)?;
        let bytes = bytes.get(..length).ok_or(Defect::Short)?;
        let mut fields = Fields(&bytes[CRC_AT..]);
        if fields.u32()? != sum(bytes) {
            return Err(Defect::Sum("segment header"));
        }
        let version = Fields(&bytes[8..]).u16()?;
        let mut fields = Fields(&bytes[16..]);
        let ledger = fields.take()?;
        let epoch = fields.u64()?;
        let salt = fields.u64()?;
        let segment_bytes = fields.u64()?;
        let created_at = Timestamp::from_unix_micros(fields.i64()?);
        let previous = Position { sequence: fields.u64()?, digest: fields.take::<32>()? };
        if previous.sequence == u64::MAX {
            return Err(Defect::Field("first sequence"));
        }
        let mut open = Vec::with_capacity((length - SEGMENT_FIXED_BYTES) / OPEN_BYTES);
        let mut list = Fields(&bytes[SEGMENT_FIXED_BYTES..]);
        while !list.0.is_empty() {
            open.push((InteractionId::from_bytes(list.take()?), list.u64()?));
        }
        Ok(Self { version, ledger, epoch, salt, segment_bytes, created_at, previous, open })
    }
}

/// Bytes of a header with this many open interactions.
pub(crate) fn header_bytes(open: usize) -> u64 {
    (SEGMENT_FIXED_BYTES + OPEN_BYTES * open) as u64
}

/// The checksum over all but its own field.
fn sum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CRC_AT]);
    hasher.update(&bytes[SEGMENT_FIXED_BYTES..]);
    hasher.finalize()
}

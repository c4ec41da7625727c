//! A commit: frames that became durable together, checksummed and chained to the commit before.

use bytes::Bytes;
use event::Timestamp;
use sha2::{Digest as _, Sha256};

use super::frame::{RawFrame, SECRET_BYTES, Secret};
use super::{
    COMMIT_BYTES_MAX, Defect, Digest, FRAME_HEAD_BYTES, Fields, Position, StoredFrame, VERSION,
};

/// The first bytes of every commit; a digit follows, the version.
pub(crate) const MAGIC: [u8; 3] = *b"GHC";
/// Bytes before the body.
pub(crate) const COMMIT_HEADER_BYTES: usize = 128;
const CRC_AT: usize = COMMIT_HEADER_BYTES - 4;
const COMPRESSED: u16 = 1;
/// Begins every commit's digest, so that it can stand for nothing else; the version and a zero follow.
const DOMAIN: &[u8] = b"gatehouse ledger commit ";

/// What stands before the body of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitHeader {
    /// Version of the format it was written in.
    pub(crate) version: u16,
    /// The body is zstd.
    pub(crate) compressed: bool,
    /// Epoch of its segment.
    pub(crate) epoch: u64,
    /// Sequence of its first frame.
    pub(crate) first_sequence: u64,
    /// Last sequence known to be on disk when it was written: a bad commit at or below it is damage.
    pub(crate) durable_sequence: u64,
    pub(crate) written_at: Timestamp,
    pub(crate) frame_count: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) stored_bytes: u32,
    pub(crate) previous: Digest,
    pub(crate) digest: Digest,
    pub(crate) body_sum: u32,
}

/// A commit as read: its header, the body as it lies on disk, and the frames in it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) header: CommitHeader,
    pub(crate) offset: u64,
    pub(crate) body: Bytes,
    pub(crate) frames: Vec<StoredFrame>,
}

impl CommitHeader {
    pub(crate) fn last_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.frame_count) - 1
    }

    pub(crate) fn end(&self) -> Position {
        Position { sequence: self.last_sequence(), digest: self.digest }
    }

    /// Its leaves are blinded, and their secret stands before its frames.
    pub(crate) fn is_blinded(&self) -> bool {
        self.version > 1
    }

    /// Bytes of the whole commit.
    pub(crate) fn bytes(&self) -> u64 {
        COMMIT_HEADER_BYTES as u64 + u64::from(self.stored_bytes)
    }

    pub(crate) fn encode(&self, salt: u64) -> [u8; COMMIT_HEADER_BYTES] {
        let mut bytes = [0; COMMIT_HEADER_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&MAGIC);
        put(&[digit(self.version)]);
        put(&if self.compressed { COMPRESSED } else { 0 }.to_le_bytes());
        put(&[0; 2]);
        put(&self.epoch.to_le_bytes());
        put(&self.first_sequence.to_le_bytes());
        put(&self.durable_sequence.to_le_bytes());
        put(&self.written_at.unix_micros().to_le_bytes());
        put(&self.frame_count.to_le_bytes());
        put(&[0; 4]);
        put(&self.raw_bytes.to_le_bytes());
        put(&self.stored_bytes.to_le_bytes());
        put(&self.previous);
        put(&self.digest);
        put(&self.body_sum.to_le_bytes());
        let sum = sum(&bytes, salt);
        bytes[CRC_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header. [`Defect::Absent`] where no commit of any age begins.
    pub(crate) fn decode(bytes: &[u8; COMMIT_HEADER_BYTES], salt: u64) -> Result<Self, Defect> {
        let mut fields = Fields(bytes);
        let magic: [u8; 3] = fields.take()?;
        let version = u16::from(fields.byte()?.wrapping_sub(b'0'));
        if magic != MAGIC || !(1..=VERSION).contains(&version) {
            return Err(Defect::Absent);
        }
        if Fields(&bytes[CRC_AT..]).u32()? != sum(bytes, salt) {
            return Err(Defect::Sum("commit header"));
        }
        let flags = fields.u16()?;
        let reserved = fields.u16()?;
        let epoch = fields.u64()?;
        let first_sequence = fields.u64()?;
        let durable_sequence = fields.u64()?;
        let written_at = Timestamp::from_unix_micros(fields.i64()?);
        let frame_count = fields.u32()?;
        let key_id = fields.u32()?;
        let header = Self {
            version,
            compressed: flags == COMPRESSED,
            epoch,
            first_sequence,
            durable_sequence,
            written_at,
            frame_count,
            raw_bytes: fields.u32()?,
            stored_bytes: fields.u32()?,
            previous: fields.take()?,
            digest: fields.take()?,
            body_sum: fields.u32()?,
        };
        if flags & !COMPRESSED != 0 || reserved != 0 || key_id != 0 {
            return Err(Defect::Field("set of commit flags"));
        }
        header.check()
    }

    fn check(self) -> Result<Self, Defect> {
        let raw = self.raw_bytes as usize;
        let secret = if self.is_blinded() { SECRET_BYTES } else { 0 };
        let heads = (self.frame_count as usize).saturating_mul(FRAME_HEAD_BYTES);
        if self.frame_count == 0 || heads.saturating_add(secret) > raw {
            return Err(Defect::Field("number of frames"));
        }
        if raw > COMMIT_BYTES_MAX || self.stored_bytes > self.raw_bytes {
            return Err(Defect::Field("length of a commit"));
        }
        if !self.compressed && self.stored_bytes != self.raw_bytes {
            return Err(Defect::Field("length of a commit"));
        }
        let last = self.first_sequence.checked_add(u64::from(self.frame_count));
        if self.first_sequence == 0 || last.is_none() {
            return Err(Defect::Field("first sequence of a commit"));
        }
        Ok(self)
    }
}

fn digit(version: u16) -> u8 {
    b'0' + u8::try_from(version).expect("versions are single digits")
}

/// Starts the digest of a commit.
pub(crate) fn begin_digest(version: u16, previous: Position) -> Sha256 {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update([digit(version), 0]);
    hasher.update(previous.digest);
    hasher.update((previous.sequence + 1).to_le_bytes());
    hasher
}

/// Ends the digest of a commit, over its time too.
pub(crate) fn end_digest(mut hasher: Sha256, written_at: Timestamp) -> Digest {
    hasher.update(written_at.unix_micros().to_le_bytes());
    hasher.finalize().into()
}

/// Checks the body against its checksum and takes the frames out of it; with `chain`, also that
/// the digest is theirs.
pub(crate) fn decode_body(
    header: &CommitHeader,
    body: &Bytes,
    chain: bool,
) -> Result<Vec<StoredFrame>, Defect> {
    let mut opener = Opener::new(header, body)?;
    let previous = Position { sequence: header.first_sequence - 1, digest: header.previous };
    let mut hasher = chain.then(|| begin_digest(header.version, previous));
    let mut frames = Vec::with_capacity(header.frame_count as usize);
    for sequence in header.first_sequence..=header.last_sequence() {
        let frame = opener.next()?;
        let found = frame.stored().sequence;
        if found != sequence {
            return Err(Defect::Sequence { expected: sequence, found });
        }
        if let Some(hasher) = &mut hasher {
            frame.chain(hasher)?;
        }
        frames.push(frame.into_stored());
    }
    if !opener.rest.is_empty() {
        return Err(Defect::Field("length of the frames"));
    }
    match hasher.map(|hasher| end_digest(hasher, header.written_at)) {
        Some(digest) if digest != header.digest => Err(Defect::Digest),
        _ => Ok(frames),
    }
}

/// Takes frames out of a body that has the right checksum.
pub(super) struct Opener {
    rest: Bytes,
    secret: Option<Secret>,
}

impl Opener {
    pub(super) fn new(header: &CommitHeader, body: &Bytes) -> Result<Self, Defect> {
        if crc32fast::hash(body) != header.body_sum {
            return Err(Defect::Sum("commit body"));
        }
        let mut rest = if header.compressed {
            let raw = zstd::bulk::decompress(body, header.raw_bytes as usize)
                .map_err(|_| Defect::Compression)?;
            Bytes::from(raw)
        } else {
            body.clone()
        };
        if rest.len() != header.raw_bytes as usize {
            return Err(Defect::Compression);
        }
        let secret = if header.is_blinded() {
            let secret = Fields(&rest).take()?;
            rest = rest.split_off(SECRET_BYTES);
            Some(secret)
        } else {
            None
        };
        Ok(Self { rest, secret })
    }

    pub(super) fn next(&mut self) -> Result<RawFrame, Defect> {
        RawFrame::take(&mut self.rest, self.secret.as_ref())
    }
}

/// The checksum over the salt and all but its own field.
fn sum(bytes: &[u8; COMMIT_HEADER_BYTES], salt: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&bytes[..CRC_AT]);
    hasher.finalize()
}

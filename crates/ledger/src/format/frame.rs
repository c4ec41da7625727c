//! A frame: a head of fixed size and a payload.

use bytes::Bytes;
use event::{Frame, InteractionId, Kind};
use sha2::{Digest as _, Sha256};

use super::{Defect, Digest, Fields};

/// Bytes before the payload.
pub(crate) const FRAME_HEAD_BYTES: usize = 36;
/// Bytes of a commit's secret and of a frame's blind.
pub(crate) const SECRET_BYTES: usize = 16;
/// The payload was erased: its leaf stands in its place.
pub(super) const ERASED: u8 = 1;
/// The blind stands before the payload, as the secret that it came from is gone.
pub(super) const BLIND: u8 = 2;
const FLAGS: u8 = ERASED | BLIND;
const FLAGS_AT: usize = 5;

/// What a commit's blinds are derived from: random, and gone once a frame of the commit is erased.
pub(crate) type Secret = [u8; SECRET_BYTES];
/// Stands before a payload in its leaf, so that nobody can find a payload by guessing.
pub(super) type Blind = [u8; SECRET_BYTES];

/// A frame as it stands in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFrame {
    pub(crate) sequence: u64,
    pub(crate) interaction: InteractionId,
    /// A [`Kind`], or a byte that a later version means something by.
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Bytes of the payload, erased or not.
    pub(crate) length: u32,
    /// Empty if the frame was erased.
    pub(crate) payload: Bytes,
}

impl StoredFrame {
    /// As it will stand in its commit.
    pub(crate) fn new(frame: &Frame, sequence: u64) -> Self {
        let Frame { interaction, kind, payload } = frame.clone();
        let length = payload_bytes(frame);
        Self { sequence, interaction, kind: kind as u8, flags: 0, length, payload }
    }

    /// What was appended, if this version knows its kind.
    pub(crate) fn frame(&self) -> Option<Frame> {
        let kind = Kind::from_byte(self.kind)?;
        Some(Frame { interaction: self.interaction, kind, payload: self.payload.clone() })
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.flags & ERASED != 0
    }
}

/// The head of `frame`; key id and flags are room for encryption and erasure.
pub(crate) fn head(frame: &Frame, sequence: u64) -> [u8; FRAME_HEAD_BYTES] {
    let length = payload_bytes(frame);
    let mut head = [0; FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = frame.kind as u8;
    head[12..28].copy_from_slice(&frame.interaction.to_bytes());
    head[28..].copy_from_slice(&sequence.to_le_bytes());
    head
}

fn payload_bytes(frame: &Frame) -> u32 {
    u32::try_from(frame.payload.len()).expect("an append is at most 16 MiB")
}

/// The blind of the frame with this sequence.
pub(crate) fn blind(secret: &Secret, sequence: u64) -> Blind {
    let mut hasher = Sha256::new();
    hasher.update(secret);
    hasher.update(sequence.to_le_bytes());
    let digest: Digest = hasher.finalize().into();
    *digest.first_chunk().expect("a digest is longer than a blind")
}

/// The hash that stands for a payload in the chain, whether the payload is there or erased. In format 1 there
/// are no blinds.
pub(crate) fn leaf(blind: Option<&Blind>, payload: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    if let Some(blind) = blind {
        hasher.update(blind);
    }
    hasher.update(payload);
    hasher.finalize().into()
}

/// Adds a frame to the digest of its commit. Erasure must not change it, so its flags are left out.
pub(crate) fn chain(hasher: &mut Sha256, head: &[u8], leaf: &Digest) {
    hasher.update(&head[..FLAGS_AT]);
    hasher.update([head[FLAGS_AT] & !FLAGS]);
    hasher.update(&head[FLAGS_AT + 1..FRAME_HEAD_BYTES]);
    hasher.update(leaf);
}

/// A frame with what stands around its payload.
pub(super) struct RawFrame {
    head: Bytes,
    /// What its blind is derived from: none in format 1.
    secret: Option<Secret>,
    /// Its blind, where it stands before the payload.
    told: Option<Blind>,
    /// The payload, or the leaf in its place.
    content: Bytes,
    frame: StoredFrame,
}

impl RawFrame {
    /// Takes the next frame off `body`.
    pub(super) fn take(body: &mut Bytes, secret: Option<&Secret>) -> Result<Self, Defect> {
        if body.len() < FRAME_HEAD_BYTES {
            return Err(Defect::Field("length of the frames"));
        }
        let head = body.split_to(FRAME_HEAD_BYTES);
        let mut fields = Fields(&head);
        let length = fields.u32()?;
        let kind = fields.byte()?;
        let flags = fields.byte()?;
        if flags & !FLAGS != 0 || flags == FLAGS || (flags == BLIND && secret.is_none()) {
            return Err(Defect::Field("set of frame flags"));
        }
        if fields.u16()? != 0 || fields.u32()? != 0 {
            return Err(Defect::Field("reserved part of a frame head"));
        }
        let interaction = InteractionId::from_bytes(fields.take()?);
        let sequence = fields.u64()?;
        let mut take = |count: usize| {
            let is_there = body.len() >= count;
            is_there.then(|| body.split_to(count)).ok_or(Defect::Field("length of a frame"))
        };
        let is_erased = flags & ERASED != 0;
        let told = match flags {
            BLIND => Some(Fields(&take(SECRET_BYTES)?).take()?),
            _ => None,
        };
        let content = take(if is_erased { size_of::<Digest>() } else { length as usize })?;
        let payload = if is_erased { Bytes::new() } else { content.clone() };
        let frame = StoredFrame { sequence, interaction, kind, flags, length, payload };
        Ok(Self { head, secret: secret.copied(), told, content, frame })
    }

    pub(super) fn stored(&self) -> &StoredFrame {
        &self.frame
    }

    pub(super) fn into_stored(self) -> StoredFrame {
        self.frame
    }

    fn leaf(&self) -> Result<Digest, Defect> {
        if self.frame.is_erased() {
            return Fields(&self.content).take();
        }
        Ok(leaf(self.blind().as_ref(), &self.content))
    }

    /// None in format 1. Derived only when it is needed: it is a hash.
    fn blind(&self) -> Option<Blind> {
        self.told.or_else(|| Some(blind(self.secret.as_ref()?, self.frame.sequence)))
    }

    /// Adds it to the digest of its commit.
    pub(super) fn chain(&self, hasher: &mut Sha256) -> Result<(), Defect> {
        chain(hasher, &self.head, &self.leaf()?);
        Ok(())
    }

    /// Writes it as it stands in a commit without a secret, its payload erased or not.
    pub(super) fn put(&self, body: &mut Vec<u8>, is_erased: bool) -> Result<(), Defect> {
        let is_erased = is_erased || self.frame.is_erased();
        let blind = if is_erased { None } else { self.blind() };
        let at = body.len();
        body.extend_from_slice(&self.head);
        body[at + FLAGS_AT] = match (is_erased, blind) {
            (true, _) => ERASED,
            (false, Some(_)) => BLIND,
            (false, None) => 0,
        };
        if is_erased {
            body.extend_from_slice(&self.leaf()?);
        } else {
            body.extend_from_slice(blind.as_ref().map_or(&[], |blind| blind.as_slice()));
            body.extend_from_slice(&self.content);
        }
        Ok(())
    }
}

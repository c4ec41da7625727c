//! A frame: a head of fixed size and a payload.

use bytes::Bytes;
use event::{Frame, InteractionId, Kind};
use sha2::{Digest as _, Sha256};

use super::{Defect, Digest, Fields};

/// Bytes before the payload.
pub(crate) const FRAME_HEAD_BYTES: usize = 36;
/// The payload was erased: its leaf hash stands in its place.
pub(crate) const ERASED: u8 = 1;
const FLAGS_AT: usize = 5;

/// A frame as it stands in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFrame {
    pub(crate) sequence: u64,
    pub(crate) interaction: InteractionId,
    /// A [`Kind`], or a byte that a later version means something by.
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Empty if the frame was erased.
    pub(crate) payload: Bytes,
}

impl StoredFrame {
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
    let length = u32::try_from(frame.payload.len()).expect("an append is at most 16 MiB");
    let mut head = [0; FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = frame.kind as u8;
    head[12..28].copy_from_slice(&frame.interaction.to_bytes());
    head[28..].copy_from_slice(&sequence.to_le_bytes());
    head
}

/// The hash that stands for a payload in the chain, whether the payload is there or erased.
pub(crate) fn leaf(payload: &[u8]) -> Digest {
    Sha256::digest(payload).into()
}

/// Adds a frame to the digest of its commit. Erasure must not change it, so that flag is left out.
pub(crate) fn chain(hasher: &mut Sha256, head: &[u8], leaf: &Digest) {
    hasher.update(&head[..FLAGS_AT]);
    hasher.update([head[FLAGS_AT] & !ERASED]);
    hasher.update(&head[FLAGS_AT + 1..FRAME_HEAD_BYTES]);
    hasher.update(leaf);
}

/// Takes the next frame off `body`, and adds it to `hasher` if there is one.
pub(crate) fn decode(body: &mut Bytes, hasher: Option<&mut Sha256>) -> Result<StoredFrame, Defect> {
    if body.len() < FRAME_HEAD_BYTES {
        return Err(Defect::Field("length of the frames"));
    }
    let head = body.split_to(FRAME_HEAD_BYTES);
    let mut fields = Fields(&head);
    let length = fields.u32()? as usize;
    let kind = fields.byte()?;
    let flags = fields.byte()?;
    if flags & !ERASED != 0 {
        return Err(Defect::Field("set of frame flags"));
    }
    if fields.u16()? != 0 || fields.u32()? != 0 {
        return Err(Defect::Field("reserved part of a frame head"));
    }
    let interaction = InteractionId::from_bytes(fields.take()?);
    let sequence = fields.u64()?;
    let erased = flags & ERASED != 0;
    let stored = if erased { size_of::<Digest>() } else { length };
    if body.len() < stored {
        return Err(Defect::Field("length of a frame"));
    }
    let mut payload = body.split_to(stored);
    if let Some(hasher) = hasher {
        let leaf = if erased { Fields(&payload).take()? } else { leaf(&payload) };
        chain(hasher, &head, &leaf);
    }
    if erased {
        payload = Bytes::new();
    }
    Ok(StoredFrame { sequence, interaction, kind, flags, payload })
}

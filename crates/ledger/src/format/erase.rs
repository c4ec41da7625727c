//! A commit without some of its payloads: their leaves take their place, and every digest stays as it is.

use bytes::Bytes;

use super::commit::{CommitHeader, Opener, Stored};
use super::encoder::ZSTD_LEVEL;
use super::frame::{RawFrame, SECRET_BYTES, StoredFrame};
use super::{COMMIT_BYTES_MAX, Defect};

/// The commit as it is once the frames that `wanted` names are erased. Its secret goes too: frames that stay
/// have their own blind.
pub(crate) fn erased(
    commit: &Stored,
    wanted: impl Fn(&StoredFrame) -> bool,
) -> Result<(CommitHeader, Bytes), Defect> {
    let mut opener = Opener::new(&commit.header, &commit.body)?;
    let mut raw = Vec::with_capacity(commit.header.raw_bytes as usize);
    if commit.header.is_blinded() {
        raw.extend_from_slice(&[0; SECRET_BYTES]);
    }
    for _ in 0..commit.header.frame_count {
        let frame: RawFrame = opener.next()?;
        frame.put(&mut raw, wanted(frame.stored()))?;
    }
    if raw.len() > COMMIT_BYTES_MAX {
        return Err(Defect::Field("length of a commit"));
    }
    let mut header = commit.header.clone();
    header.raw_bytes = length(&raw);
    let packed = commit.header.compressed.then(|| zstd::bulk::compress(&raw, ZSTD_LEVEL));
    let packed = packed.and_then(Result::ok).filter(|packed| packed.len() < raw.len());
    header.compressed = packed.is_some();
    let body = packed.unwrap_or(raw);
    header.stored_bytes = length(&body);
    header.body_sum = crc32fast::hash(&body);
    Ok((header, body.into()))
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a commit is at most 32 MiB")
}

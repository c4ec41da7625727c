//! Entry points for fuzzing: whatever the bytes, they return; what they allocate is bounded by the
//! length of the input and the 32 MiB that a commit may hold.

use crate::format::{COMMIT_HEADER_BYTES, CommitHeader, SegmentHeader, decode_body};
use crate::head;
use crate::walk::{Walk, read_header};

/// Decodes bytes as a segment; answers how many frames the walk got before its end.
pub fn segment(bytes: &[u8]) -> u64 {
    let Ok(Ok(header)) = read_header(bytes) else { return 0 };
    let mut walk = Walk::new(bytes, &header);
    let mut frames = 0;
    while let Ok(Ok(commit)) = walk.next() {
        frames += commit.frames.len() as u64;
    }
    let _ = walk.behind();
    frames
}

/// Decodes bytes as the body of a commit whose header is made to fit: reaches what a checksum
/// would keep arbitrary bytes from. The first byte says whether it is compressed, and in which format.
pub fn body(bytes: &[u8]) -> u64 {
    let Some((first, body)) = bytes.split_first() else { return 0 };
    let Ok(stored_bytes) = u32::try_from(body.len()) else { return 0 };
    let compressed = first & 1 == 1;
    let raw_bytes = if compressed { stored_bytes.saturating_mul(4) } else { stored_bytes };
    let header = CommitHeader {
        version: 1 + u16::from(first >> 7),
        compressed,
        epoch: 1,
        first_sequence: 1,
        durable_sequence: 0,
        written_at: event::Timestamp::default(),
        frame_count: u32::from((first >> 1) & 0x3F) + 1,
        raw_bytes: raw_bytes.min(32 << 20),
        stored_bytes,
        previous: [0; 32],
        digest: [0; 32],
        body_sum: crc32fast::hash(body),
    };
    let body = bytes::Bytes::copy_from_slice(body);
    decode_body(&header, &body, false).map_or(0, |frames| frames.len() as u64)
}

/// Decodes bytes as a commit header, a segment header and a head file.
pub fn headers(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk::<COMMIT_HEADER_BYTES>() {
        let _ = CommitHeader::decode(header, 0);
    }
    let _ = SegmentHeader::decode(bytes);
    let _ = head::read(bytes);
}

//! What is encoded is decoded again, and nothing else is.

use bytes::Bytes;
use event::{Frame, InteractionId, Kind, Timestamp};
use proptest::prelude::*;

use super::frame::SECRET_BYTES;
use super::*;

const SALT: u64 = 0x5A17;

fn frame(kind: Kind, payload: Vec<u8>) -> Frame {
    Frame { interaction: InteractionId::from_bytes([3; 16]), kind, payload: payload.into() }
}

fn encode(frames: &[Frame], compress_bytes_min: Option<usize>) -> (CommitHeader, Bytes) {
    let mut encoder = Encoder::new(compress_bytes_min).unwrap();
    encoder.begin(Position { sequence: 41, digest: [9; 32] });
    for frame in frames {
        encoder.push(frame);
    }
    let length = encoder.pack();
    let (_, commit) = encoder.seal(7, SALT, 40, Timestamp::from_unix_micros(5));
    assert_eq!(commit.len() as u64, length);
    let header = CommitHeader::decode(commit.first_chunk().unwrap(), SALT).unwrap();
    (header, Bytes::copy_from_slice(&commit[COMMIT_HEADER_BYTES..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn commits_survive(
        payloads in prop::collection::vec(prop::collection::vec(0..4_u8, 0..600), 1..20),
        compress: bool,
    ) {
        let frames: Vec<_> =
            payloads.into_iter().map(|payload| frame(Kind::RequestChunk, payload)).collect();
        let (header, body) = encode(&frames, compress.then_some(100));
        let decoded = decode_body(&header, &body, true).unwrap();
        prop_assert_eq!(decoded.len(), frames.len());
        for (index, (stored, frame)) in decoded.iter().zip(&frames).enumerate() {
            prop_assert_eq!(stored.sequence, 42 + index as u64);
            prop_assert_eq!(&stored.frame().unwrap(), frame);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        crate::fuzzing::headers(&bytes);
        crate::fuzzing::body(&bytes);
        prop_assert_eq!(crate::fuzzing::segment(&bytes), 0);
    }

    #[test]
    fn segments_with_changed_bytes_are_walked_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = segment();
        let frames = crate::fuzzing::segment(&bytes);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert!(crate::fuzzing::segment(&bytes) <= frames);
    }
}

/// A whole segment of two commits.
fn segment() -> Vec<u8> {
    let header = SegmentHeader {
        version: VERSION,
        ledger: [1; 16],
        epoch: 7,
        salt: SALT,
        segment_bytes: 4096,
        created_at: Timestamp::from_unix_micros(1),
        previous: Position { sequence: 41, digest: [9; 32] },
        open: vec![(InteractionId::from_bytes([8; 16]), 12)],
    };
    let mut bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    let mut encoder = Encoder::new(None).unwrap();
    let mut previous = Position { sequence: 41, digest: [9; 32] };
    for _ in 0..2 {
        encoder.begin(previous);
        encoder.push(&frame(Kind::RequestChunk, b"abc".to_vec()));
        encoder.push(&frame(Kind::ResponseChunk, vec![1; 300]));
        encoder.pack();
        let (end, commit) = encoder.seal(7, SALT, 40, Timestamp::from_unix_micros(5));
        bytes.extend_from_slice(commit);
        previous = end;
    }
    bytes.resize(4096, 0);
    bytes
}

#[test]
fn a_segment_is_walked_to_its_end() {
    assert_eq!(crate::fuzzing::segment(&segment()), 4);
}

#[test]
fn a_commit_header_of_another_segment_or_version_is_none() {
    let (header, _) = encode(&[frame(Kind::Opened, vec![])], None);
    let bytes = header.encode(SALT);
    assert_eq!(CommitHeader::decode(&bytes, SALT), Ok(header.clone()));
    assert_eq!(CommitHeader::decode(&bytes, SALT + 1), Err(Defect::Sum("commit header")));
    let mut newer = bytes;
    newer[3] = b'0' + VERSION as u8 + 1;
    assert_eq!(CommitHeader::decode(&newer, SALT), Err(Defect::Absent));
}

#[test]
fn a_newer_segment_is_named_as_such() {
    let mut bytes = segment();
    bytes[8] = 3;
    assert_eq!(SegmentHeader::decode(&bytes), Err(Defect::Version(3)));
    assert!(Defect::Version(3).to_string().contains("version 3"));
}

/// The commit without the payloads of `Kind::ResponseChunk`, as it would be read.
fn without_answers(header: &CommitHeader, body: &Bytes) -> (CommitHeader, Bytes) {
    let frames = decode_body(header, body, true).unwrap();
    let commit = Stored { header: header.clone(), offset: 0, body: body.clone(), frames };
    let (header, body) = erased(&commit, |frame| frame.kind == Kind::ResponseChunk as u8).unwrap();
    (CommitHeader::decode(&header.encode(SALT), SALT).unwrap(), body)
}

#[test]
fn a_payload_can_be_erased_and_the_chain_still_holds() {
    let kept = frame(Kind::RequestChunk, b"kept".to_vec());
    let secret = frame(Kind::ResponseChunk, b"to be forgotten".to_vec());
    let end = frame(Kind::Closed, Vec::new());
    for compress in [None, Some(0)] {
        let (before, body) = encode(&[kept.clone(), secret.clone(), end.clone()], compress);
        let (header, body) = without_answers(&before, &body);
        assert_eq!(header.digest, before.digest);
        let frames = decode_body(&header, &body, true).unwrap();
        assert!(frames[1].is_erased() && frames[1].payload.is_empty());
        assert_eq!(frames[0].frame(), Some(kept.clone()));
        assert_eq!(frames[2].frame(), Some(end.clone()));
        // Once more changes nothing, and what is left can still be erased later.
        assert_eq!(without_answers(&header, &body), (header, body));
    }
}

#[test]
fn what_is_left_of_an_erased_payload_cannot_be_guessed() {
    let secret = frame(Kind::ResponseChunk, b"yes".to_vec());
    let (before, whole) = encode(&[secret.clone(), frame(Kind::Closed, Vec::new())], None);
    let (_, body) = without_answers(&before, &whole);
    assert_eq!(body[..SECRET_BYTES], [0; SECRET_BYTES], "the secret went with the payload");
    let leaf = &body[SECRET_BYTES + FRAME_HEAD_BYTES..][..32];
    assert_ne!(leaf, frame::leaf(None, b"yes"));
    let known: [u8; SECRET_BYTES] = *whole.first_chunk().unwrap();
    assert_eq!(leaf, frame::leaf(Some(&frame::blind(&known, 42)), b"yes"), "only with the secret");
    // The same text twice leaves no two leaves that are alike.
    let (again, whole) = encode(&[secret, frame(Kind::Closed, Vec::new())], None);
    let (_, other) = without_answers(&again, &whole);
    assert_ne!(leaf, &other[SECRET_BYTES + FRAME_HEAD_BYTES..][..32]);
}

#[test]
fn a_wrong_leaf_and_a_wrong_blind_are_found() {
    let frames = [frame(Kind::ResponseChunk, vec![7; 40]), frame(Kind::RequestChunk, vec![8; 40])];
    let (header, body) = encode(&frames, None);
    let (header, body) = without_answers(&header, &body);
    let leaf_at = SECRET_BYTES + FRAME_HEAD_BYTES;
    for at in [leaf_at, leaf_at + 32 + FRAME_HEAD_BYTES] {
        let mut wrong = body.to_vec();
        wrong[at] ^= 1;
        header_with(&header, &wrong, Err(Defect::Digest));
    }
    for (flags, at) in [(3, leaf_at - 31), (4, leaf_at - 31)] {
        let mut wrong = body.to_vec();
        wrong[at] = flags;
        header_with(&header, &wrong, Err(Defect::Field("set of frame flags")));
    }
}

fn header_with(header: &CommitHeader, body: &[u8], expected: Result<(), Defect>) {
    let header = CommitHeader { body_sum: crc32fast::hash(body), ..header.clone() };
    let decoded = decode_body(&header, &Bytes::copy_from_slice(body), true);
    assert_eq!(decoded.map(|_| ()), expected);
}

#[test]
fn impossible_lengths_are_refused() {
    let (header, body) = encode(&[frame(Kind::Opened, vec![1; 10])], None);
    let wrong = [
        CommitHeader { frame_count: 0, ..header.clone() },
        CommitHeader { frame_count: 2, ..header.clone() },
        CommitHeader { raw_bytes: 33 << 20, stored_bytes: 33 << 20, ..header.clone() },
        CommitHeader { stored_bytes: header.stored_bytes - 1, ..header.clone() },
        CommitHeader { first_sequence: 0, ..header.clone() },
        CommitHeader { first_sequence: u64::MAX, ..header.clone() },
    ];
    for header in wrong {
        let decoded = CommitHeader::decode(&header.encode(SALT), SALT);
        assert!(matches!(decoded, Err(Defect::Field(_))), "{decoded:?}");
    }
    let mut longer = body.to_vec();
    longer[SECRET_BYTES] += 1;
    header_with(&header, &longer, Err(Defect::Field("length of a frame")));
}

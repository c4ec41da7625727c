//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Closed, Frame, InteractionId, Kind, Opened, Outcome, Record, Timestamp};

use crate::fault::FaultyDisk;
use crate::{Durability, Entry, Ledger, LedgerConfig, Recovery};

pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn small() -> LedgerConfig {
    LedgerConfig { segment_bytes: 32 << 10, queue_bytes_max: 1 << 20, ..LedgerConfig::default() }
}

/// As small as can be, and no files written in advance: for tests that open very often.
pub(super) fn tiny() -> LedgerConfig {
    LedgerConfig { segment_bytes: 4 << 10, spare_segments: 0, ..small() }
}

pub(super) fn relaxed() -> LedgerConfig {
    let durability = Durability::Relaxed;
    LedgerConfig { durability, relaxed_interval_ms: 60_000, ..small() }
}

pub(super) fn noon() -> Timestamp {
    Timestamp::from_unix_micros(1_750_000_000_000_000)
}

pub(super) fn open(dir: &Path, config: &LedgerConfig) -> (Ledger, Recovery) {
    Ledger::open(dir, config.clone(), noon).expect("it opens")
}

pub(super) fn open_on(disk: &FaultyDisk, dir: &Path, config: &LedgerConfig) -> (Ledger, Recovery) {
    Ledger::open_on(Arc::new(disk.clone()), dir, config.clone(), noon).expect("it opens")
}

pub(super) fn id(number: u64) -> InteractionId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    InteractionId::from_bytes(bytes)
}

pub(super) fn opened(number: u64) -> Frame {
    Record::Opened(Box::new(Opened { method: "POST".into(), ..Opened::default() }))
        .encode(id(number))
}

pub(super) fn closed(number: u64) -> Frame {
    Record::Closed(Box::default()).encode(id(number))
}

pub(super) fn interrupted(number: u64) -> Frame {
    let closed = Closed { closed_at: noon(), outcome: Outcome::Interrupted, ..Closed::default() };
    Record::Closed(Box::new(closed)).encode(id(number))
}

/// A piece of a body whose bytes do not compress.
pub(super) fn chunk(number: u64, bytes: usize) -> Frame {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let payload: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    })
    .take(bytes)
    .collect();
    Frame { interaction: id(number), kind: Kind::ResponseChunk, payload: payload.into() }
}

/// All that can be read from `from` on.
pub(super) fn read_from(ledger: &Ledger, from: u64) -> Vec<Entry> {
    let mut reader = ledger.reader(from).expect("it can be read from there");
    std::iter::from_fn(|| reader.next(Duration::ZERO).expect("it reads")).collect()
}

pub(super) fn frames(ledger: &Ledger) -> Vec<Frame> {
    let entries = read_from(ledger, 0);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.sequence, entries[0].sequence + index as u64);
    }
    entries.into_iter().map(|entry| entry.frame).collect()
}

/// Appends and waits until it is durable.
pub(super) async fn keep(ledger: &Ledger, frames: impl IntoIterator<Item = Frame>) -> u64 {
    let commit = ledger.append(frames).await.expect("it is queued");
    commit.durable().await.expect("it is kept")
}

/// Copies a folder as a kill would leave it.
pub(super) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(from).expect("it lists") {
        let path = entry.expect("it lists").path();
        let name = path.file_name().expect("files have names");
        std::fs::copy(&path, to.path().join(name)).expect("it copies");
    }
    to
}

/// The segments of a folder, in order.
pub(super) fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    crate::folder::Files::list(dir).expect("it lists").segments
}

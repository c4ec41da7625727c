//! A process or a machine that stops at any moment.

use std::path::Path;

use event::Frame;

use super::support::*;
use crate::fault::FaultyDisk;
use crate::{ErrorKind, Ledger, LedgerConfig};

/// The end of the last commit in a segment.
pub(super) fn end_of(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let header = crate::walk::read_header(&bytes[..]).unwrap().unwrap();
    let mut walk = crate::walk::Walk::new(&bytes[..], &header);
    while walk.next().unwrap().is_ok() {}
    walk.offset
}

#[tokio::test]
async fn a_last_commit_cut_at_any_byte_is_gone_and_all_before_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &tiny());
    let kept = [opened(1), chunk(1, 50), closed(1), opened(2)];
    keep(&ledger, kept[..3].to_vec()).await;
    keep(&ledger, kept[3..].to_vec()).await;
    let path = &segments(dir.path())[0];
    let start = end_of(path);
    keep(&ledger, [chunk(2, 40), closed(2)]).await;
    let end = end_of(path);
    assert!(end > start + 128);
    let whole = copy(dir.path());
    for cut in start..end {
        {
            let shorten = cut % 2 == 0;
            let dir = copy(whole.path());
            let path = &segments(dir.path())[0];
            let mut bytes = std::fs::read(path).unwrap();
            if shorten {
                bytes.truncate(cut as usize);
            } else {
                bytes[cut as usize..].fill(0);
            }
            std::fs::write(path, &bytes).unwrap();
            let (ledger, recovery) = open(dir.path(), &tiny());
            assert_eq!(recovery.interrupted, [id(2)], "cut at {cut}");
            assert_eq!(recovery.last_sequence, 5);
            assert_eq!(recovery.truncated_bytes > 0, cut >= start + 128, "cut at {cut}");
            assert_eq!(frames(&ledger), [&kept[..], &[interrupted(2)]].concat());
            assert_eq!(keep(&ledger, [opened(3), closed(3)]).await, 7);
            drop(ledger);
            let (ledger, recovery) = open(dir.path(), &tiny());
            assert_eq!(recovery.interrupted, []);
            assert_eq!(frames(&ledger).len(), 7);
        }
    }
}

#[tokio::test]
async fn damage_before_the_end_of_the_last_segment_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &tiny());
    keep(&ledger, [opened(1)]).await;
    let path = &segments(dir.path())[0];
    let first_end = end_of(path);
    keep(&ledger, [closed(1)]).await;
    let whole = copy(dir.path());
    for at in 0..first_end {
        let dir = copy(whole.path());
        let path = &segments(dir.path())[0];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at as usize] ^= 0x10;
        std::fs::write(path, &bytes).unwrap();
        let error = Ledger::open(dir.path(), tiny(), noon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert!(error.to_string().contains(".segment is damaged at byte"), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn after_a_clean_close_a_damaged_or_missing_end_is_refused_too() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &tiny());
    keep(&ledger, [opened(1)]).await;
    let path = segments(dir.path())[0].clone();
    let start = end_of(&path);
    keep(&ledger, [closed(1)]).await;
    ledger.close().await.unwrap();
    drop(ledger);
    for at in start..end_of(&path) {
        let dir = copy(dir.path());
        let path = &segments(dir.path())[0];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at as usize] ^= 1;
        std::fs::write(path, &bytes).unwrap();
        let error = Ledger::open(dir.path(), tiny(), noon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    std::fs::remove_file(&path).unwrap();
    let error = Ledger::open(dir.path(), tiny(), noon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn missing_misplaced_or_foreign_segments_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    for number in 0..60 {
        keep(&ledger, [chunk(number, 3000)]).await;
    }
    drop(ledger);
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path(), &small()));
    let corrupt = |dir: &Path| {
        let error = Ledger::open(dir, small(), noon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    };
    let first_gone = copy(dir.path());
    std::fs::remove_file(&segments(first_gone.path())[0]).unwrap();
    corrupt(first_gone.path());
    let last_gone = copy(dir.path());
    std::fs::remove_file(segments(last_gone.path()).last().unwrap()).unwrap();
    corrupt(last_gone.path());
    let foreign = copy(dir.path());
    std::fs::copy(&segments(other.path())[0], &segments(foreign.path())[1]).unwrap();
    corrupt(foreign.path());
    let twice = copy(dir.path());
    let files = segments(twice.path());
    std::fs::copy(&files[0], &files[1]).unwrap();
    corrupt(twice.path());
    let headless = copy(dir.path());
    std::fs::remove_file(headless.path().join("head")).unwrap();
    corrupt(headless.path());
    open(dir.path(), &small());
}

/// Runs a ledger on a disk that loses power, and answers what was acknowledged.
async fn run_and_lose_power(
    dir: &Path,
    config: &LedgerConfig,
    rounds: u64,
    mut random: u64,
) -> Vec<Frame> {
    let disk = FaultyDisk::default();
    let (ledger, _) = open_on(&disk, dir, config);
    let mut acknowledged = Vec::new();
    for number in 0..rounds {
        let frames = [opened(number), chunk(number, 700), closed(number)];
        keep(&ledger, frames.clone()).await;
        acknowledged.extend(frames);
    }
    // In flight when the power goes: written, but every sync from here on fails.
    disk.fail(crate::fault::Call::Sync, std::io::ErrorKind::Other);
    let last = ledger.append([opened(rounds), chunk(rounds, 2_000)]).await.unwrap();
    let _ = last.durable().await;
    let _ = ledger.close().await;
    drop(ledger);
    disk.heal();
    disk.lose_power(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random & 4 == 0
    })
    .unwrap();
    acknowledged
}

#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    for seed in 1..60 {
        let dir = tempfile::tempdir().unwrap();
        let acknowledged = run_and_lose_power(dir.path(), &small(), seed % 25, seed * 77).await;
        let (ledger, recovery) = open(dir.path(), &small());
        let read = frames(&ledger);
        assert_eq!(read[..acknowledged.len()], acknowledged, "seed {seed}");
        let rest = &read[acknowledged.len()..];
        let number = seed % 25;
        if recovery.interrupted.is_empty() {
            assert_eq!(rest, []);
        } else {
            assert_eq!(rest, [opened(number), chunk(number, 2_000), interrupted(number)]);
        }
    }
}

#[tokio::test]
async fn a_power_cut_in_relaxed_leaves_an_unbroken_beginning() {
    for seed in 1..60 {
        let dir = tempfile::tempdir().unwrap();
        let acknowledged = run_and_lose_power(dir.path(), &relaxed(), seed % 25, seed * 31).await;
        let (ledger, recovery) = open(dir.path(), &relaxed());
        let mut read = frames(&ledger);
        read.truncate(read.len() - recovery.interrupted.len());
        let length = read.len().min(acknowledged.len());
        assert_eq!(read[..length], acknowledged[..length], "seed {seed}");
    }
}

#[tokio::test]
async fn recovery_reads_the_last_segment_only() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, [opened(1), opened(2)]).await;
    for number in 10..60 {
        keep(&ledger, [opened(number), chunk(number, 3000), closed(number)]).await;
    }
    keep(&ledger, [closed(2)]).await;
    let crashed = copy(dir.path());
    let files = segments(crashed.path());
    assert!(files.len() > 4);
    // Nothing behind the headers of the others is looked at: with their bodies gone it opens, and
    // still knows from the header of the last what had been open since the first.
    for path in &files[..files.len() - 1] {
        let mut bytes = std::fs::read(path).unwrap();
        let header = crate::walk::read_header(&bytes[..]).unwrap().unwrap();
        bytes[header.bytes() as usize..].fill(0);
        std::fs::write(path, bytes).unwrap();
    }
    let (_, recovery) = open(crashed.path(), &small());
    assert_eq!(recovery.interrupted, [id(1)]);
}

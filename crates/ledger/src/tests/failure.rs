//! Disks that are full or broken.

use std::io;

use super::support::*;
use crate::fault::{Call, FaultyDisk};
use crate::{Durability, ErrorKind, Ledger, LedgerConfig, State};

async fn serving(ledger: &Ledger) {
    let mut states = ledger.states();
    let waited = states.wait_for(|state| *state == State::Serving);
    tokio::time::timeout(SOON, waited).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_write_or_sync_poisons_and_service_returns_without_restart() {
    for call in [Call::Write, Call::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let (ledger, _) = open_on(&disk, dir.path(), &small());
        assert_eq!(keep(&ledger, [opened(1)]).await, 1);
        disk.fail(call, io::ErrorKind::StorageFull);
        let error = ledger.append([closed(1)]).await.unwrap().durable().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        assert!(error.to_string().contains("no space left on the device"), "{error}");
        let State::Poisoned { reason } = ledger.state() else { panic!("not poisoned") };
        assert!(reason.contains("no space left on the device"), "{reason}");
        assert!(!ledger.ready());
        assert_eq!(ledger.append([closed(1)]).await.unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(
            ledger.try_append_unawaited([closed(1)]).unwrap_err().kind(),
            ErrorKind::Poisoned
        );
        assert_eq!(frames(&ledger), [opened(1)]);
        disk.heal();
        serving(&ledger).await;
        assert_eq!(keep(&ledger, [closed(1)]).await, 2);
        assert_eq!(frames(&ledger), [opened(1), closed(1)]);
        drop(ledger);
        let (ledger, recovery) = open(dir.path(), &small());
        assert_eq!(recovery.interrupted, []);
        assert_eq!(frames(&ledger), [opened(1), closed(1)]);
    }
}

#[tokio::test]
async fn a_full_disk_is_met_at_the_change_of_segment_and_left_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let config = LedgerConfig { spare_segments: 0, ..small() };
    let (ledger, _) = open_on(&disk, dir.path(), &config);
    disk.fail(Call::Create, io::ErrorKind::StorageFull);
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        let Ok(commit) = ledger.append([chunk(number, 3000)]).await else { continue };
        if commit.durable().await.is_ok() {
            acknowledged.push(chunk(number, 3000));
        }
    }
    assert!(acknowledged.len() < 12, "{}", acknowledged.len());
    assert!(!ledger.ready());
    assert_eq!(frames(&ledger), acknowledged);
    disk.heal();
    serving(&ledger).await;
    keep(&ledger, [chunk(99, 5)]).await;
    acknowledged.push(chunk(99, 5));
    assert_eq!(frames(&ledger), acknowledged);
    assert_eq!((ledger.failures(), ledger.stats().failures), (1, 1));
}

#[tokio::test]
async fn a_spare_carries_the_ledger_over_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (ledger, _) = open_on(&disk, dir.path(), &small());
    while ledger.stats().spare_segments == 0 {
        tokio::task::yield_now().await;
    }
    disk.fail(Call::Create, io::ErrorKind::StorageFull);
    for number in 0..14 {
        keep(&ledger, [chunk(number, 3000)]).await;
    }
    assert_eq!(segments(dir.path()).len(), 2);
}

#[tokio::test]
async fn every_step_of_a_change_of_segment_may_fail() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncDir] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let config = LedgerConfig { spare_segments: 0, ..small() };
        let (ledger, _) = open_on(&disk, dir.path(), &config);
        let mut acknowledged = Vec::new();
        for number in 0..8 {
            keep(&ledger, [opened(number), chunk(number, 3000)]).await;
            acknowledged.extend([opened(number), chunk(number, 3000)]);
        }
        disk.fail(call, io::ErrorKind::Other);
        let commit = ledger.append([opened(8), chunk(8, 12_000)]).await.unwrap();
        assert_eq!(commit.durable().await.unwrap_err().kind(), ErrorKind::Poisoned, "{call:?}");
        disk.heal();
        serving(&ledger).await;
        keep(&ledger, [opened(9), chunk(9, 12_000)]).await;
        acknowledged.extend([opened(9), chunk(9, 12_000)]);
        assert_eq!(frames(&ledger), acknowledged);
        drop(ledger);
        let (_, recovery) = open(dir.path(), &config);
        let open: Vec<_> = (0..8).chain([9]).map(id).collect();
        assert_eq!(recovery.interrupted, open, "{call:?}");
    }
}

#[tokio::test]
async fn what_a_failure_left_on_disk_never_comes_back_once_it_is_superseded() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (ledger, _) = open_on(&disk, dir.path(), &small());
    keep(&ledger, [opened(1)]).await;
    // The write reaches the disk, only its sync fails: a whole, valid commit that was refused.
    disk.fail(Call::Sync, io::ErrorKind::Other);
    let refused = ledger.append([chunk(1, 30), closed(1)]).await.unwrap();
    assert!(refused.durable().await.is_err());
    disk.heal();
    serving(&ledger).await;
    keep(&ledger, [chunk(1, 31)]).await;
    keep(&ledger, [closed(1)]).await;
    let expected = [opened(1), chunk(1, 31), closed(1)];
    assert_eq!(frames(&ledger), expected);
    let mut reader = ledger.reader(2).unwrap();
    assert_eq!(reader.next(SOON).unwrap().unwrap().frame, expected[1]);
    drop(ledger);
    let (ledger, recovery) = open(dir.path(), &small());
    assert_eq!(recovery.interrupted, []);
    assert_eq!(frames(&ledger), expected);
}

#[tokio::test]
async fn relaxed_carries_what_it_acknowledged_over_a_failed_flush() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (ledger, _) = open_on(&disk, dir.path(), &relaxed());
    let mut acknowledged = Vec::new();
    for number in 0..5 {
        keep(&ledger, [opened(number), chunk(number, 300)]).await;
        acknowledged.extend([opened(number), chunk(number, 300)]);
    }
    assert_eq!(*ledger.durable().borrow(), 0);
    disk.fail(Call::Write, io::ErrorKind::Other);
    assert!(ledger.append([closed(0)]).await.unwrap().durable().await.is_err());
    disk.heal();
    serving(&ledger).await;
    assert_eq!(frames(&ledger), acknowledged, "carried, and durable now");
    keep(&ledger, [closed(0)]).await;
    acknowledged.push(closed(0));
    ledger.close().await.unwrap();
    assert_eq!(frames(&ledger), acknowledged);
    drop(ledger);
    let (_, recovery) = open(dir.path(), &relaxed());
    assert_eq!(recovery.interrupted, (1..5).map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ledger_can_be_closed_while_it_is_poisoned_and_says_so() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let (ledger, _) = open_on(&disk, dir.path(), &LedgerConfig { durability, ..small() });
        disk.fail(Call::Write, io::ErrorKind::Other);
        assert!(ledger.append([opened(1)]).await.unwrap().durable().await.is_err());
        assert_eq!(ledger.close().await.unwrap_err().kind(), ErrorKind::Poisoned);
        disk.heal();
        drop(ledger);
        let (ledger, _) = open(dir.path(), &small());
        assert_eq!(frames(&ledger), []);
    }
}

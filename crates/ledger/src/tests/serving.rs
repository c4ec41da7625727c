//! Appending, reading, rotation, release, limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::{Frame, Kind, Timestamp};

use super::support::*;
use crate::{Durability, ErrorKind, Ledger, LedgerConfig, State};

#[tokio::test]
async fn what_is_appended_is_read_in_order_and_after_reopening_too() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, recovery) = open(dir.path(), &small());
    assert_eq!(recovery, crate::Recovery { first_sequence: 1, ..Default::default() });
    let appended = vec![opened(1), chunk(1, 100), chunk(1, 0), closed(1)];
    assert_eq!(keep(&ledger, appended.clone()).await, 4);
    assert_eq!(frames(&ledger), appended);
    ledger.close().await.unwrap();
    assert_eq!(ledger.state(), State::Closed);
    assert_eq!(ledger.append([closed(2)]).await.unwrap_err().kind(), ErrorKind::Closed);
    drop(ledger);

    let (ledger, recovery) = open(dir.path(), &small());
    assert_eq!((recovery.last_sequence, recovery.interrupted), (4, vec![]));
    assert_eq!(keep(&ledger, [opened(2), closed(2)]).await, 6);
    assert_eq!(frames(&ledger), [&appended[..], &[opened(2), closed(2)]].concat());
    assert_eq!(read_from(&ledger, 5)[0].frame, opened(2));
    assert_eq!(ledger.reader(8).err().unwrap().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_appenders_are_all_acknowledged_once_and_in_their_own_order() {
    for durability in [Durability::Strict, Durability::Overlap, Durability::Relaxed] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = open(dir.path(), &LedgerConfig { durability, ..small() });
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..32_u64 {
            let ledger = ledger.clone();
            tasks.spawn(async move {
                let mut acknowledged = Vec::new();
                for step in 0..20 {
                    let frames = [chunk(task, step), chunk(task, step + 1)];
                    acknowledged.push((keep(&ledger, frames.clone()).await, frames));
                }
                acknowledged
            });
        }
        let mut expected = HashMap::new();
        while let Some(acknowledged) = tasks.join_next().await {
            let acknowledged = acknowledged.unwrap();
            assert!(acknowledged.is_sorted_by_key(|(sequence, _)| *sequence));
            for (sequence, [first, second]) in acknowledged {
                assert_eq!(expected.insert(sequence - 1, first), None);
                assert_eq!(expected.insert(sequence, second), None);
            }
        }
        ledger.close().await.unwrap();
        let read = read_from(&ledger, 1);
        assert_eq!(read.len(), 32 * 20 * 2);
        for entry in read {
            assert_eq!(expected.remove(&entry.sequence), Some(entry.frame));
        }
    }
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_and_waits_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let config = LedgerConfig { queue_bytes_max: 64 << 10, ..small() };
    let (ledger, _) = open(dir.path(), &config);
    // Larger than the queue: it has the queue to itself.
    assert_eq!(keep(&ledger, [chunk(1, 200 << 10)]).await, 1);
    let mut commits = Vec::new();
    for number in 0..200 {
        commits.push(ledger.append([chunk(number, 10 << 10)]).await.unwrap());
        assert!(ledger.stats().queued_bytes <= 64 << 10);
    }
    for (index, commit) in commits.into_iter().enumerate() {
        assert_eq!(commit.durable().await.unwrap(), index as u64 + 2);
    }
    assert_eq!(ledger.stats().queued_bytes, 0);
}

#[tokio::test]
async fn an_append_that_is_empty_or_too_large_is_refused_and_a_full_queue_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    assert_eq!(ledger.append([]).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(ledger.try_append_unawaited([]).unwrap_err().kind(), ErrorKind::Invalid);
    let large = chunk(1, 16 << 20);
    assert_eq!(ledger.append([large]).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(keep(&ledger, [chunk(1, (16 << 20) - 36)]).await, 1);
    let full = loop {
        if let Err(error) = ledger.try_append_unawaited([chunk(1, 300 << 10)]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::Full);
    assert!(ledger.ready());
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same_and_before_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    let mut durable = ledger.durable();
    ledger.try_append_unawaited([chunk(1, 10)]).unwrap();
    assert_eq!(*durable.wait_for(|sequence| *sequence > 0).await.unwrap(), 1, "by itself");
    let syncs = ledger.stats().syncs;
    for number in 0..10 {
        ledger.try_append_unawaited([chunk(number, 10)]).unwrap();
    }
    assert_eq!(keep(&ledger, [closed(1)]).await, 12);
    assert_eq!(frames(&ledger)[11], closed(1));
    assert!(ledger.stats().syncs - syncs <= 2, "together");
    ledger.try_append_unawaited([chunk(2, 10)]).unwrap();
    ledger.close().await.unwrap();
    assert_eq!(read_from(&ledger, 13).len(), 1, "at the end too");
}

#[tokio::test]
async fn a_reader_follows_a_live_writer_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    let mut reader = ledger.reader(1).unwrap();
    let reading = std::thread::spawn(move || {
        let mut read = Vec::new();
        while let Some(entry) = reader.next(SOON).unwrap() {
            assert_eq!(entry.sequence, read.len() as u64 + 1);
            read.push(entry.frame);
        }
        read
    });
    let mut appended = Vec::new();
    for number in 0..100 {
        let frames = [opened(number), chunk(number, 3000), closed(number)];
        keep(&ledger, frames.clone()).await;
        appended.extend(frames);
    }
    assert!(segments(dir.path()).len() > 5);
    ledger.close().await.unwrap();
    assert_eq!(reading.join().unwrap(), appended);
}

#[tokio::test]
async fn a_reader_says_when_what_it_answers_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(0));
    let read_clock = clock.clone();
    let now = move || Timestamp::from_unix_micros(read_clock.load(Ordering::SeqCst));
    let (ledger, _) = Ledger::open(dir.path(), small(), now).unwrap();
    let mut reader = ledger.reader(1).unwrap();
    for at in [1_000, 7_000, 8_000] {
        clock.store(at, Ordering::SeqCst);
        keep(&ledger, [opened(1), closed(1)]).await;
        for _ in 0..2 {
            let entry = reader.next(SOON).unwrap().expect("a frame");
            assert_eq!(entry.written_at, Timestamp::from_unix_micros(at));
        }
    }
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn relaxed_acknowledges_before_the_flush_and_readers_see_only_what_is_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &relaxed());
    assert_eq!(keep(&ledger, [opened(1)]).await, 1);
    assert_eq!(*ledger.durable().borrow(), 0);
    assert_eq!(read_from(&ledger, 1), vec![]);
    ledger.close().await.unwrap();
    assert_eq!(*ledger.durable().borrow(), 1);
    assert_eq!(read_from(&ledger, 1).len(), 1);
    drop(ledger);

    let interval = LedgerConfig { relaxed_interval_ms: 1, ..relaxed() };
    let (ledger, _) = open(dir.path(), &interval);
    let last = keep(&ledger, [chunk(1, 10)]).await;
    let mut durable = ledger.durable();
    tokio::time::timeout(SOON, durable.wait_for(|sequence| *sequence == last))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn released_segments_are_recycled_once_retention_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(noon().unix_micros()));
    let told = Arc::clone(&clock);
    let now = move || Timestamp::from_unix_micros(told.load(Ordering::Relaxed));
    let config = LedgerConfig { retain_age_seconds: 60, retain_bytes: 0, ..small() };
    let (ledger, _) = Ledger::open(dir.path(), config, now).unwrap();
    let mut expected: Vec<Frame> = Vec::new();
    for number in 0..60 {
        keep(&ledger, [chunk(number, 3000)]).await;
        expected.push(chunk(number, 3000));
    }
    let shared = ledger.shared();
    crate::keeper::recycle(shared).unwrap();
    let before = ledger.stats().segments;
    assert!(before > 4);
    ledger.release("test", 31);
    crate::keeper::recycle(shared).unwrap();
    assert_eq!(ledger.stats().segments, before, "too young");
    clock.fetch_add(61_000_000, Ordering::Relaxed);
    crate::keeper::recycle(shared).unwrap();
    let first = read_from(&ledger, 0)[0].sequence;
    assert!(first > 15 && first <= 31, "{first}");
    assert_eq!(ledger.reader(first - 1).err().unwrap().kind(), ErrorKind::Released);
    assert_eq!(frames(&ledger), expected[first as usize - 1..]);
    // The recycled files serve again, and none of their old bytes is taken for new.
    for number in 60..120 {
        keep(&ledger, [chunk(number, 3000)]).await;
        expected.push(chunk(number, 3000));
        ledger.release("test", number);
        clock.fetch_add(61_000_000, Ordering::Relaxed);
        crate::keeper::recycle(shared).unwrap();
    }
    assert!(ledger.stats().segments <= 3);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files <= 8, "{files} files");
    let first = read_from(&ledger, 0)[0].sequence;
    ledger.close().await.unwrap();
    drop(ledger);
    let (ledger, recovery) = open(dir.path(), &small());
    assert_eq!((recovery.first_sequence, recovery.last_sequence), (first, 120));
    assert_eq!(frames(&ledger), expected[first as usize - 1..]);
}

#[tokio::test]
async fn retain_bytes_bounds_what_released_segments_take() {
    let dir = tempfile::tempdir().unwrap();
    let config = LedgerConfig { retain_bytes: 100 << 10, ..small() };
    let (ledger, _) = open(dir.path(), &config);
    for number in 0..100 {
        keep(&ledger, [chunk(number, 3000)]).await;
    }
    assert!(ledger.stats().segment_bytes > 200 << 10, "not released: kept");
    ledger.release("slow", 0);
    ledger.release("test", u64::MAX);
    crate::keeper::recycle(ledger.shared()).unwrap();
    assert!(ledger.stats().segment_bytes > 200 << 10, "the other consumer needs it: kept");
    ledger.release("slow", u64::MAX);
    crate::keeper::recycle(ledger.shared()).unwrap();
    assert!(ledger.stats().segment_bytes <= 100 << 10);
    assert_eq!(keep(&ledger, [chunk(1, 1)]).await, 101);
}

#[tokio::test]
async fn a_segment_that_is_old_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(noon().unix_micros()));
    let told = Arc::clone(&clock);
    let now = move || Timestamp::from_unix_micros(told.load(Ordering::Relaxed));
    let config = LedgerConfig { segment_age_seconds: 60, ..small() };
    let (ledger, _) = Ledger::open(dir.path(), config, now).unwrap();
    keep(&ledger, [opened(1)]).await;
    keep(&ledger, [closed(1)]).await;
    assert_eq!(segments(dir.path()).len(), 1);
    clock.fetch_add(61_000_000, Ordering::Relaxed);
    keep(&ledger, [opened(2)]).await;
    assert_eq!(segments(dir.path()).len(), 2);
    assert_eq!(frames(&ledger), [opened(1), closed(1), opened(2)]);
}

#[tokio::test]
async fn a_folder_has_one_writer_and_the_error_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    let error = Ledger::open(dir.path(), small(), noon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(ledger);
    open(dir.path(), &small());
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = [
        ("segment_bytes", LedgerConfig { segment_bytes: 1, ..small() }),
        ("queue_bytes_max", LedgerConfig { queue_bytes_max: 1, ..small() }),
        ("relaxed_interval_ms", LedgerConfig { relaxed_interval_ms: 0, ..small() }),
        ("spare_segments", LedgerConfig { spare_segments: 17, ..small() }),
        ("segment_age_seconds", LedgerConfig { segment_age_seconds: 0, ..small() }),
    ];
    for (field, config) in wrong {
        let error = Ledger::open(dir.path(), config, noon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[tokio::test]
async fn what_compresses_is_compressed_and_what_does_not_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    let text = Frame { payload: vec![b'a'; 200_000].into(), ..chunk(1, 0) };
    keep(&ledger, [text.clone()]).await;
    let stored = ledger.stats().stored_bytes;
    assert!(stored < 2_000, "{stored}");
    keep(&ledger, [chunk(2, 200_000)]).await;
    assert!(ledger.stats().stored_bytes - stored > 200_000);
    keep(&ledger, [chunk(3, 9_000)]).await;
    assert_eq!(frames(&ledger), [text, chunk(2, 200_000), chunk(3, 9_000)]);
}

#[tokio::test]
async fn an_open_list_longer_than_a_segment_makes_the_segment_longer() {
    let dir = tempfile::tempdir().unwrap();
    let config = LedgerConfig { segment_bytes: 16 << 10, ..small() };
    let (ledger, _) = open(dir.path(), &config);
    for number in 0..2_000 {
        drop(ledger.append([opened(number)]).await.unwrap());
    }
    keep(&ledger, [chunk(1, 20_000)]).await;
    drop(ledger);
    let (ledger, recovery) = open(dir.path(), &config);
    assert_eq!(recovery.interrupted, (0..2_000).map(id).collect::<Vec<_>>());
    assert_eq!(read_from(&ledger, 2_002)[1_999].frame, interrupted(1_999));
    let wait = Duration::ZERO;
    assert_eq!(ledger.reader(4_002).unwrap().next(wait).unwrap(), None);
}

#[tokio::test]
async fn a_reader_of_some_kinds_passes_over_the_others_and_misses_none() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, [opened(1), closed(1)]).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let (ledger, _) = open(dir.path(), &small());
    let mut reader = ledger.reader(0).unwrap().only(&[Kind::Closed]);
    let mut found = Vec::new();
    for round in 2..40 {
        // Rounds without an end are passed over, over changes of segment too.
        keep(&ledger, [opened(round), chunk(round, 900)]).await;
        if round % 4 == 0 {
            keep(&ledger, [closed(round)]).await;
        }
        let mut looks = 0;
        while reader.position() <= *ledger.durable().borrow() {
            found.extend(reader.next(Duration::ZERO).unwrap());
            looks += 1;
            assert!(looks < 10, "every look gets on");
        }
    }
    let ends: Vec<Frame> = found.into_iter().map(|entry| entry.frame).collect();
    let expected: Vec<Frame> = std::iter::once(1).chain((4..40).step_by(4)).map(closed).collect();
    assert_eq!(ends, expected);
}

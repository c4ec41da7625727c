//! Exactly-once, whatever happens between two steps.

use std::sync::Arc;

use event::Sink;

use super::*;
use crate::ErrorKind;
use crate::shared::lock;

#[test]
fn after_a_crash_rows_and_cursor_are_those_of_the_last_seal() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 100));
    store.seal().unwrap();
    write(&store, batch(100, 150));
    assert_eq!(numbers(interactions(&store), None).len(), 150, "rows are visible at once");
    assert_eq!(store.durable_cursor(), cursor(100));
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.durable_cursor(), cursor(100));
    assert_eq!(numbers(interactions(&store), None), (0..100).collect::<Vec<_>>());
    write(&store, batch(100, 150));
    store.close().unwrap();
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.durable_cursor(), cursor(150));
    assert_eq!(numbers(interactions(&store), None), (0..150).collect::<Vec<_>>());
    assert_eq!(texts(store.provider("Messages").unwrap(), "Content").len(), 150);
}

#[test]
fn files_of_a_seal_that_never_reached_the_manifest_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 10));
    store.seal().unwrap();
    let known = files(folder.path());
    write(&store, batch(10, 20));
    // The first half of a seal: whole files, no transaction. The process dies before it cleans up.
    let chunks = lock(&store.shared().state).tail.take();
    for sealed in store.shared().write_extents(&chunks).unwrap() {
        std::mem::forget(sealed);
    }
    assert_eq!(files(folder.path()).len(), known.len() + 1);
    drop(store);

    let store = open(folder.path());
    assert_eq!(files(folder.path()), known);
    assert_eq!(store.durable_cursor(), cursor(10));
    assert_eq!(numbers(interactions(&store), None), (0..10).collect::<Vec<_>>());
    write(&store, batch(10, 20));
    store.seal().unwrap();
    assert_eq!(numbers(interactions(&store), None), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_cursor_without_rows_becomes_durable_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, Batch { cursor: cursor(7), ..Batch::default() });
    store.seal().unwrap();
    assert_eq!(store.durable_cursor(), cursor(7));
    drop(store);
    assert_eq!(open(folder.path()).durable_cursor(), cursor(7));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn one_process_has_a_store_and_a_closed_one_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let second = Store::open(folder.path(), quiet(), at(NOON)).err().unwrap();
    assert_eq!(second.kind(), ErrorKind::Locked);
    store.close().unwrap();
    let error = store.write(&batch(0, 1)).unwrap_err();
    assert_eq!(error.downcast_ref::<crate::Error>().unwrap().kind(), ErrorKind::Closed);
    assert!(store.blob().is_err());
}

#[test]
fn a_full_memory_is_sealed_before_more_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let config = StoreConfig { tail_bytes_max: limit, seal_bytes: limit, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    for number in 0..100 {
        write(&store, batch(number * 50, number * 50 + 50));
        assert!(store.status().tail_bytes <= limit);
    }
    assert!(store.durable_cursor().applied > 0);
    assert_eq!(numbers(interactions(&store), None), (0..5_000).collect::<Vec<_>>());
}

/// A full disk, as the kernel has one to offer.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_trace_and_the_same_batch_is_taken_later() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let config = StoreConfig { tail_bytes_max: limit, seal_bytes: limit, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    let day = folder.path().join("tables/Messages/2026-11-23");
    crate::disk::create_folder(&day).unwrap();
    // Extents 1, 3, 5 … of interactions find room, those of messages do not.
    for id in (2..=10).step_by(2) {
        std::os::unix::fs::symlink("/dev/full", day.join(format!("{id:016x}.parquet"))).unwrap();
    }
    let mut written = 0;
    let error = loop {
        match store.write(&loose(batch(written, written + 50))) {
            Ok(()) => written += 50,
            Err(error) => break error,
        }
    };
    assert_eq!(error.downcast_ref::<crate::Error>().unwrap().kind(), ErrorKind::Full, "{error}");
    assert_eq!(store.durable_cursor(), cursor(0));
    assert_eq!(numbers(interactions(&store), None), (0..written).collect::<Vec<_>>());
    assert!(files(folder.path()).iter().all(|path| path.is_symlink()), "nothing is left behind");
    std::fs::remove_dir_all(&day).unwrap();
    write(&store, batch(written, written + 50));
    store.seal().unwrap();
    assert_eq!(numbers(interactions(&store), None), (0..written + 50).collect::<Vec<_>>());
    assert_eq!(store.durable_cursor(), cursor(written + 50));
}

#[test]
fn the_upkeep_seals_what_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { seal_rows: 10, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    write(&store, batch(0, 10));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while store.durable_cursor() != cursor(10) {
        assert!(std::time::Instant::now() < deadline, "not sealed within 30 s");
        std::thread::yield_now();
    }
    let store: Arc<dyn Sink> = store;
    drop(store);
}

//! Merging, giving up, sweeping.

use super::*;
use crate::GivenUp;
use crate::compact::Merge;

/// Seals `count` extents of ten interactions each, all on one day.
fn small_extents(store: &Store, count: i64) {
    for number in 0..count {
        write(store, batch(number * 10, number * 10 + 10));
        store.seal().unwrap();
    }
}

#[test]
fn small_extents_of_a_day_become_one_and_the_files_go_after_their_readers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    small_extents(&store, 8);
    let before = files(folder.path());
    assert_eq!(before.len(), 8);
    let snapshot = store.snapshot();
    let done = store.maintain(at(NOON)).unwrap();
    assert_eq!((done.extents_merged, done.extents_dropped), (8, 0));
    assert_eq!(store.status().tables[0].extents, 1);
    let all: Vec<_> = (0..80).collect();
    assert_eq!(files(folder.path()).len(), 9, "the snapshot still reads the old ones");
    assert_eq!(numbers(snapshot.provider("Interactions").unwrap(), None), all);
    assert_eq!(numbers(interactions(&store), None), all);
    drop(snapshot);
    let after = files(folder.path());
    assert_eq!(after.len(), 1);
    assert!(after.iter().all(|path| !before.contains(path)));
    drop(store);
    let store = open(folder.path());
    assert_eq!(numbers(interactions(&store), None), all);
    assert_eq!(store.durable_cursor(), cursor(80));
}

#[test]
fn a_few_extents_of_today_wait_and_those_of_yesterday_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    small_extents(&store, 3);
    assert_eq!(store.maintain(at(NOON)).unwrap().extents_merged, 0);
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 3);
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 0);
}

#[test]
fn a_day_that_is_over_but_still_filled_is_not_copied_with_every_round() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let tomorrow = at(NOON + DAY);
    let round_of_upkeep = || store.shared().maintain(tomorrow, Merge::AtRest).unwrap();
    let mut merged = 0;
    for round in 0..7 {
        write(&store, batch(round * 10, round * 10 + 10));
        store.seal().unwrap();
        merged += round_of_upkeep().extents_merged;
    }
    assert_eq!(merged, 0, "it may get more");
    merged += round_of_upkeep().extents_merged;
    assert_eq!(merged, 7, "each extent was copied once, when no more came");
    for _ in 0..3 {
        assert_eq!(round_of_upkeep().extents_merged, 0, "then it rests");
    }
    // So many that each query would open many files do not wait for the end.
    for round in 7..15 {
        write(&store, batch(round * 10, round * 10 + 10));
        store.seal().unwrap();
    }
    assert!(round_of_upkeep().extents_merged >= 8);
    assert_eq!(numbers(interactions(&store), None), (0..150).collect::<Vec<_>>());
}

#[test]
fn extents_that_are_large_enough_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { compact_bytes_max: 1_000, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    small_extents(&store, 4);
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 0);
}

#[test]
fn days_past_the_retention_are_given_up_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { retention_days: 2, ..quiet() };
    let store = Store::open(folder.path(), config.clone(), at(NOON)).unwrap();
    for day in 0..5 {
        let row = interaction(day, NOON + day * DAY);
        write(&store, Batch { interactions: vec![row], ..Batch::default() });
    }
    store.seal().unwrap();
    let done = store.maintain(at(NOON + 4 * DAY)).unwrap();
    assert_eq!(done.extents_dropped, 2);
    assert_eq!(numbers(interactions(&store), None), vec![2, 3, 4]);
    assert_eq!(files(folder.path()).len(), 3);
    drop(store);
    // Given up at open, too.
    let store = Store::open(folder.path(), config, at(NOON + 5 * DAY)).unwrap();
    assert_eq!(numbers(interactions(&store), None), vec![3, 4]);
}

#[test]
fn up_to_where_rows_were_given_up_is_told_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { retention_days: 2, ..quiet() };
    let store = Store::open(folder.path(), config.clone(), at(NOON)).unwrap();
    for day in 0..4 {
        let row = interaction(day * 10, NOON + day * DAY);
        write(&store, Batch { interactions: vec![row], cursor: cursor(99), ..Batch::default() });
    }
    store.seal().unwrap();
    store.maintain(at(NOON + 2 * DAY)).unwrap();
    assert_eq!(store.given_up("Interactions").unwrap(), GivenUp::default());
    store.maintain(at(NOON + 4 * DAY)).unwrap();
    let gone = GivenUp { sequence: 10, time: at(NOON + DAY) };
    assert_eq!(store.given_up("Interactions").unwrap(), gone);
    assert_eq!(store.given_up("Alerts").unwrap(), GivenUp::default());
    drop(store);
    let store = Store::open(folder.path(), config.clone(), at(NOON + 4 * DAY)).unwrap();
    assert_eq!(store.given_up("Interactions").unwrap(), gone);
    drop(store);
    // An extent that an older version wrote may hold any row there is.
    evolve::add_foreign(folder.path(), 99, 7, None);
    let store = Store::open(folder.path(), config, at(NOON + 4 * DAY)).unwrap();
    assert_eq!(store.given_up("Interactions").unwrap().sequence, 99);
}

#[test]
fn the_oldest_days_go_when_there_is_too_much_and_the_newest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for day in 0..4 {
        let row = interaction(day, NOON + day * DAY);
        write(&store, Batch { interactions: vec![row], ..Batch::default() });
    }
    store.seal().unwrap();
    let bytes = store.status().tables[0].extent_bytes;
    drop(store);
    let config = StoreConfig { retention_bytes: bytes * 5 / 8, retention_days: 0, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON + 4 * DAY)).unwrap();
    assert_eq!(store.maintain(at(NOON + 4 * DAY)).unwrap().extents_dropped, 2);
    assert_eq!(numbers(interactions(&store), None), vec![2, 3]);
    drop(store);
    let config = StoreConfig { retention_bytes: 1, retention_days: 0, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON + 4 * DAY)).unwrap();
    store.maintain(at(NOON + 4 * DAY)).unwrap();
    assert_eq!(numbers(interactions(&store), None), vec![3]);
}

fn blob(store: &Store, content: &[u8]) -> (BodyText, String) {
    let mut writer = store.blob().unwrap();
    writer.write_all(content).unwrap();
    let reference = writer.finish().unwrap();
    let BodyText::Blob { sha256, .. } = &reference else { panic!("a blob was written") };
    let sha256 = sha256.clone();
    (reference, sha256)
}

#[test]
fn blobs_go_when_no_row_names_them_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { retention_days: 2, ..quiet() };
    let store = Store::open(folder.path(), config, at(NOON)).unwrap();
    let (text, text_hash) = blob(&store, b"a long request");
    let (_, raw_hash) = blob(&store, b"raw bytes of an answer");
    let (_, loose_hash) = blob(&store, b"named by nobody");
    let mut row = interaction(1, NOON);
    row.request_body = text.clone();
    row.response_body_sha256 = raw_hash.clone();
    write(&store, Batch { interactions: vec![row], ..Batch::default() });
    let there = |hash: &str| store.open_blob(hash).is_ok();

    // Nothing is a day old yet: the files were written just now, by the clock of the disk.
    let today = Timestamp::from(std::time::SystemTime::now());
    assert_eq!(store.maintain(today).unwrap().blobs_removed, 0);
    assert!(there(&loose_hash));

    // Later the loose one goes; the others are named by a row in memory, then by one on disk.
    let later = |days: i64| at(today.unix_micros() + days * DAY);
    let keep_row = |now: Timestamp| {
        let mut row = interaction(2, now.unix_micros());
        row.request_body = text.clone();
        row
    };
    let in_memory = Batch { interactions: vec![keep_row(later(2))], ..Batch::default() };
    let done = store.maintain(later(2)).unwrap();
    assert_eq!(done.blobs_removed, 1);
    assert!(there(&text_hash) && there(&raw_hash) && !there(&loose_hash));
    store.seal().unwrap();
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_dropped, 0);
    assert!(there(&text_hash) && there(&raw_hash));
    assert_eq!(store.status().blobs.map(|blobs| blobs.blobs), Some(2));

    // The row's day is given up; a row in memory still names the text, nothing the raw bytes.
    write(&store, in_memory);
    let after = at(NOON.max(today.unix_micros()) + 10 * DAY);
    let done = store.maintain(after).unwrap();
    assert_eq!((done.extents_dropped, done.blobs_removed), (1, 1));
    assert!(there(&text_hash) && !there(&raw_hash));
}

#[test]
fn merging_keeps_the_blobs_that_rows_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (text, hash) = blob(&store, b"a long request");
    for number in 0..2 {
        let mut row = interaction(number, NOON);
        row.request_body = text.clone();
        write(&store, Batch { interactions: vec![row], ..Batch::default() });
        store.seal().unwrap();
    }
    let today = Timestamp::from(std::time::SystemTime::now()).unix_micros();
    let after = at(NOON.max(today) + 2 * DAY);
    assert_eq!(store.maintain(after).unwrap().extents_merged, 2);
    let after = at(after.unix_micros() + DAY);
    assert_eq!(store.maintain(after).unwrap().blobs_removed, 0);
    assert_eq!(store.read_text(&hash, 100).unwrap().text, "a long request");
}

#[test]
fn raw_bytes_of_a_body_stay_though_a_seal_comes_between_and_extents_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, batch(0, 1));
    let (_, raw) = blob(&store, b"bytes as they were sent");
    store.seal().unwrap();
    let mut row = interaction(1, NOON);
    row.request_body_sha256 = raw.clone();
    write(&store, Batch { interactions: vec![row], ..Batch::default() });
    store.seal().unwrap();
    let today = Timestamp::from(std::time::SystemTime::now()).unix_micros();
    let after = NOON.max(today) + 2 * DAY;
    let done = store.maintain(at(after)).unwrap();
    assert_eq!((done.extents_merged, done.blobs_removed), (2, 0));
    assert_eq!(store.maintain(at(after + DAY)).unwrap().blobs_removed, 0);
    assert!(store.open_blob(&raw).is_ok());
}

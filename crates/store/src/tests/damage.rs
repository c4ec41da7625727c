//! What is on disk is not what was written.

use super::*;
use crate::ErrorKind;

fn filled(folder: &Path) {
    let store = open(folder);
    for number in 0..3 {
        write(&store, loose(batch(number * 10, number * 10 + 10)));
        store.seal().unwrap();
    }
}

fn reopen(folder: &Path) -> Result<Arc<Store>, crate::Error> {
    Store::open(folder, quiet(), at(NOON))
}

#[test]
fn a_missing_or_cut_extent_is_named_when_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = files(folder.path())[1].clone();
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..100]).unwrap();
    let error = reopen(folder.path()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(text.contains("is 100 bytes long") && text.contains("restore it"), "{text}");
    std::fs::remove_file(&path).unwrap();
    assert!(reopen(folder.path()).err().unwrap().to_string().contains("is missing"));
    std::fs::write(&path, good).unwrap();
    assert_eq!(numbers(interactions(&reopen(folder.path()).unwrap()), None).len(), 30);
}

#[test]
fn a_changed_extent_fails_its_queries_and_is_found_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = files(folder.path())[0].clone();
    let good = std::fs::read(&path).unwrap();
    for place in [0, 4, 100, good.len() / 2, good.len() - 5] {
        let mut bad = good.clone();
        bad[place] ^= 0xff;
        std::fs::write(&path, bad).unwrap();
        let store = reopen(folder.path()).unwrap();
        let found = store.verify().unwrap();
        assert_eq!(found.len(), 1, "byte {place}");
        assert_eq!(found[0].kind(), ErrorKind::Corrupt);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(found[0].to_string().contains(&name), "{}", found[0]);
    }
    std::fs::write(&path, vec![0; good.len()]).unwrap();
    let store = reopen(folder.path()).unwrap();
    assert!(select(interactions(&store), None, &["Url"]).is_err());
    // The upkeep leaves it, and what can be merged is.
    let done = store.maintain(at(NOON + DAY)).unwrap();
    assert_eq!(done.extents_merged, 3, "the messages");
    // It is not tried again and again: the others of its day are merged without it.
    let done = store.maintain(at(NOON + DAY)).unwrap();
    assert_eq!(done.extents_merged, 2, "the other interactions");
    assert_eq!(store.maintain(at(NOON + DAY)).unwrap().extents_merged, 0);
    std::fs::write(&path, good).unwrap();
    assert!(store.verify().unwrap().is_empty());
    assert_eq!(numbers(interactions(&store), None).len(), 30);
}

#[test]
fn a_damaged_manifest_is_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = folder.path().join("manifest.redb");
    let good = std::fs::read(&path).unwrap();
    for bytes in
        [vec![0; good.len()], b"no database at all".to_vec(), good[..good.len() / 3].to_vec()]
    {
        std::fs::write(&path, bytes).unwrap();
        let error = reopen(folder.path()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("rebuilt from the ledger"), "{error}");
    }
    let step = good.len() / 61;
    for place in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        for byte in bad.iter_mut().skip(place).take(512) {
            *byte ^= 0x5a;
        }
        std::fs::write(&path, bad).unwrap();
        if let Ok(store) = reopen(folder.path()) {
            let rows = numbers(interactions(&store), None);
            assert_eq!(rows.len() % 10, 0, "extents are whole");
        }
        // Orphans of a manifest that lost something must not be gone for the next round.
        if files(folder.path()).len() < 6 {
            std::fs::remove_dir_all(folder.path().join("tables")).unwrap();
            std::fs::remove_file(&path).unwrap();
            filled(folder.path());
        }
    }
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let database = redb::Database::open(folder.path().join("manifest.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let facts = redb::TableDefinition::<&str, u64>::new("facts");
    transaction.open_table(facts).unwrap().insert("format", 3).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = reopen(folder.path()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("has format 3"), "{error}");
}

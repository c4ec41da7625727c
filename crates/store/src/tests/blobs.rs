//! Long texts beside the tables.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::*;
use crate::ErrorKind;
use crate::blobs::{hexadecimal, parse_hash};

fn store_blob(store: &Store, content: &[u8]) -> String {
    let mut writer = store.blob().unwrap();
    // In pieces, so that the end of the sample falls inside one.
    for piece in content.chunks(10_007) {
        writer.write_all(piece).unwrap();
    }
    match writer.finish().unwrap() {
        BodyText::Blob { sha256, bytes } => {
            assert_eq!(bytes, content.len() as u64);
            sha256
        }
        BodyText::Inline(_) => panic!("a blob answers its reference"),
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

fn path_of(folder: &Path, sha256: &str) -> std::path::PathBuf {
    folder.join("blobs").join(&sha256[..2]).join(&sha256[2..])
}

#[test]
fn content_of_any_length_and_kind_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let text = "the same words again and again ".repeat(20_000).into_bytes();
    for content in [vec![], b"x".to_vec(), noise(65_535), noise(65_536), noise(300_000), text] {
        let sha256 = store_blob(&store, &content);
        assert_eq!(sha256, hexadecimal(&Sha256::digest(&content).into()));
        assert_eq!(parse_hash(&sha256), Some(Sha256::digest(&content).into()));
        let mut back = Vec::new();
        store.open_blob(&sha256).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == content, "{} bytes", content.len());
        let on_disk = path_of(folder.path(), &sha256).metadata().unwrap().len();
        assert!(on_disk <= content.len() as u64 + 32);
        // Again: the same name, and no harm.
        assert_eq!(store_blob(&store, &content), sha256);
    }
    assert!(crate::disk::entries(&folder.path().join("blobs/tmp")).unwrap().is_empty());
}

#[test]
fn a_blob_dropped_unfinished_leaves_nothing_and_one_of_a_crash_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut writer = store.blob().unwrap();
    writer.write_all(&noise(100_000)).unwrap();
    drop(writer);
    assert!(crate::disk::entries(&folder.path().join("blobs/tmp")).unwrap().is_empty());
    drop(store);
    std::fs::write(folder.path().join("blobs/tmp/17"), b"half").unwrap();
    let _store = open(folder.path());
    assert!(crate::disk::entries(&folder.path().join("blobs/tmp")).unwrap().is_empty());
}

#[test]
fn a_text_is_cut_at_a_character_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sha256 = store_blob(&store, "añb".as_bytes());
    let read = |limit| {
        let text = store.read_text(&sha256, limit).unwrap();
        (text.text, text.is_truncated)
    };
    assert_eq!(read(4), ("añb".into(), false));
    assert_eq!(read(3), ("añ".into(), true));
    assert_eq!(read(2), ("a".into(), true));
    let broken = store_blob(&store, b"a\xffb");
    assert_eq!(store.read_text(&broken, 10).unwrap().text, "a\u{fffd}b");
}

#[test]
fn a_changed_or_missing_blob_is_an_error_that_says_so_and_writing_it_again_heals_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for content in [noise(5_000), b"words words words words ".repeat(1_000)] {
        let sha256 = store_blob(&store, &content);
        let path = path_of(folder.path(), &sha256);
        let good = std::fs::read(&path).unwrap();
        for place in [0, 6, 7, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            std::fs::write(&path, &bad).unwrap();
            let error = store.read_text(&sha256, 1 << 20).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {place}: {error}");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert_eq!(store.read_text(&sha256, 1 << 20).unwrap_err().kind(), ErrorKind::Corrupt);
        store_blob(&store, &content);
        assert!(store.read_text(&sha256, 1 << 20).unwrap().text.len() >= 5_000);
        std::fs::remove_file(&path).unwrap();
        let error = store.open_blob(&sha256).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("is missing"), "{error}");
    }
    assert_eq!(store.open_blob("../../etc/passwd").err().unwrap().kind(), ErrorKind::Invalid);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_fails_the_blob_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = folder.path().join("blobs/tmp/0");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let mut writer = store.blob().unwrap();
    let written = writer.write_all(&noise(1_000));
    let error = written.map_err(Into::into).and_then(|()| writer.finish().map(|_| ())).unwrap_err();
    let kind = error.downcast_ref::<crate::Error>().map(crate::Error::kind);
    assert_eq!(kind, Some(ErrorKind::Full), "{error}");
    assert!(!path.exists());
    assert_eq!(store.read_text(&store_blob(&store, b"later"), 9).unwrap().text, "later");
}

/// Peak memory of this process so far, in kilobytes.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const FLAT: &str = "tests::blobs::sixty_four_megabytes_pass_in_flat_memory";

/// Runs itself in a process of its own, as the peak is that of a process.
#[cfg(target_os = "linux")]
#[test]
fn sixty_four_megabytes_pass_in_flat_memory() {
    if std::env::var_os("STORE_FLAT_MEMORY").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([FLAT, "--exact", "--nocapture"])
            .env("STORE_FLAT_MEMORY", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let piece = [noise(32 << 10), b"words, words, ".repeat(2_400)].concat();
    let before = peak_kilobytes();
    let mut writer = store.blob().unwrap();
    for _ in 0..1_024 {
        writer.write_all(&piece).unwrap();
    }
    let BodyText::Blob { sha256, bytes } = writer.finish().unwrap() else { panic!("a blob") };
    assert!(bytes >= 64 << 20);
    let copied = std::io::copy(&mut store.open_blob(&sha256).unwrap(), &mut std::io::sink());
    assert_eq!(copied.unwrap(), bytes);
    let grown = peak_kilobytes() - before;
    assert!(grown < 16 << 10, "memory grew by {grown} kB");
}

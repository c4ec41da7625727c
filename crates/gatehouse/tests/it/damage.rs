//! Bits are flipped and files are cut: `audit verify` finds every damage.

use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng;

use crate::support::{Backend, Gateway, gatehouse, run};

/// Damages tried of each kind.
const ROUNDS: usize = 25;

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__LEDGER__SEGMENT_BYTES", "65536")]);
    gateway.start();
    let chat = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    for number in 0..40 {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"damage {number}"}}]}}"#);
        assert_eq!(gateway.call(chat, &[], body.as_bytes()).status, 200);
    }
    assert!(gateway.terminate());
    let ledger = gateway.folder.path().join("data/ledger");
    assert_eq!(verify(&ledger), Some(0), "clean before the damage");
    let segments = written_segments(&ledger);
    assert!(segments.len() > 1, "the load filled {} segments", segments.len());
    let mut random = rand::rng();
    for _ in 0..ROUNDS {
        let (file, written) = &segments[random.random_range(0..segments.len())];
        let whole = fs::read(file).expect("readable");
        let at = random.random_range(0..*written);
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << random.random_range(0..8);
        fs::write(file, &flipped).expect("writable");
        assert_eq!(verify(&ledger), Some(3), "a bit at {at} of {}", file.display());
        fs::write(file, &whole[..at]).expect("writable");
        assert_eq!(verify(&ledger), Some(3), "cut at {at} of {}", file.display());
        fs::write(file, &whole).expect("writable");
    }
    assert_eq!(verify(&ledger), Some(0), "clean once the damage is mended");
}

fn verify(ledger: &Path) -> Option<i32> {
    run(gatehouse().args(["audit", "verify", "--ledger-dir"]).arg(ledger)).status.code()
}

/// Segments that hold records, with the bytes of each that are written.
fn written_segments(ledger: &Path) -> Vec<(PathBuf, usize)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(ledger).expect("the ledger is a folder") {
        let path = entry.expect("readable").path();
        let bytes = fs::read(&path).unwrap_or_default();
        // What lies behind the last record of a segment is zeros.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let is_segment = path.extension().is_some_and(|extension| extension == "segment");
        if is_segment && written > 4_096 {
            files.push((path, written));
        }
    }
    files
}

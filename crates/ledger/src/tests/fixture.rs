//! Ledgers written by every version of the format, which must open for ever.

use std::path::PathBuf;

use event::{Erasure, Frame, Note, Outcome, Record};

use super::support::*;
use crate::verify;

fn fixture(version: u16) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/v{version}"))
}

/// What every fixture holds: plain and compressed commits over several segments, an interaction
/// open across them all, and one that a crash interrupted.
fn contents() -> Vec<Frame> {
    let mut frames = vec![opened(0)];
    for number in 1..4 {
        let text = Frame { payload: vec![b'x'; 5_000].into(), ..chunk(number, 0) };
        frames.extend([opened(number), chunk(number, 1_300), text, closed(number)]);
    }
    frames.extend([closed(0), opened(4)]);
    frames
}

#[tokio::test]
async fn the_fixture_of_every_format_opens_and_verifies() {
    for version in 1..=crate::format::VERSION {
        opens_and_verifies(version).await;
    }
}

async fn opens_and_verifies(version: u16) {
    let report = verify(&fixture(version), |_| {}).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!((report.frames, report.opened, report.closed), (16, 5, 5));
    assert!(report.segments > 1);

    let dir = copy(&fixture(version));
    let (ledger, recovery) = open(dir.path(), &tiny());
    assert_eq!((recovery.first_sequence, recovery.last_sequence), (1, 16));
    assert_eq!(recovery.interrupted, []);
    let read = frames(&ledger);
    // What it says counts: a member that is empty is no longer written out.
    let records = |frames: &[event::Frame]| -> Vec<_> {
        let decoded = |frame: &event::Frame| Record::decode(frame.kind, &frame.payload).unwrap();
        frames.iter().map(|frame| (frame.interaction, decoded(frame))).collect()
    };
    assert_eq!(records(&read[..15]), records(&contents()));
    let Ok(Record::Closed(end)) = Record::decode(read[15].kind, &read[15].payload) else {
        panic!("not an end: {:?}", read[15]);
    };
    assert_eq!(end.outcome, Outcome::Interrupted);
    assert_eq!(keep(&ledger, [opened(5), closed(5)]).await, 18);
    let order = Record::Note(Box::new(Note::Erasure(Erasure::default()))).encode(id(2));
    keep(&ledger, [order]).await;
    assert_eq!(ledger.erase(&[id(2)].into(), &|| false).unwrap().frames, 2);
    ledger.close().await.unwrap();
    drop(ledger);
    let report = verify(dir.path(), |_| {}).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(report.erased, 2);
}

/// Run once for a new format, by hand: `cargo test -p ledger write_the_fixture -- --ignored`.
#[tokio::test]
#[ignore = "writes into the source tree, once per format version"]
async fn write_the_fixture_of_the_current_format() {
    let dir = fixture(crate::format::VERSION);
    assert!(!dir.exists(), "a fixture that exists stays as it is");
    let (ledger, _) = open(&dir, &tiny());
    for frame in contents() {
        keep(&ledger, [frame]).await;
    }
    ledger.close().await.unwrap();
    drop(ledger);
    drop(open(&dir, &tiny()));
    std::fs::remove_file(dir.join("lock")).unwrap();
}

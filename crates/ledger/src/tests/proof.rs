//! Verification finds every flipped bit and everything cut off, and nothing else.

use std::path::{Path, PathBuf};

use event::{Frame, Kind};

use super::support::*;
use crate::{FindingKind, Report, Trust, verify};

fn check(dir: &Path) -> Report {
    verify(dir, |_| {}).unwrap()
}

/// A closed ledger of a few segments, with compressed and plain commits.
async fn example() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &tiny());
    keep(&ledger, [opened(0)]).await;
    let mut written = 0;
    for number in 1.. {
        keep(&ledger, [opened(number), chunk(number, 1_200)]).await;
        let text = Frame { payload: vec![b'x'; 4_500].into(), ..chunk(number, 0) };
        keep(&ledger, [text, closed(number)]).await;
        written += 4;
        if segments(dir.path()).len() == 3 {
            break;
        }
    }
    keep(&ledger, [closed(0)]).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let report = check(dir.path());
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!((report.first_sequence, report.last_sequence), (1, written + 2));
    assert_eq!(report.opened, report.closed);
    assert_eq!((report.open, report.torn_bytes, report.segments), (0, 0, 3));
    dir
}

/// Bytes that mean something, in every file: up to the last commit, and the slots of the head.
fn live(dir: &Path) -> Vec<(PathBuf, Vec<u64>)> {
    let mut live: Vec<_> = segments(dir)
        .into_iter()
        .map(|path| {
            let end = super::crash::end_of(&path);
            (path, (0..end).collect())
        })
        .collect();
    live.push((dir.join("head"), (0..128).chain(4096..4224).collect()));
    live
}

#[tokio::test]
async fn a_part_is_proved_in_whole_segments_and_damage_elsewhere_is_not_its_own() {
    let dir = example().await;
    let whole = check(dir.path());
    let part = |from, to| {
        let sequence = |at: Option<u64>| at.map(crate::Place::Sequence);
        let span = crate::Span { from: sequence(from), to: sequence(to) };
        crate::verify_span(dir.path(), &span, &Trust::default(), |_| {}).unwrap()
    };
    let begins: Vec<u64> = (0..=whole.last_sequence)
        .map(|sequence| part(Some(sequence), Some(sequence)).first_sequence)
        .collect();
    let mut starts = begins.clone();
    starts.dedup();
    assert_eq!(starts.len(), 3, "each segment is the part of some frame");
    let middle = part(Some(starts[1]), Some(starts[2] - 1));
    assert!(middle.is_clean() && middle.is_part, "{middle:#?}");
    assert_eq!((middle.first_sequence, middle.last_sequence), (starts[1], starts[2] - 1));
    assert_eq!(middle.segments, 1);
    assert!(middle.open >= 1, "interaction 0 is open throughout");
    let parts = part(None, Some(starts[1])).frames + part(Some(starts[2]), None).frames;
    assert_eq!(parts, whole.frames);
    let times = crate::Span {
        from: whole.first_at.map(crate::Place::Time),
        to: whole.last_at.map(crate::Place::Time),
    };
    let all = crate::verify_span(dir.path(), &times, &Trust::default(), |_| {}).unwrap();
    assert_eq!(all, whole);

    let damaged = &segments(dir.path())[1];
    let mut bytes = std::fs::read(damaged).unwrap();
    let last = super::crash::end_of(damaged) as usize - 1;
    bytes[last] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    assert!(!part(Some(starts[1]), Some(starts[1])).is_clean());
    assert!(part(None, Some(starts[1] - 1)).is_clean());
    assert!(part(Some(starts[2]), None).is_clean());
}

#[tokio::test]
async fn every_flipped_byte_is_found() {
    let dir = example().await;
    for (path, offsets) in live(dir.path()) {
        let mut bytes = std::fs::read(&path).unwrap();
        for at in offsets {
            let at = at as usize;
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            // Only the byte, not the file: thousands of whole copies would take minutes.
            poke(&path, at, bytes[at]);
            let report = check(dir.path());
            assert!(!report.is_clean(), "byte {at} of {}", path.display());
            bytes[at] ^= bit;
            poke(&path, at, bytes[at]);
        }
    }
    assert!(check(dir.path()).is_clean());
}

fn poke(path: &Path, at: usize, byte: u8) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[byte], at as u64).unwrap();
}

#[tokio::test]
async fn every_truncation_and_every_missing_file_is_found() {
    let dir = example().await;
    let mut files = segments(dir.path());
    files.push(dir.path().join("head"));
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let step = 7;
        for length in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(!check(dir.path()).is_clean(), "{} cut to {length}", path.display());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!check(dir.path()).is_clean(), "{} removed", path.display());
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(check(dir.path()).is_clean());
}

#[tokio::test]
async fn an_end_cut_off_between_commits_is_found_by_the_head() {
    let dir = example().await;
    let last = segments(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    let header = crate::walk::read_header(&bytes[..]).unwrap().unwrap();
    let mut ends = vec![header.bytes()];
    let mut walk = crate::walk::Walk::new(&bytes[..], &header);
    while walk.next().unwrap().is_ok() {
        ends.push(walk.offset);
    }
    ends.pop();
    for end in ends.into_iter().rev() {
        bytes[end as usize..].fill(0);
        std::fs::write(&last, &bytes).unwrap();
        let report = check(dir.path());
        assert!(report.findings.iter().any(|found| found.kind == FindingKind::Missing));
    }
}

#[tokio::test]
async fn a_live_folder_is_verified_beside_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    let folder = dir.path().to_owned();
    let verifying = std::thread::spawn(move || {
        for _ in 0..30 {
            let report = check(&folder);
            assert!(report.is_live);
            assert!(report.is_clean(), "{report:#?}");
        }
    });
    let mut number = 0;
    while !verifying.is_finished() {
        keep(&ledger, [opened(number), chunk(number, 1_000)]).await;
        keep(&ledger, [closed(number)]).await;
        number += 1;
    }
    verifying.join().unwrap();
    keep(&ledger, [opened(number)]).await;
    let report = check(dir.path());
    assert_eq!((report.open, report.is_clean()), (1, true));
    // The same folder as a crash would leave it: one interaction has no outcome.
    let crashed = copy(dir.path());
    let report = check(crashed.path());
    assert_eq!(report.findings_total, 1);
    assert_eq!(report.findings[0].kind, FindingKind::NoOutcome);
    drop(open(crashed.path(), &small()));
    assert!(check(crashed.path()).is_clean());
}

#[tokio::test]
async fn a_live_folder_is_verified_while_segments_are_recycled() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::LedgerConfig { retain_bytes: 100 << 10, ..small() };
    let (ledger, _) = open(dir.path(), &config);
    let folder = dir.path().to_owned();
    let verifying = std::thread::spawn(move || {
        for _ in 0..30 {
            let report = check(&folder);
            assert!(report.is_clean(), "{report:#?}");
        }
    });
    let mut number = 0;
    while !verifying.is_finished() {
        let last = keep(&ledger, [opened(number), chunk(number, 2_000), closed(number)]).await;
        ledger.release("test", last);
        number += 1;
    }
    verifying.join().unwrap();
}

#[tokio::test]
async fn interactions_that_break_the_rules_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, [opened(1), closed(1), closed(1)]).await;
    keep(&ledger, [closed(2)]).await;
    keep(&ledger, [opened(3), opened(3), closed(3)]).await;
    let broken = Frame { payload: b"{".as_slice().into(), kind: Kind::Dispatched, ..opened(4) };
    keep(&ledger, [opened(4), broken]).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let kinds: Vec<_> =
        check(dir.path()).findings.iter().map(|finding| (finding.kind, finding.sequence)).collect();
    assert_eq!(
        kinds,
        [
            (FindingKind::TwoOutcomes, 3),
            (FindingKind::NoStart, 4),
            (FindingKind::TwoStarts, 6),
            (FindingKind::Undecodable, 9),
            (FindingKind::NoOutcome, 8),
        ]
    );
}

#[test]
fn an_empty_folder_says_what_is_missing_and_one_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let report = check(dir.path());
    assert_eq!(report.findings[0].kind, FindingKind::Missing);
    assert!(verify(&dir.path().join("nowhere"), |_| {}).is_err());
}

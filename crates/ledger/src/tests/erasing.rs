//! What was said goes out of every file; what was proved stays proved.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use event::{Erasure, Frame, InteractionId, Kind, Note, Record};

use super::support::*;
use crate::fault::{Call, FaultyDisk};
use crate::{Erased, ErrorKind, FindingKind, Ledger, LedgerConfig, SigningKey, verify};

const CANARY: &[u8] = b"a canary that sings in plain text";

/// Of text, which would be found on disk.
fn said(number: u64, kind: Kind) -> Frame {
    Frame { interaction: id(number), kind, payload: CANARY.repeat(20).into() }
}

fn order(number: u64) -> Frame {
    let order = Erasure { correlation_id: id(number).to_string(), ..Erasure::default() };
    Record::Note(Box::new(Note::Erasure(order))).encode(id(number))
}

fn plain() -> LedgerConfig {
    LedgerConfig { compress: false, ..small() }
}

/// A call of `number` with the canary in its question and its answer.
fn call(number: u64) -> Vec<Frame> {
    vec![
        opened(number),
        said(number, Kind::RequestChunk),
        said(number, Kind::ResponseChunk),
        closed(number),
    ]
}

fn never() -> bool {
    false
}

/// Times that the canary stands in the files of the folder, whatever they are.
fn sung(dir: &Path) -> usize {
    // The keeper gives a file another name now and then: then all are looked at again.
    loop {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let bytes: io::Result<Vec<_>> = files.map(std::fs::read).collect();
        let Ok(bytes) = bytes else { continue };
        let count = |bytes: &Vec<u8>| memchr::memmem::find_iter(bytes, CANARY).count();
        return bytes.iter().map(count).sum();
    }
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> HashSet<InteractionId> {
    numbers.into_iter().map(id).collect()
}

async fn erase(ledger: &Ledger, numbers: &[u64]) -> Erased {
    for number in numbers {
        keep(ledger, [order(*number)]).await;
    }
    ledger.erase(&ids(numbers.iter().copied()), &never).unwrap()
}

#[tokio::test]
async fn what_was_said_goes_and_what_was_proved_stays() {
    for config in [plain(), LedgerConfig { compress_bytes_min: 0, ..small() }] {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let (ledger, _) = open(dir.path(), &config);
        // Some in every segment, and others among them.
        for number in 0..200 {
            keep(&ledger, if number % 10 == 0 { call(number) } else { quiet(number) }).await;
        }
        ledger.checkpoint(&key).await.unwrap();
        let before = frames(&ledger);
        assert!(segments(dir.path()).len() > 3);
        assert!(config.compress || sung(dir.path()) > 0);

        let numbers: Vec<u64> = (0..200).step_by(10).collect();
        let erased = erase(&ledger, &numbers).await;
        assert_eq!((erased.frames, erased.bytes), (40, 40 * 20 * CANARY.len() as u64));
        assert!(erased.segments > 3);
        assert_eq!(sung(dir.path()), 0);

        let after = frames(&ledger);
        assert_eq!(after.len(), before.len() + numbers.len());
        for (was, is) in before.iter().zip(&after) {
            let is_gone = is_of(&numbers, was) && was.kind.is_content();
            let payload = if is_gone { &[][..] } else { &was.payload };
            assert_eq!(
                (is.interaction, is.kind, &is.payload[..]),
                (was.interaction, was.kind, payload)
            );
        }
        assert_eq!(erase(&ledger, &numbers).await, Erased::default(), "nothing is left");
        keep(&ledger, call(1_000)).await;
        ledger.close().await.unwrap();
        drop(ledger);
        let report = verify(dir.path(), |_| {}).unwrap();
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!((report.erased, report.erasures_ordered, report.checkpoints), (40, 40, 1));
        let (ledger, _) = open(dir.path(), &config);
        assert_eq!(frames(&ledger)[..after.len()], after[..]);
    }
}

/// A call that says nothing of worth.
fn quiet(number: u64) -> Vec<Frame> {
    vec![opened(number), chunk(number, 700), closed(number)]
}

fn is_of(numbers: &[u64], frame: &Frame) -> bool {
    numbers.iter().any(|number| id(*number) == frame.interaction)
}

#[tokio::test]
async fn what_is_erased_without_an_order_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &small());
    keep(&ledger, call(1)).await;
    keep(&ledger, call(2)).await;
    keep(&ledger, [order(1)]).await;
    ledger.erase(&ids([1, 2]), &never).unwrap();
    ledger.close().await.unwrap();
    let report = verify(dir.path(), |_| {}).unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:#?}") };
    assert_eq!((finding.kind, finding.sequence), (FindingKind::ErasedWithoutOrder, 6));
    assert!(finding.text.contains(&id(2).to_string()), "{}", finding.text);
}

#[tokio::test]
async fn an_order_for_what_has_not_ended_holds_for_what_it_says_later() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &plain());
    keep(&ledger, call(1)).await;
    keep(&ledger, [opened(2), said(2, Kind::RequestChunk)]).await;
    keep(&ledger, [order(1), order(2)]).await;
    assert_eq!(ledger.open_among(&ids([1, 2, 3])).unwrap(), ids([2]));
    assert_eq!(ledger.erase(&ids([1]), &never).unwrap().frames, 2);
    assert_eq!(sung(dir.path()), 20);
    keep(&ledger, [said(2, Kind::ResponseChunk), closed(2)]).await;
    assert_eq!(ledger.open_among(&ids([1, 2])).unwrap(), ids([]));
    assert_eq!(ledger.erase(&ids([1, 2]), &never).unwrap().frames, 2);
    assert_eq!(sung(dir.path()), 0);
    ledger.close().await.unwrap();
    let report = verify(dir.path(), |_| {}).unwrap();
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test]
async fn an_erasure_without_work_takes_no_segment_and_one_with_work_takes_no_more_than_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &plain());
    keep(&ledger, call(1)).await;
    keep(&ledger, call(2)).await;
    assert_eq!(erase(&ledger, &[9]).await, Erased::default());
    assert_eq!(ledger.stats().segments, 1);
    assert_eq!(erase(&ledger, &[1]).await.segments, 1);
    let first = std::fs::metadata(&segments(dir.path())[0]).unwrap().len();
    assert!(first < 8 << 10, "{first}");
    for _ in 0..20 {
        assert_eq!(ledger.erase(&ids([1]), &never).unwrap(), Erased::default());
    }
    assert_eq!(ledger.stats().segments, 2);
    ledger.close().await.unwrap();
    assert!(verify(dir.path(), |_| {}).unwrap().is_clean());
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_all_others_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &plain());
    for number in 0..200 {
        keep(&ledger, call(number)).await;
    }
    keep(&ledger, (0..200).map(order)).await;
    let damaged = segments(dir.path())[1].clone();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[10_000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let error = ledger.erase(&ids(0..200), &never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    std::fs::remove_file(damaged).unwrap();
    assert_eq!(sung(dir.path()), 0);
}

#[tokio::test]
async fn an_erasure_that_is_stopped_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &plain());
    for number in 0..200 {
        keep(&ledger, call(number)).await;
    }
    let looks = std::cell::Cell::new(0);
    let stop = || looks.replace(looks.get() + 1) == 2;
    let error = ledger.erase(&ids(0..200), &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(sung(dir.path()) > 0);
    assert!(ledger.erase(&ids(0..200), &never).unwrap().segments > 0);
    assert_eq!(sung(dir.path()), 0);
}

#[tokio::test]
async fn bytes_of_an_earlier_use_go_too() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        LedgerConfig { retain_age_seconds: 0, retain_bytes: 1, spare_segments: 4, ..plain() };
    let (ledger, _) = open(dir.path(), &config);
    for number in 0..200 {
        keep(&ledger, call(number)).await;
    }
    // What is released is recycled, with all that stands in it.
    ledger.release("test", u64::MAX);
    while ledger.stats().segments > 1 || ledger.stats().spare_segments < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    keep(&ledger, quiet(500)).await;
    assert!(sung(dir.path()) > 100);
    ledger.release("other", 0);
    erase(&ledger, &(0..200).collect::<Vec<_>>()).await;
    assert_eq!(sung(dir.path()), 0);
    ledger.close().await.unwrap();
    assert!(verify(dir.path(), |_| {}).unwrap().is_clean());
}

#[tokio::test]
async fn a_reader_and_appends_go_on_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path(), &plain());
    for number in 0..100 {
        keep(&ledger, call(number)).await;
    }
    let mut reader = ledger.reader(0).unwrap();
    for _ in 0..50 {
        reader.next(SOON).unwrap().unwrap();
    }
    let eraser = ledger.clone();
    keep(&ledger, (0..100).map(order)).await;
    let erasing = std::thread::spawn(move || eraser.erase(&ids(0..100), &never));
    for number in 100..300 {
        keep(&ledger, call(number)).await;
    }
    assert_eq!(erasing.join().unwrap().unwrap().frames, 200);
    let mut last = 50;
    while last < 1_300 {
        let entry = reader.next(SOON).unwrap().unwrap();
        assert_eq!(entry.sequence, last + 1);
        last = entry.sequence;
    }
    ledger.close().await.unwrap();
    assert!(verify(dir.path(), |_| {}).unwrap().is_clean());
}

#[tokio::test]
async fn an_erasure_that_fails_can_be_repeated_at_once_or_after_a_start() {
    let calls = [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncDir];
    for (failing, is_restarted) in calls.into_iter().flat_map(|call| [(call, false), (call, true)])
    {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let config = LedgerConfig { spare_segments: 0, ..plain() };
        let (mut ledger, _) = open_on(&disk, dir.path(), &config);
        for number in 0..100 {
            keep(&ledger, call(number)).await;
        }
        keep(&ledger, (0..100).map(order)).await;
        disk.fail(failing, io::ErrorKind::Other);
        ledger.erase(&ids(0..100), &never).unwrap_err();
        if is_restarted {
            let _ = ledger.close().await;
            disk.heal();
            ledger = open(dir.path(), &config).0;
        }
        disk.heal();
        // It takes a moment until a poisoned ledger records again.
        while ledger.erase(&ids(0..100), &never).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(sung(dir.path()), 0, "{failing:?} {is_restarted}");
        ledger.close().await.unwrap();
        let report = verify(dir.path(), |_| {}).unwrap();
        assert!(report.is_clean(), "{failing:?} {is_restarted} {report:#?}");
        assert_eq!(report.erased, 200);
    }
}

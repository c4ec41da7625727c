//! The thread on a real ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Frame, Timestamp};
use ledger::{Ledger, LedgerConfig};
use policy::Prices;

use crate::tests::sink::MemorySink;
use crate::tests::story::{START_MICROS, Story};
use crate::{ErrorKind, Pipeline, PipelineConfig, State};

const WAIT: Duration = Duration::from_secs(20);

fn open(dir: &Path) -> Ledger {
    let config =
        LedgerConfig { segment_bytes: 256 << 10, spare_segments: 0, ..LedgerConfig::default() };
    let now = || Timestamp::from_unix_micros(START_MICROS);
    Ledger::open(&dir.join("ledger"), config, now).expect("the ledger opens").0
}

fn append(ledger: &Ledger, frames: Vec<Frame>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime
        .block_on(async { ledger.append(frames).await?.durable().await })
        .expect("the ledger takes it");
}

fn close(ledger: Ledger) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(ledger.close()).expect("the ledger closes");
}

fn start(ledger: &Ledger, sink: &MemorySink, dir: &Path) -> Result<Pipeline, crate::Error> {
    let config = PipelineConfig { flush_interval_ms: 10, ..PipelineConfig::default() };
    let prices = Arc::new(Prices::builtin());
    Pipeline::start(ledger.clone(), Arc::new(sink.clone()), prices, config, dir.join("work"))
}

#[test]
fn rows_follow_the_ledger_within_a_second_and_a_restart_repeats_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = open(dir.path());
    let sink = MemorySink::default();
    let pipeline = start(&ledger, &sink, dir.path()).expect("it starts");
    append(&ledger, Story::chat(1).frames());
    assert!(pipeline.settle(Duration::from_secs(1)), "{:?}", pipeline.status());
    assert_eq!(sink.interactions().len(), 1);
    assert_eq!((pipeline.lag(), pipeline.status().rows), (0, 1));
    sink.make_durable();
    append(&ledger, Story::chat(2).frames());
    assert!(pipeline.settle(WAIT));
    pipeline.stop();
    sink.crash();
    assert_eq!(sink.interactions().len(), 1, "the second was not durable");

    let pipeline = start(&ledger, &sink, dir.path()).expect("it starts again");
    append(&ledger, Story::chat(3).frames());
    assert!(pipeline.settle(WAIT));
    pipeline.stop();
    let mut ids: Vec<_> = sink.interactions().into_iter().map(|row| row.correlation_id).collect();
    ids.sort();
    assert_eq!(ids, [1, 2, 3].map(|number| Story::chat(number).id.to_string()));
    close(ledger);
}

#[test]
fn stopping_writes_what_has_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = open(dir.path());
    let sink = MemorySink::default();
    for number in 1..20 {
        append(&ledger, Story::chat(number).frames());
    }
    start(&ledger, &sink, dir.path()).expect("it starts").stop();
    assert_eq!(sink.interactions().len(), 19);
    close(ledger);
}

#[test]
fn a_sink_that_refuses_is_asked_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = open(dir.path());
    let sink = MemorySink::default();
    sink.state().refusals = 3;
    sink.state().blob_refusals = 2;
    let pipeline = start(&ledger, &sink, dir.path()).expect("it starts");
    append(&ledger, Story::chat(1).frames());
    append(&ledger, Story::chat(2).asks("x".repeat(70_000)).frames());
    assert!(pipeline.settle(WAIT), "{:?}", pipeline.status());
    let status = pipeline.status();
    assert_eq!((status.failures, status.state), (5, State::Running));
    assert!(!status.last_failure.is_empty());
    assert_eq!(sink.interactions().len(), 2);
    pipeline.stop();
    close(ledger);
}

#[test]
fn segments_are_released_once_the_sink_is_durable() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = LedgerConfig {
        segment_bytes: 64 << 10,
        spare_segments: 0,
        retain_age_seconds: 0,
        compress: false,
        ..LedgerConfig::default()
    };
    let now = || Timestamp::from_unix_micros(START_MICROS);
    let (ledger, _) = Ledger::open(&dir.path().join("ledger"), config, now).expect("it opens");
    let sink = MemorySink::default();
    let pipeline = start(&ledger, &sink, dir.path()).expect("it starts");
    for number in 1..100 {
        append(&ledger, Story::chat(number).asks("x".repeat(4_000)).frames());
    }
    assert!(pipeline.settle(WAIT));
    assert!(ledger.reader(1).is_ok(), "nothing is durable, so nothing is released");
    sink.make_durable();
    let until = std::time::Instant::now() + WAIT;
    while ledger.reader(1).is_ok() && std::time::Instant::now() < until {
        append(&ledger, Story::chat(100).frames());
        assert!(pipeline.settle(WAIT));
    }
    assert!(ledger.reader(1).is_err(), "the first segments are given up");
    pipeline.stop();
    close(ledger);
}

#[test]
fn tables_of_another_ledger_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = open(dir.path());
    let sink = MemorySink::default();
    let pipeline = start(&ledger, &sink, dir.path()).expect("it starts");
    append(&ledger, Story::chat(1).frames());
    assert!(pipeline.settle(WAIT));
    sink.make_durable();
    pipeline.stop();
    close(ledger);
    let other = tempfile::tempdir().expect("a folder");
    let ledger = open(other.path());
    let error = start(&ledger, &sink, other.path()).err().expect("it is another ledger");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("up to sequence 6"), "{error}");
    close(ledger);
}

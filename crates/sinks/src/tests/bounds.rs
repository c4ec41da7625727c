//! What is large is delivered in smaller pieces, or refused by name; how long it is waited.

use std::time::Duration;

use super::*;
use crate::batch::Remedy;
use crate::config::Beginning;
use crate::follow::pause;

fn reader(bytes_max: u64) -> StreamJobConfig {
    StreamJobConfig {
        from: Beginning::Beginning,
        purpose: "bounds".into(),
        bytes_max,
        ..job("reader", "| project RequestBody")
    }
}

fn large(sequence: i64, bytes: usize) -> Interaction {
    Interaction { request_body: BodyText::Inline("x".repeat(bytes)), ..interaction(sequence) }
}

#[tokio::test]
async fn large_rows_go_in_smaller_batches_and_one_beyond_the_limit_goes_alone() {
    let fixture = Fixture::new().await;
    let mut rows: Vec<_> = (1..=8).map(|sequence| large(sequence, 30_000)).collect();
    rows.push(large(9, 500_000));
    rows.push(large(10, 1));
    fixture.add_rows(rows);
    let sink = Recorder::default();
    drain(&mut fixture.job(&reader(64 << 10), sink.clone())).await;
    let sizes: Vec<_> = sink.batches().iter().map(|batch| batch.rows.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 2) && sizes.len() >= 6, "{sizes:?}");
    let expected: Vec<_> = (1..=10).map(|number| format!("reader:n1:{number}:0")).collect();
    assert_eq!(sink.keys(), expected);
}

#[tokio::test]
async fn a_row_that_is_too_large_for_any_batch_is_refused_by_its_sequence() {
    let fixture = Fixture::new().await;
    fixture.add_rows(vec![large(1, 10), large(2, 65 << 20), large(3, 10)]);
    let sink = Recorder::default();
    let mut job = fixture.job(&reader(64 << 10), sink.clone());
    assert_eq!(step(&mut job).await, Ok(Step::Moved));
    let failure = step(&mut job).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::Change);
    assert!(
        failure.why.contains("LedgerSequence 2") && failure.why.contains("64 MiB"),
        "{failure:?}"
    );
    assert_eq!(sink.keys(), ["reader:n1:1:0"], "it stops there");
}

#[tokio::test]
async fn rows_that_lie_far_apart_are_found_with_few_looks() {
    let fixture = Fixture::new().await;
    fixture.add([1, 9_000, 9_999]);
    let sink = Recorder::default();
    let config = StreamJobConfig { rows_max: 1, ..reader(64 << 10) };
    let mut job = fixture.job(&config, sink.clone());
    let mut steps = 1;
    while step(&mut job).await == Ok(Step::Moved) {
        steps += 1;
    }
    assert_eq!(sink.keys(), ["reader:n1:1:0", "reader:n1:9000:0", "reader:n1:9999:0"]);
    assert!(steps < 25, "{steps}");
}

#[test]
fn pauses_double_up_to_five_minutes_and_begin_there_where_somebody_has_to_act() {
    let pauses = [1, 2, 3, 9, 10, 60].map(|failures| pause(failures, Remedy::Again).as_secs());
    assert_eq!(pauses, [1, 2, 4, 256, 300, 300]);
    assert_eq!(pause(1, Remedy::Change), Duration::from_secs(300));
}

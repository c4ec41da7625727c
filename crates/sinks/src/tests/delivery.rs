//! At least once, in order, with the same keys, whatever fails.

use super::*;
use crate::batch::Remedy;
use crate::config::Beginning;
use crate::progress::Progress;

fn from_beginning(id: &str, query: &str) -> StreamJobConfig {
    StreamJobConfig { from: Beginning::Beginning, ..job(id, query) }
}

#[tokio::test]
async fn new_rows_come_in_the_order_of_the_ledger_with_the_columns_that_were_asked_for() {
    let fixture = Fixture::new().await;
    fixture.add([5, 3, 9]);
    let sink = Recorder::default();
    let mut job = fixture.job(&job("one", "| project CorrelationId"), sink.clone());
    assert_eq!(step(&mut job).await, Ok(Step::Idle), "it begins now");
    fixture.add([12, 11]);
    fixture.store.seal().unwrap();
    fixture.add([20]);
    drain(&mut job).await;
    let [batch] = &sink.batches()[..] else { panic!("one batch") };
    let names: Vec<_> = batch.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["_Key", "CorrelationId", "LedgerSequence"]);
    let shown: Vec<_> = batch.rows.iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert_eq!(shown, ["one:n1:11:0 call-11", "one:n1:12:0 call-12", "one:n1:20:0 call-20"]);
    assert_eq!(batch.name, "one:n1:11-20");
    // What is asked for again is asked for where it stopped.
    let mut again = fixture.job(&job.config, sink.clone());
    assert_eq!(step(&mut again).await, Ok(Step::Idle));
    assert_eq!(sink.batches().len(), 1);
}

#[tokio::test]
async fn rows_that_come_of_one_row_have_keys_of_their_own() {
    let fixture = Fixture::new().await;
    fixture.add([1, 2]);
    let sink = Recorder::default();
    let query = "| mv-expand Part = dynamic(['a', 'b']) to typeof(string) | where not(LedgerSequence == 1 and Part == 'a') | project Part";
    drain(&mut fixture.job(&from_beginning("parts", query), sink.clone())).await;
    assert_eq!(sink.keys(), ["parts:n1:1:0", "parts:n1:2:0", "parts:n1:2:1"]);
}

#[tokio::test]
async fn whatever_fails_and_whenever_it_is_killed_nothing_is_missing_and_doubles_have_the_same_keys()
 {
    let fixture = Fixture::new().await;
    let sink = Recorder::default();
    let config = StreamJobConfig { rows_max: 7, ..from_beginning("all", "") };
    let mut job = fixture.job(&config, sink.clone());
    let mut random = 42_u64;
    let mut next = move |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut last = 0;
    for _ in 0..300 {
        match next(8) {
            0 => sink.fault(Fault::Before),
            1 => sink.fault(Fault::After),
            // Killed: what is not in the file is forgotten.
            2 => job = fixture.job(&config, sink.clone()),
            3 => fixture.store.seal().unwrap(),
            4 => {
                let more = 1 + next(20).cast_signed();
                fixture.add((last..last + more).map(|number| number * 3 + 1));
                last += more;
            }
            // Stopped before it is done.
            5 => {
                let stop = CancellationToken::new();
                stop.cancel();
                let _ = job.step(at(0), &stop).await;
            }
            _ => drop(step(&mut job).await),
        }
    }
    sink.0.lock().unwrap().faults.clear();
    drain(&mut job).await;
    let expected: Vec<_> = (0..last).map(|number| format!("all:n1:{}:0", number * 3 + 1)).collect();
    let keys = sink.keys();
    assert!(last > 100 && keys.len() > expected.len(), "{last} rows, some of them twice");
    let mut seen = std::collections::HashSet::new();
    let firsts: Vec<_> = keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
    assert_eq!(firsts, expected, "in order, none missing");
}

#[tokio::test]
async fn a_batch_that_was_on_its_way_comes_again_as_it_was_though_more_has_come() {
    let fixture = Fixture::new().await;
    fixture.add([1, 2]);
    let sink = Recorder::default();
    sink.fault(Fault::After);
    let config = from_beginning("again", "| project CorrelationId");
    let failure = step(&mut fixture.job(&config, sink.clone())).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::Again);
    fixture.add([3, 4]);
    drain(&mut fixture.job(&config, sink.clone())).await;
    let batches = sink.batches();
    assert_eq!(batches[0], batches[1]);
    assert_eq!(batches[2].name, "again:n1:3-4");
}

#[tokio::test]
async fn after_a_crash_it_waits_until_the_tables_hold_again_what_was_on_its_way() {
    let fixture = Fixture::new().await;
    fixture.add([1, 2]);
    let sink = Recorder::default();
    sink.fault(Fault::Before);
    let config = from_beginning("early", "");
    assert!(step(&mut fixture.job(&config, sink.clone())).await.is_err());
    // As it is right after a start: the pipeline has read up to 1 again.
    fixture.applied.store(1, Ordering::SeqCst);
    let mut job = fixture.job(&config, sink.clone());
    assert_eq!(step(&mut job).await, Ok(Step::Idle));
    assert!(sink.keys().is_empty());
    fixture.applied.store(2, Ordering::SeqCst);
    drain(&mut job).await;
    assert_eq!(sink.keys(), ["early:n1:1:0", "early:n1:2:0"]);
}

#[tokio::test]
async fn a_job_that_is_refused_stays_where_it_is_and_says_why() {
    let fixture = Fixture::new().await;
    fixture.add([1]);
    let sink = Recorder::default();
    sink.fault(Fault::Refused);
    let mut job = fixture.job(&from_beginning("no", ""), sink.clone());
    let failure = step(&mut job).await.unwrap_err();
    assert_eq!(
        (failure.remedy, failure.why.as_str()),
        (Remedy::Change, "the sink wants other columns")
    );
    assert!(sink.keys().is_empty());
    drain(&mut job).await;
    assert_eq!(sink.keys(), ["no:n1:1:0"]);
    // A column that is not there is the query's fault.
    fixture.add([2]);
    let failure = step(&mut fixture.job(&from_beginning("typo", "| where Modl == ''"), sink)).await;
    let failure = failure.unwrap_err();
    assert!(failure.remedy == Remedy::Change && failure.why.contains("Modl"), "{failure:?}");
}

#[tokio::test]
async fn content_is_masked_unless_it_may_be_read_and_is_asked_for_a_purpose() {
    let fixture = Fixture::new().await;
    fixture.add([1]);
    let query = "| project RequestBody";
    for (id, purpose, expected) in
        [("reader", "review", "{\"said\":1}"), ("other", "review", ""), ("reader", "", "")]
    {
        let sink = Recorder::default();
        let config = StreamJobConfig { purpose: purpose.into(), ..from_beginning(id, query) };
        drain(&mut fixture.job(&config, sink.clone())).await;
        let [batch] = &sink.batches()[..] else { panic!("one batch") };
        assert_eq!(batch.rows[0][1].to_string(), expected, "{id} {purpose}");
        std::fs::remove_file(&fixture.file(id).0).unwrap();
    }
    let read = ("job:reader".to_owned(), "[\"Interactions.RequestBody\"]".to_owned());
    assert_eq!(fixture.reads(), [read], "only the look that showed something");
}

#[tokio::test]
async fn rows_that_went_before_they_were_delivered_are_told_of() {
    const DAY: i64 = 86_400;
    let fixture = Fixture::with(StoreConfig { retention_days: 2, ..StoreConfig::default() }).await;
    let row = |sequence: i64, day: i64| Interaction {
        time_generated: at(day * DAY),
        ..interaction(sequence)
    };
    fixture.add_rows(vec![row(1, 0)]);
    let sink = Recorder::default();
    let mut late = fixture.job(&from_beginning("late", ""), sink.clone());
    drain(&mut late).await;
    fixture.add_rows(vec![row(4, 0), row(7, 1), row(9, 3)]);
    fixture.store.seal().unwrap();
    fixture.store.maintain(at(3 * DAY)).unwrap();
    drain(&mut late).await;
    assert_eq!(late.progress.as_ref().unwrap().missed, 3, "sequences 2 to 4");
    assert_eq!(sink.keys(), ["late:n1:1:0", "late:n1:7:0", "late:n1:9:0"]);
    drain(&mut late).await;
    assert_eq!(late.progress.as_ref().unwrap().missed, 3, "it is said once");
    // What was gone before it began is not missed.
    let mut new = fixture.job(&from_beginning("new", ""), sink);
    drain(&mut new).await;
    assert_eq!(new.progress.as_ref().unwrap().missed, 0);
}

#[tokio::test]
async fn a_ledger_that_ends_before_what_was_delivered_is_another_one() {
    let fixture = Fixture::new().await;
    let config = from_beginning("moved", "");
    let progress = Progress { position: 50_000, ..Progress::default() };
    fixture.file("moved").keep(&progress).await.unwrap();
    let mut job = fixture.job(&config, Recorder::default());
    let failure = step(&mut job).await.unwrap_err();
    assert!(failure.remedy == Remedy::Change && failure.why.contains("another one"), "{failure:?}");
}

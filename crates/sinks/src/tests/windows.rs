//! Windows of time: each once, when it is over, with the same keys.

use std::collections::HashSet;

use super::*;
use crate::config::{Beginning, WindowConfig};

fn windowed(query: &str) -> StreamJobConfig {
    StreamJobConfig {
        from: Beginning::Beginning,
        window: Some(WindowConfig { every_s: 60, late_s: 10 }),
        ..job("w", query)
    }
}

async fn step_at(job: &mut Job, seconds: i64) -> Result<Step, Failure> {
    job.step(at(seconds), &CancellationToken::new()).await
}

#[tokio::test]
async fn each_window_is_asked_for_once_when_it_is_over() {
    let fixture = Fixture::new().await;
    fixture.add([10, 20, 70, 200]);
    let sink = Recorder::default();
    let config = windowed("| summarize Calls = count(), Tokens = sum(PromptTokens)");
    let mut job = fixture.job(&config, sink.clone());
    assert_eq!(step_at(&mut job, 69).await, Ok(Step::Idle), "late rows are waited for");
    sink.fault(Fault::After);
    assert!(step_at(&mut job, 70).await.is_err());
    let mut job = fixture.job(&config, sink.clone());
    while step_at(&mut job, 300).await == Ok(Step::Moved) {}
    let batches = sink.batches();
    assert_eq!(batches[0], batches[1], "as it was");
    let names: Vec<_> = batches[0].columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["_Key", "WindowStart", "Calls", "Tokens"]);
    let shown = sink.distinct().into_values().map(|row| {
        let cells = row.iter().skip(1).map(Value::to_string).collect::<Vec<_>>();
        cells.join(" ")
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "2026-11-23T12:00:00.0000000Z 2 30",
            "2026-11-23T12:01:00.0000000Z 1 70",
            "2026-11-23T12:02:00.0000000Z 0 0",
            "2026-11-23T12:03:00.0000000Z 1 200",
        ]
    );
}

#[tokio::test]
async fn a_large_window_comes_in_pieces_whose_rows_stand_in_one_order() {
    let fixture = Fixture::new().await;
    fixture.add(1..=25);
    let sink = Recorder::default();
    let config = StreamJobConfig {
        rows_max: 10,
        ..windowed("| summarize Calls = count() by CorrelationId")
    };
    let mut job = fixture.job(&config, sink.clone());
    assert_eq!(step_at(&mut job, 100).await, Ok(Step::Moved));
    let sizes: Vec<_> = sink.batches().iter().map(|batch| batch.rows.len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    let ids: HashSet<_> = sink.distinct().into_values().map(|row| row[2].to_string()).collect();
    assert_eq!(ids.len(), 25);
}

#[tokio::test]
async fn a_window_that_is_asked_again_loses_and_doubles_no_row_though_one_has_come() {
    let fixture = Fixture::new().await;
    fixture.add(1..=5);
    let sink = Recorder::default();
    let config = windowed("| project PromptTokens");
    sink.fault(Fault::After);
    assert!(step_at(&mut fixture.job(&config, sink.clone()), 100).await.is_err());
    fixture.add([0]);
    let mut job = fixture.job(&config, sink.clone());
    assert_eq!(step_at(&mut job, 100).await, Ok(Step::Moved));
    let mut told: Vec<_> = sink.distinct().into_values().map(|row| row[2].to_string()).collect();
    told.sort();
    assert_eq!(told, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn windows_whose_rows_went_before_they_were_asked_for_are_told_of() {
    const DAY: i64 = 86_400;
    let fixture = Fixture::with(StoreConfig { retention_days: 2, ..StoreConfig::default() }).await;
    fixture.add([1]);
    let window = Some(WindowConfig { every_s: 3_600, late_s: 0 });
    let config = StreamJobConfig { window, ..windowed("| count") };
    let mut job = fixture.job(&config, Recorder::default());
    assert_eq!(step_at(&mut job, 2).await, Ok(Step::Idle));
    fixture.store.seal().unwrap();
    fixture.store.maintain(at(3 * DAY)).unwrap();
    assert_eq!(step_at(&mut job, 3).await, Ok(Step::Idle));
    assert_eq!(job.progress.as_ref().unwrap().missed, 1);
}

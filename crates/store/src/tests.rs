//! The store as its users see it, and what only its insides can provoke.

mod blobs;
mod crash;
mod damage;
mod erase;
mod evolve;
mod messages;
mod model;
mod read;
mod terms;
mod upkeep;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::catalog::TableProvider;
use datafusion::prelude::{Expr, SessionContext, col};
use event::{Batch, BodyText, Cursor, Interaction, Message, Sink, Timestamp};

use crate::{Store, StoreConfig};

/// 2026-11-23T12:00:00Z.
const NOON: i64 = 1_795_435_200_000_000;
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

/// A store that does nothing by itself.
fn quiet() -> StoreConfig {
    StoreConfig {
        seal_age_seconds: 1_000_000,
        maintain_interval_seconds: 1_000_000,
        ..StoreConfig::default()
    }
}

fn open(folder: &Path) -> Arc<Store> {
    Store::open(folder, quiet(), at(NOON)).unwrap()
}

fn interaction(number: i64, time: i64) -> Interaction {
    Interaction {
        time_generated: at(time),
        correlation_id: format!("id-{number:06}"),
        request_body: BodyText::Inline(format!("body of {number}")),
        ledger_sequence: number,
        prompt_tokens: (number % 2 == 0).then_some(number),
        ..Interaction::default()
    }
}

fn message(number: i64, time: i64) -> Message {
    Message {
        time_generated: at(time),
        correlation_id: format!("id-{number:06}"),
        content: BodyText::Inline(format!("text of {number}")),
        ..Message::default()
    }
}

/// Interactions `from..to` with a message each, a second apart, and the cursor after them.
fn batch(from: i64, to: i64) -> Batch {
    let time = |number: i64| NOON + number * 1_000_000;
    Batch {
        interactions: (from..to).map(|number| interaction(number, time(number))).collect(),
        messages: (from..to).map(|number| message(number, time(number))).collect(),
        cursor: cursor(to),
        ..Batch::default()
    }
}

/// The batch with messages that are at odds with their interactions, and so rows of their own.
fn loose(mut batch: Batch) -> Batch {
    for message in &mut batch.messages {
        message.kind = "other".into();
    }
    batch
}

/// The cursor once the first `to` interactions are in; that of a new store for none.
fn cursor(to: i64) -> Cursor {
    if to == 0 {
        return Cursor::default();
    }
    let sequence = u64::try_from(to).unwrap();
    Cursor { applied: sequence, resume_from: sequence + 1 }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// Rows of a table that pass a filter, of the columns given.
fn select(
    provider: Arc<dyn TableProvider>,
    filter: Option<Expr>,
    columns: &[&str],
) -> datafusion::error::Result<Vec<RecordBatch>> {
    run(async {
        let mut frame = SessionContext::new().read_table(provider)?;
        if let Some(filter) = filter {
            frame = frame.filter(filter)?;
        }
        frame.select(columns.iter().map(|name| col(format!("\"{name}\"")))).unwrap().collect().await
    })
}

/// The sequence numbers in `Interactions`, sorted.
fn numbers(provider: Arc<dyn TableProvider>, filter: Option<Expr>) -> Vec<i64> {
    let batches = select(provider, filter, &["LedgerSequence"]).unwrap();
    let values =
        |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    let mut all: Vec<_> = batches.iter().flat_map(values).collect();
    all.sort_unstable();
    all
}

/// The text cells of a column, sorted.
fn texts(provider: Arc<dyn TableProvider>, column: &str) -> Vec<String> {
    let batches = select(provider, None, &[column]).unwrap();
    let cells = |batch: &RecordBatch| {
        let column = batch.column(0).as_string_view().clone();
        column.iter().map(|cell| cell.unwrap_or("(null)").to_owned()).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = batches.iter().flat_map(cells).collect();
    all.sort_unstable();
    all
}

fn interactions(store: &Store) -> Arc<dyn TableProvider> {
    store.provider("Interactions").unwrap()
}

fn times_of(provider: Arc<dyn TableProvider>) -> Vec<i64> {
    let batches = select(provider, None, &["TimeGenerated"]).unwrap();
    let values =
        |b: &RecordBatch| b.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let mut all: Vec<_> = batches.iter().flat_map(values).collect();
    all.sort_unstable();
    all
}

/// The extent files below a store's folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for table in crate::disk::entries(&folder.join("tables")).unwrap() {
        for day in crate::disk::entries(&table.path()).unwrap() {
            found.extend(crate::disk::entries(&day.path()).unwrap().iter().map(|f| f.path()));
        }
    }
    found.sort();
    found
}

fn write(store: &Store, batch: Batch) {
    store.write(&batch).unwrap();
}

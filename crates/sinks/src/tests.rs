//! Jobs over real tables and a real ledger, into a sink that remembers what it got.

mod bounds;
mod config;
mod delivery;
mod over_http;
mod postgres;
mod windows;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event::{
    Batch as Rows, BodyText, ContentRead, Cursor, Interaction, InteractionId, Note, Record,
    Sink as _, Timestamp,
};
use kql::Value;
use ledger::{Ledger, LedgerConfig};
use store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vault::{Vault, VaultConfig};

use crate::batch::{Batch, Failure};
use crate::config::StreamJobConfig;
use crate::job::{Job, Step};
use crate::parts::{GivenUp, StreamJobsParts};
use crate::progress::File;
use crate::sink::Sink;

/// 2026-11-23T12:00:00Z.
const NOON: i64 = 1_795_435_200_000_000;
const SECOND: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(NOON + seconds * SECOND)
}

/// What becomes of the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The sink does not take it.
    Before,
    /// The sink takes it and does not say so.
    After,
    /// The sink refuses it for good.
    Refused,
}

/// A sink, and what came to it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    batches: Vec<Batch>,
    faults: Vec<Fault>,
}

impl Recorder {
    fn fault(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push(fault);
    }

    fn batches(&self) -> Vec<Batch> {
        self.0.lock().unwrap().batches.clone()
    }

    /// Keys in the order they came, with doubles.
    fn keys(&self) -> Vec<String> {
        let rows = self.batches().into_iter().flat_map(|batch| batch.rows);
        rows.map(|row| row[0].to_string()).collect()
    }

    /// Each row once, by its key.
    fn distinct(&self) -> BTreeMap<String, Vec<Value>> {
        let mut distinct = BTreeMap::new();
        for row in self.batches().into_iter().flat_map(|batch| batch.rows) {
            // What is there stays, as in a table with a primary key.
            distinct.entry(row[0].to_string()).or_insert(row);
        }
        distinct
    }
}

#[async_trait]
impl Sink for Recorder {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut recorded = self.0.lock().unwrap();
        let fault = recorded.faults.pop();
        if fault.is_none() || fault == Some(Fault::After) {
            recorded.batches.push(batch.clone());
        }
        match fault {
            None => Ok(()),
            Some(Fault::Before | Fault::After) => Err(Failure::again("the sink is down")),
            Some(Fault::Refused) => Err(Failure::refused("the sink wants other columns")),
        }
    }
}

/// Tables, a ledger, and what jobs work with.
struct Fixture {
    parts: Arc<StreamJobsParts>,
    store: Arc<Store>,
    applied: Arc<AtomicU64>,
    _folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(StoreConfig { retention_days: 0, ..StoreConfig::default() }).await
    }

    async fn with(config: StoreConfig) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("tables"), config, at(0)).unwrap();
        let engine = query::Engine::new(store.clone(), query::QueryConfig::default()).unwrap();
        let applied = Arc::new(AtomicU64::new(0));
        let (seen, rows) = (applied.clone(), store.clone());
        let vault = Vault::new(&VaultConfig::default(), |_| {}).unwrap();
        let parts = StreamJobsParts {
            engine: Arc::new(engine),
            ledger: open_ledger(folder.path()).await,
            applied: Box::new(move || seen.load(Ordering::SeqCst)),
            complete_until: Box::new(Some),
            given_up: Box::new(move |table| {
                let gone = rows.given_up(table).unwrap();
                GivenUp { sequence: gone.sequence, time: gone.time }
            }),
            may_read_content: Box::new(|identity| identity == "job:reader"),
            vault,
            node: "n1".into(),
            folder: folder.path().join("sinks"),
            now: || at(0),
        };
        Self { parts: Arc::new(parts), store, applied, _folder: folder }
    }

    /// Calls with these sequences, a second apart.
    fn add(&self, sequences: impl IntoIterator<Item = i64>) {
        self.add_rows(sequences.into_iter().map(interaction).collect());
    }

    fn add_rows(&self, interactions: Vec<Interaction>) {
        let last = interactions.iter().map(|row| row.ledger_sequence).max().unwrap_or(0);
        let applied = last.cast_unsigned().max(self.applied.load(Ordering::SeqCst));
        let cursor = Cursor { applied, resume_from: applied + 1 };
        self.store.write(&Rows { interactions, cursor, ..Rows::default() }).unwrap();
        self.applied.store(applied, Ordering::SeqCst);
    }

    fn file(&self, id: &str) -> File {
        File(self.parts.folder.join(format!("{id}.json")))
    }

    /// The job as after a start of the process.
    fn job(&self, config: &StreamJobConfig, sink: impl Sink + 'static) -> Job {
        Job {
            parts: self.parts.clone(),
            config: config.clone(),
            sink: Box::new(sink),
            file: self.file(&config.id),
            board: Arc::default(),
            progress: None,
            looks_in_vain: 0,
            kept_position: 0,
        }
    }

    /// Reads of content that are on record: who, and which columns.
    fn reads(&self) -> Vec<(String, String)> {
        let mut reader = self.parts.ledger.reader(0).unwrap();
        let mut reads = Vec::new();
        while let Some(entry) = reader.next(std::time::Duration::ZERO).unwrap() {
            if let Ok(Record::Note(note)) = Record::decode(entry.frame.kind, &entry.frame.payload)
                && let Note::ContentRead(ContentRead { principal_id, columns, .. }) = *note
                && !principal_id.is_empty()
            {
                reads.push((principal_id, columns.0));
            }
        }
        reads
    }
}

/// A ledger with ten thousand records, so that as many sequences exist.
async fn open_ledger(folder: &Path) -> Ledger {
    let (ledger, _) =
        Ledger::open(&folder.join("ledger"), LedgerConfig::default(), || at(0)).unwrap();
    let frame = |number: u16| {
        let mut random = [0; 10];
        random[..2].copy_from_slice(&number.to_be_bytes());
        let id = InteractionId::mint(at(0), random);
        Record::Note(Box::new(Note::ContentRead(ContentRead::default()))).encode(id)
    };
    let commit = ledger.append((0..10_000).map(frame).collect::<Vec<_>>()).await.unwrap();
    commit.durable().await.unwrap();
    ledger
}

fn interaction(sequence: i64) -> Interaction {
    Interaction {
        time_generated: at(sequence),
        correlation_id: format!("call-{sequence}"),
        request_body: BodyText::Inline(format!("{{\"said\":{sequence}}}")),
        prompt_tokens: Some(sequence),
        ledger_sequence: sequence,
        ..Interaction::default()
    }
}

fn job(id: &str, query: &str) -> StreamJobConfig {
    StreamJobConfig {
        id: id.into(),
        table: "Interactions".into(),
        query: query.into(),
        sink: "s".into(),
        into: "t".into(),
        ..StreamJobConfig::default()
    }
}

async fn step(job: &mut Job) -> Result<Step, Failure> {
    job.step(at(0), &CancellationToken::new()).await
}

/// Steps until nothing waits.
async fn drain(job: &mut Job) {
    while step(job).await.unwrap() == Step::Moved {}
}

//! The follower and its snapshot: every frame counts once, whatever happens in between.

pub(crate) mod server;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Frame, InteractionId, Kind, Record, Timestamp};
use ledger::{Entry, Ledger, LedgerConfig};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::{Error, ErrorKind, Follower, Projection, Snapshot};

const SOON: Duration = Duration::from_secs(20);
const TALLY: TableDefinition<'static, &str, u64> = TableDefinition::new("tally");

/// Counts ends, and fails as often as told.
struct Tally {
    failures: Arc<AtomicU32>,
    committed: Arc<Mutex<Vec<u64>>>,
}

impl Projection for Tally {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Closed]
    }

    fn apply(&mut self, frames: &[Entry], transaction: &WriteTransaction) -> Result<(), Error> {
        let failed = |_| Error::new(ErrorKind::Io, "a test's table");
        let mut table = transaction.open_table(TALLY).map_err(|_| failed(()))?;
        let before = table.get("closed").map_err(|_| failed(()))?.map_or(0, |value| value.value());
        table.insert("closed", before + frames.len() as u64).map_err(|_| failed(()))?;
        let failing = |left: u32| left.checked_sub(1);
        if !frames.is_empty()
            && self.failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, failing).is_ok()
        {
            return Err(failed(()));
        }
        Ok(())
    }

    fn committed(&mut self, sequence: u64) {
        self.committed.lock().unwrap().push(sequence);
    }
}

fn noon() -> Timestamp {
    Timestamp::from_unix_micros(1_750_000_000_000_000)
}

fn open(dir: &Path) -> Ledger {
    let config =
        LedgerConfig { segment_bytes: 32 << 10, spare_segments: 0, ..LedgerConfig::default() };
    Ledger::open(&dir.join("ledger"), config, noon).unwrap().0
}

fn end(number: u64) -> [Frame; 2] {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    let id = InteractionId::from_bytes(bytes);
    [Record::Opened(Box::default()).encode(id), Record::Closed(Box::default()).encode(id)]
}

async fn keep(ledger: &Ledger, numbers: std::ops::Range<u64>) {
    for number in numbers {
        ledger.append(end(number)).await.unwrap().durable().await.unwrap();
    }
}

fn follow(ledger: &Ledger, dir: &Path, failures: u32) -> (Follower, Arc<Snapshot>) {
    let snapshot = Arc::new(Snapshot::open(dir.join("shared.redb")).unwrap());
    let tally = Tally { failures: Arc::new(AtomicU32::new(failures)), committed: Arc::default() };
    let follower = Follower::start(ledger, snapshot.clone(), vec![Box::new(tally)]).unwrap();
    (follower, snapshot)
}

fn tally(snapshot: &Snapshot) -> u64 {
    let read = snapshot
        .read(|read| Ok(read.open_table(TALLY)?.get("closed")?.map_or(0, |value| value.value())));
    read.unwrap()
}

#[tokio::test]
async fn every_frame_counts_once_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for round in 1..=4 {
        let ledger = open(dir.path());
        // What was appended while nobody followed is in the snapshot when the start returns.
        keep(&ledger, kept..kept + 10).await;
        kept += 10;
        let (follower, snapshot) = follow(&ledger, dir.path(), 0);
        assert_eq!(tally(&snapshot), kept);
        keep(&ledger, kept..kept + 10 * round).await;
        kept += 10 * round;
        assert!(follower.settle(SOON));
        assert_eq!(tally(&snapshot), kept);
        drop(follower);
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_transaction_is_applied_again_whole() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let (follower, snapshot) = follow(&ledger, dir.path(), 3);
    keep(&ledger, 0..25).await;
    assert!(follower.settle(SOON));
    assert_eq!(tally(&snapshot), 25);
}

#[tokio::test]
async fn a_snapshot_of_another_ledger_is_refused_and_a_lost_one_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    keep(&ledger, 0..5).await;
    drop(follow(&ledger, dir.path(), 0));
    let other = tempfile::tempdir().unwrap();
    let fresh = open(other.path());
    let snapshot = Arc::new(Snapshot::open(dir.path().join("shared.redb")).unwrap());
    let refused = Follower::start(&fresh, snapshot.clone(), Vec::new()).err().expect("refused");
    assert!(refused.to_string().contains("not the ledger it was made from"), "{refused}");
    let second = Snapshot::open(dir.path().join("shared.redb")).err().expect("locked");
    assert_eq!(second.kind(), ErrorKind::Locked);
    drop(snapshot);
    std::fs::remove_file(dir.path().join("shared.redb")).unwrap();
    let (_follower, snapshot) = follow(&ledger, dir.path(), 0);
    assert_eq!(tally(&snapshot), 5);
}

#[test]
fn a_damaged_file_is_an_error_that_names_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.redb");
    std::fs::write(&path, vec![0x5a; 64 << 10]).unwrap();
    let error = Snapshot::open(&path).err().expect("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.story());
    assert!(error.to_string().contains("move it away"), "{error}");
}

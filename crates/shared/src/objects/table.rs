//! The tables of objects in the snapshot.

use std::ops::Bound;

use event::{Kind, Record, Timestamp};
use ledger::Entry;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Known, Owned};

/// By id: [`Stored`] as JSON, to which members may be added.
const OBJECTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("objects");
/// Ids of the objects that are models.
const MODELS: TableDefinition<'static, &str, ()> = TableDefinition::new("models");
/// By owner, kind, time in microseconds and id: the backend.
const OWNED: TableDefinition<'static, OwnedKey<'static>, &str> = TableDefinition::new("owned");

/// Kind of the objects whose ids are names of models: calls name them without further ado, so all of
/// them are held in memory.
pub(super) const MODEL_KIND: &str = "fine-tuned-model";

type OwnedKey<'a> = (&'a str, &'a str, i64, &'a str);

/// An object as it stands in the table.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: String,
    backend: String,
    owner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    parent: String,
    made_at_unix_us: i64,
}

pub(super) fn get(read: &ReadTransaction, id: &str) -> Result<Option<Known>, redb::Error> {
    let objects = read.open_table(OBJECTS)?;
    let found = objects.get(id)?;
    Ok(found.and_then(|value| parse(id, value.value())))
}

/// Those of these ids that are not there.
pub(super) fn absent(read: &ReadTransaction, ids: &[String]) -> Result<Vec<usize>, redb::Error> {
    let objects = read.open_table(OBJECTS)?;
    let mut absent = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        if objects.get(id.as_str())?.is_none() {
            absent.push(place);
        }
    }
    Ok(absent)
}

/// So many objects in the order of their ids, from behind one.
pub(super) fn page(
    read: &ReadTransaction,
    after: &str,
    count_max: usize,
) -> Result<Vec<(String, Known)>, redb::Error> {
    let table = read.open_table(OBJECTS)?;
    let behind = (Bound::Excluded(after), Bound::Unbounded);
    let mut found = Vec::new();
    for entry in table.range::<&str>(behind)?.take(count_max) {
        let (id, value) = entry?;
        let id = id.value();
        found.extend(parse(id, value.value()).map(|known| (id.to_owned(), known)));
    }
    Ok(found)
}

/// The newest of an owner's objects of a kind, newest first.
pub(super) fn owned(
    read: &ReadTransaction,
    owner: &str,
    kind: &str,
    count_max: usize,
) -> Result<Vec<Owned>, redb::Error> {
    let table = read.open_table(OWNED)?;
    let all = (owner, kind, i64::MIN, "")..=(owner, kind, i64::MAX, "\u{10ffff}");
    let mut found = Vec::new();
    for entry in table.range(all)?.rev().take(count_max) {
        let (key, backend) = entry?;
        let (_, _, at, id) = key.value();
        found.push(Owned {
            made_at: Timestamp::from_unix_micros(at),
            id: id.to_owned(),
            backend_id: backend.value().to_owned(),
        });
    }
    Ok(found)
}

/// The models there are, at most so many.
pub(super) fn models(
    read: &ReadTransaction,
    count_max: usize,
) -> Result<Vec<(String, Known)>, redb::Error> {
    let table = read.open_table(MODELS)?;
    let mut found = Vec::new();
    for entry in table.iter()?.take(count_max) {
        let id = entry?.0.value().to_owned();
        found.extend(get(read, &id)?.map(|known| (id, known)));
    }
    Ok(found)
}

pub(super) fn apply(frames: &[Entry], transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut objects = transaction.open_table(OBJECTS)?;
    let mut owned = transaction.open_table(OWNED)?;
    let mut models = transaction.open_table(MODELS)?;
    for entry in frames {
        // One that cannot be read is the pipeline's to report.
        let Ok(Record::Objects(record)) = Record::decode(Kind::Objects, &entry.frame.payload)
        else {
            continue;
        };
        for object in &record.made {
            let known = Stored {
                kind: object.kind.clone(),
                backend: record.backend_id.clone(),
                owner: record.owner.clone(),
                parent: object.parent.clone(),
                made_at_unix_us: record.noted_at.unix_micros(),
            };
            make(&object.id, &known, &mut objects, &mut owned)?;
            if known.kind == MODEL_KIND {
                models.insert(object.id.as_str(), ())?;
            }
        }
        for object in &record.gone {
            forget(&object.id, &mut objects, &mut owned)?;
            models.remove(object.id.as_str())?;
        }
    }
    Ok(())
}

/// The first to make an id has it.
fn make(
    id: &str,
    known: &Stored,
    objects: &mut Table<'_, &str, &[u8]>,
    owned: &mut Table<'_, OwnedKey<'static>, &str>,
) -> Result<(), redb::Error> {
    if objects.get(id)?.is_some() {
        return Ok(());
    }
    let text = serde_json::to_vec(known).expect("it is plain data");
    objects.insert(id, text.as_slice())?;
    let key = (known.owner.as_str(), known.kind.as_str(), known.made_at_unix_us, id);
    owned.insert(key, known.backend.as_str())?;
    Ok(())
}

fn forget(
    id: &str,
    objects: &mut Table<'_, &str, &[u8]>,
    owned: &mut Table<'_, OwnedKey<'static>, &str>,
) -> Result<(), redb::Error> {
    let found = objects.remove(id)?.and_then(|value| parse(id, value.value()));
    if let Some(known) = found {
        let at = known.made_at.unix_micros();
        owned.remove((known.owner.as_str(), known.kind.as_str(), at, id))?;
    }
    Ok(())
}

/// An object as it is kept, here and in Redis.
pub(super) fn text(known: &Known) -> Vec<u8> {
    let stored = Stored {
        kind: known.kind.clone(),
        backend: known.backend_id.clone(),
        owner: known.owner.clone(),
        parent: known.parent.clone(),
        made_at_unix_us: known.made_at.unix_micros(),
    };
    serde_json::to_vec(&stored).expect("it is plain data")
}

pub(super) fn parse(id: &str, bytes: &[u8]) -> Option<Known> {
    match serde_json::from_slice::<Stored>(bytes) {
        Ok(stored) => Some(Known {
            kind: stored.kind,
            backend_id: stored.backend,
            owner: stored.owner,
            parent: stored.parent,
            made_at: Timestamp::from_unix_micros(stored.made_at_unix_us),
        }),
        Err(error) => {
            tracing::error!(id, %error, "what is kept of an object cannot be read");
            None
        }
    }
}

//! Which extents make up the tables, and the ledger cursor that goes with them: one redb file.
//!
//! Every change is one transaction. It carries a generation, so that after a failed commit the file
//! itself tells whether the change is in.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{Cursor, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::blobs::Hash;
use crate::error::{io_cause, is_full};
use crate::extent::{Extent, Record, TABLE_COUNT, TABLES};
use crate::given_up::GivenUp;
use crate::{Error, ErrorKind};

/// Version of the manifest and of how extents and blobs lie in the folder. Of 1, messages are rows of
/// their own, with their text; it is read, and becomes 2 with the first change.
pub const FORMAT: u64 = 2;

const FACTS: TableDefinition<'static, &str, u64> = TableDefinition::new("facts");
const EXTENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("extents");
/// The blobs that rows of an extent name: 32 bytes each.
const BLOBS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blobs");

const FORMAT_KEY: &str = "format";
const GENERATION_KEY: &str = "generation";
const APPLIED_KEY: &str = "cursor_applied";
const RESUME_KEY: &str = "cursor_resume_from";
const ERASED_KEY: &str = "erased_up_to";
/// Followed by the name of a table.
const GIVEN_UP_SEQUENCE_KEY: &str = "given_up_sequence/";
const GIVEN_UP_TIME_KEY: &str = "given_up_time/";
/// Memory for pages of the file.
const CACHE_BYTES: usize = 8 << 20;

/// What one transaction changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) added: Vec<(Record, Vec<Hash>)>,
    pub(crate) removed: Vec<u64>,
    pub(crate) cursor: Option<Cursor>,
    /// Orders to erase up to this sequence of the ledger are carried out.
    pub(crate) erased_up_to: Option<u64>,
    /// Tables of which rows are given up, and up to where.
    pub(crate) given_up: Vec<(&'static str, GivenUp)>,
}

/// A change that did not happen, or of which that is not known.
pub(crate) struct CommitError {
    pub(crate) error: Error,
    /// The change may be in the file: keep its extents. A restart finds out.
    pub(crate) is_in_doubt: bool,
}

/// The manifest file.
pub(crate) struct Manifest {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    /// None after a failed commit that could not be followed by a reopening.
    database: Option<Database>,
    generation: u64,
}

/// What the manifest held when it was opened.
pub(crate) struct Contents {
    pub(crate) extents: Vec<Record>,
    pub(crate) cursor: Cursor,
    pub(crate) erased_up_to: u64,
    /// By the table's index.
    pub(crate) given_up: [GivenUp; TABLE_COUNT],
}

impl Manifest {
    /// Opens the manifest, or makes an empty one.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Contents), Error> {
        let database = open_database(&path)?;
        if generation(&database, &path)?.is_none() {
            initialise(&database).map_err(|error| wrap("create", &path, error))?;
        }
        let generation = generation(&database, &path)?.unwrap_or(0);
        let contents = read(&database).map_err(|error| wrap("read", &path, error))?;
        let Facts { extents, cursor, erased_up_to, given_up } = contents;
        let extents = extents.iter().map(|bytes| parse(bytes, &path)).collect::<Result<_, _>>()?;
        let inner = Inner { database: Some(database), generation };
        let contents = Contents { extents, cursor, erased_up_to, given_up };
        Ok((Self { path, inner: Mutex::new(inner) }, contents))
    }

    /// Makes a change durable, all of it or nothing.
    pub(crate) fn commit(&self, change: &Change) -> Result<(), CommitError> {
        let mut inner = self.lock();
        self.reopen(&mut inner).map_err(|error| CommitError { error, is_in_doubt: false })?;
        let next = inner.generation + 1;
        let database = inner.database.as_ref().expect("it was just opened");
        let Err(failure) = apply(database, change, next) else {
            inner.generation = next;
            return Ok(());
        };
        let error = wrap("write", &self.path, failure);
        // After an I/O error redb wants to be opened anew; then the file tells what happened.
        inner.database = None;
        match open_database(&self.path).and_then(|opened| {
            let found = generation(&opened, &self.path)?;
            Ok((opened, found))
        }) {
            Ok((opened, found)) => {
                inner.database = Some(opened);
                if found == Some(next) {
                    inner.generation = next;
                    return Ok(());
                }
                Err(CommitError { error, is_in_doubt: false })
            }
            Err(_) => Err(CommitError { error, is_in_doubt: true }),
        }
    }

    /// The blobs that some extents name.
    pub(crate) fn blobs_of(&self, extents: &[Arc<Extent>]) -> Result<HashSet<Hash>, Error> {
        let mut inner = self.lock();
        self.reopen(&mut inner)?;
        let database = inner.database.as_ref().expect("it was just opened");
        read_blobs_of(database, extents).map_err(|error| wrap("read", &self.path, error))
    }

    /// The blobs each extent names.
    pub(crate) fn blobs_by_extent(&self) -> Result<Vec<(u64, Vec<Hash>)>, Error> {
        let mut inner = self.lock();
        self.reopen(&mut inner)?;
        let database = inner.database.as_ref().expect("it was just opened");
        read_blobs(database).map_err(|error| wrap("read", &self.path, error))
    }

    /// Opens the file again after a commit in doubt; it must hold what this process knows of.
    fn reopen(&self, inner: &mut Inner) -> Result<(), Error> {
        if inner.database.is_some() {
            return Ok(());
        }
        let database = open_database(&self.path)?;
        if generation(&database, &self.path)? != Some(inner.generation) {
            let text = "a write of the manifest that was reported as failed did happen: restart";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        inner.database = Some(database);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file. A damaged one can make redb panic; that is an error like any other.
fn open_database(path: &Path) -> Result<Database, Error> {
    let open = || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder.create(path)
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => {
            let text = format!("another process has {} open: stop it first", path.display());
            Err(Error::new(ErrorKind::Locked, text))
        }
        Ok(Err(error)) => Err(wrap("open", path, error.into())),
        Err(_) => Err(corrupt(path)),
    }
}

fn corrupt(path: &Path) -> Error {
    let text = format!(
        "the manifest {} is damaged: restore it, or move the store's folder away so that the \
         tables are rebuilt from the ledger",
        path.display()
    );
    Error::new(ErrorKind::Corrupt, text)
}

fn wrap(action: &str, path: &Path, error: redb::Error) -> Error {
    let invalid = |io: &std::io::Error| io.kind() == std::io::ErrorKind::InvalidData;
    let is_corrupt = match &error {
        redb::Error::Io(io) => invalid(io),
        redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    };
    if is_corrupt {
        return corrupt(path).with_source(error);
    }
    let full = io_cause(&error).is_some_and(is_full)
        || matches!(&error, redb::Error::Io(io) if is_full(io));
    let kind = if full { ErrorKind::Full } else { ErrorKind::Io };
    let fix = if full { ": the disk is full, free some space" } else { "" };
    Error::new(kind, format!("cannot {action} the manifest {}{fix}", path.display()))
        .with_source(error)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Record, Error> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(path).with_source(error))
}

/// The generation of the file; none if it is new.
fn generation(database: &Database, path: &Path) -> Result<Option<u64>, Error> {
    let facts = facts(database).map_err(|error| wrap("read", path, error))?;
    let Some((format, generation)) = facts else { return Ok(None) };
    if format > FORMAT {
        let text = format!(
            "the store in {} has format {format}, this version knows up to {FORMAT}: use a newer one",
            path.parent().unwrap_or(path).display()
        );
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    Ok(Some(generation))
}

fn facts(database: &Database) -> Result<Option<(u64, u64)>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(FACTS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let fact = |key| table.get(key).map(|found| found.map_or(0, |value| value.value()));
    Ok(Some((fact(FORMAT_KEY)?, fact(GENERATION_KEY)?)))
}

fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert(FORMAT_KEY, FORMAT)?;
        facts.insert(GENERATION_KEY, 0)?;
        transaction.open_table(EXTENTS)?;
        transaction.open_table(BLOBS)?;
    }
    Ok(transaction.commit()?)
}

/// The manifest as it stands in the file.
struct Facts {
    extents: Vec<Vec<u8>>,
    cursor: Cursor,
    erased_up_to: u64,
    given_up: [GivenUp; TABLE_COUNT],
}

fn read(database: &Database) -> Result<Facts, redb::Error> {
    let transaction = database.begin_read()?;
    let facts = transaction.open_table(FACTS)?;
    let fact = |key: &str| facts.get(key).map(|found| found.map_or(0, |value| value.value()));
    let cursor = Cursor { applied: fact(APPLIED_KEY)?, resume_from: fact(RESUME_KEY)? };
    let table = transaction.open_table(EXTENTS)?;
    let mut extents = Vec::new();
    for entry in table.iter()? {
        extents.push(entry?.1.value().to_vec());
    }
    let mut given_up = [GivenUp::default(); TABLE_COUNT];
    for (table, given_up) in TABLES.iter().zip(&mut given_up) {
        let of = |key: &str| format!("{key}{}", table.name);
        given_up.sequence = fact(&of(GIVEN_UP_SEQUENCE_KEY))?;
        let micros = fact(&of(GIVEN_UP_TIME_KEY))?.cast_signed();
        given_up.time = Timestamp::from_unix_micros(micros);
    }
    Ok(Facts { extents, cursor, erased_up_to: fact(ERASED_KEY)?, given_up })
}

fn read_blobs(database: &Database) -> Result<Vec<(u64, Vec<Hash>)>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(BLOBS)?;
    let mut all = Vec::new();
    for entry in table.iter()? {
        let (id, hashes) = entry?;
        all.push((id.value(), hashes.value().as_chunks().0.to_vec()));
    }
    Ok(all)
}

fn read_blobs_of(database: &Database, of: &[Arc<Extent>]) -> Result<HashSet<Hash>, redb::Error> {
    let table = database.begin_read()?.open_table(BLOBS)?;
    let mut all = HashSet::new();
    for extent in of {
        if let Some(hashes) = table.get(extent.record.id)? {
            all.extend(hashes.value().as_chunks().0);
        }
    }
    Ok(all)
}

fn apply(database: &Database, change: &Change, generation: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut extents = transaction.open_table(EXTENTS)?;
        let mut blobs = transaction.open_table(BLOBS)?;
        for id in &change.removed {
            extents.remove(id)?;
            blobs.remove(id)?;
        }
        for (record, hashes) in &change.added {
            let text = serde_json::to_vec(record).expect("a record is plain data");
            extents.insert(record.id, text.as_slice())?;
            if !hashes.is_empty() {
                blobs.insert(record.id, hashes.as_flattened())?;
            }
        }
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert(FORMAT_KEY, FORMAT)?;
        facts.insert(GENERATION_KEY, generation)?;
        if let Some(cursor) = change.cursor {
            facts.insert(APPLIED_KEY, cursor.applied)?;
            facts.insert(RESUME_KEY, cursor.resume_from)?;
        }
        if let Some(sequence) = change.erased_up_to {
            facts.insert(ERASED_KEY, sequence)?;
        }
        for (table, given_up) in &change.given_up {
            let micros = given_up.time.unix_micros().cast_unsigned();
            facts.insert(format!("{GIVEN_UP_SEQUENCE_KEY}{table}").as_str(), given_up.sequence)?;
            facts.insert(format!("{GIVEN_UP_TIME_KEY}{table}").as_str(), micros)?;
        }
    }
    Ok(transaction.commit()?)
}

//! The snapshot: one redb file that holds what was made of the ledger, and how far.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::{Error, ErrorKind};

/// Version of the file's layout.
const FORMAT: u64 = 1;
const FACTS: TableDefinition<'static, &str, u64> = TableDefinition::new("facts");
const FORMAT_KEY: &str = "format";
const CURSOR_KEY: &str = "cursor";
/// Memory for pages of the file.
const CACHE_BYTES: usize = 16 << 20;

/// What was made of the ledger, on disk.
pub struct Snapshot {
    path: PathBuf,
    /// None after a failed write, until the file is open again.
    database: Mutex<Option<Arc<Database>>>,
}

impl Snapshot {
    /// Opens the file, or makes an empty one.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let database = open(&path)?;
        Ok(Self { path, database: Mutex::new(Some(Arc::new(database))) })
    }

    /// Looks at it as of the last transaction.
    pub fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let database = self.database()?;
        let looked = database.begin_read().map_err(redb::Error::from).and_then(|read| look(&read));
        looked.map_err(|error| Error::redb("read", &self.path, error))
    }

    /// First sequence of the ledger that is not in yet.
    pub fn cursor(&self) -> Result<u64, Error> {
        self.read(|read| {
            let facts = read.open_table(FACTS)?;
            Ok(facts.get(CURSOR_KEY)?.map_or(0, |value| value.value()))
        })
    }

    /// Changes it; all of it and the cursor, or nothing. Durable on return.
    pub(crate) fn write(
        &self,
        cursor: u64,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let database = self.database()?;
        let failed = |error: redb::Error| Error::redb("write", &self.path, error);
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        change(&transaction)?;
        let moved = move_cursor(&transaction, cursor);
        moved.map_err(failed)?;
        transaction.commit().map_err(|error| failed(error.into()))
    }

    /// After an I/O error redb wants to be opened anew; the file tells what is in it.
    pub(crate) fn reopen(&self) -> Result<(), Error> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|database| Arc::strong_count(database) > 1) {
            return Err(Error::new(ErrorKind::Unavailable, "the snapshot is still being read"));
        }
        *held = None;
        *held = Some(Arc::new(open(&self.path)?));
        Ok(())
    }

    fn database(&self) -> Result<Arc<Database>, Error> {
        let held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().ok_or_else(|| {
            let path = self.path.display();
            let text = format!("the snapshot {path} cannot be opened at this moment");
            Error::new(ErrorKind::Unavailable, text)
        })
    }
}

/// Opens the file. A damaged one can make redb panic; that is an error like any other.
fn open(path: &Path) -> Result<Database, Error> {
    let open = || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder.create(path)
    };
    let database = match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => database,
        Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => {
            let text = format!("another process has {} open: stop it first", path.display());
            return Err(Error::new(ErrorKind::Locked, text));
        }
        Ok(Err(error)) => return Err(Error::redb("open", path, error.into())),
        Err(_) => return Err(Error::corrupt(path)),
    };
    let format = begin(&database).map_err(|error| Error::redb("open", path, error))?;
    if format > FORMAT {
        let text = format!(
            "{} has format {format}, this version knows up to {FORMAT}: use a newer one",
            path.display()
        );
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    Ok(database)
}

/// The format of the file; a new one is given ours.
fn begin(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(FACTS) {
        Ok(facts) => return Ok(facts.get(FORMAT_KEY)?.map_or(0, |value| value.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let transaction = database.begin_write()?;
    transaction.open_table(FACTS)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.commit()?;
    Ok(FORMAT)
}

fn move_cursor(transaction: &WriteTransaction, cursor: u64) -> Result<(), redb::Error> {
    transaction.open_table(FACTS)?.insert(CURSOR_KEY, cursor)?;
    Ok(())
}

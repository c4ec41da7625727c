//! Rows on their way to a sink, and why they did not arrive.

use event::Timestamp;
use kql::{Column, Type, Value};

/// The column by which a row that comes twice is recognised.
pub(crate) const KEY: &str = "_Key";

/// Rows that are delivered together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// What makes it the same batch when it comes again.
    pub(crate) name: String,
    /// Of when its first row is, if its rows have a time.
    pub(crate) at: Option<Timestamp>,
    /// Columns, in order; the first is [`KEY`].
    pub(crate) columns: Vec<Column>,
    /// Rows; each has one value for each column.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Batch {
    /// Columns with the key in front of them; refuses a result that has such a column.
    pub(crate) fn keyed(columns: &[Column]) -> Result<Vec<Column>, Failure> {
        if columns.iter().any(|column| &*column.name == KEY) {
            let why = format!(
                "its query has a column `{KEY}`, which is added to each row: name it otherwise"
            );
            return Err(Failure::refused(why));
        }
        let key = Column::new(KEY, Type::String);
        Ok(std::iter::once(key).chain(columns.iter().cloned()).collect())
    }
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again: it may pass.
    Again,
    /// Somebody has to change something; until then it fails again.
    Change,
    /// Nothing failed: the job was stopped amid it.
    Stopped,
}

/// Why a run of a job did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) remedy: Remedy,
    /// For people; nothing of the content of rows.
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn again(why: impl Into<String>) -> Self {
        Self { remedy: Remedy::Again, why: why.into() }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self { remedy: Remedy::Change, why: why.into() }
    }

    pub(crate) fn stopped() -> Self {
        Self { remedy: Remedy::Stopped, why: "it was stopped".into() }
    }
}

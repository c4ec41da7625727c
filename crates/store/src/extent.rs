//! A file of rows: one table, one UTC day.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, disk};

/// The tables of the store.
pub(crate) const TABLES: [event::Table; TABLE_COUNT] = event::tables();
/// How many there are.
pub(crate) const TABLE_COUNT: usize = event::tables().len();
/// The column by which extents are ordered, partitioned and pruned.
pub(crate) const TIME_COLUMN: &str = "TimeGenerated";
/// The column by which those who follow a table ask for what is new; extents are pruned by it too.
pub(crate) const SEQUENCE_COLUMN: &str = "LedgerSequence";

/// Columns of long and ever different text: no dictionary, no statistics.
pub(crate) const BODY_COLUMNS: [&str; 3] = ["RequestBody", "ResponseBody", "Content"];

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Position of a table in [`TABLES`].
pub(crate) fn table_index(name: &str) -> Option<usize> {
    TABLES.iter().position(|table| table.name == name)
}

/// Position of a table, or an error that names those there are.
pub(crate) fn index_of(table: &str) -> Result<usize, Error> {
    table_index(table).ok_or_else(|| {
        let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        let text = format!("there is no table {table}; there are {}", names.join(", "));
        Error::new(ErrorKind::Invalid, text)
    })
}

/// A UTC day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Day(pub(crate) i64);

impl Day {
    pub(crate) fn of_micros(micros: i64) -> Self {
        Self(micros.div_euclid(MICROS_PER_DAY))
    }

    /// The date as a folder is named. Civil date from a day count, after Howard Hinnant
    /// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
    pub(crate) fn folder_name(self) -> String {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// Where the filters of terms stand in the file of an extent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TermsLocation {
    pub(crate) from: u64,
    pub(crate) filter_bytes: u64,
    pub(crate) index_bytes: u64,
}

/// What the manifest says about an extent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) table: String,
    pub(crate) day: Day,
    pub(crate) rows: u64,
    /// Messages kept with them.
    #[serde(default)]
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Least and greatest `TimeGenerated`, in microseconds.
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    /// Least and greatest `LedgerSequence`; none of a table without it, and where an older version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sequences: Option<(i64, i64)>,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    /// Filters of the terms in its bodies, if it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) terms: Option<TermsLocation>,
}

impl Record {
    /// Counts some rows, their messages, and their least and greatest time and sequence.
    pub(crate) fn count(
        &mut self,
        (rows, messages): (u64, u64),
        (time_min, time_max): (i64, i64),
        sequences: Option<(i64, i64)>,
    ) {
        self.sequences = match self.sequences.zip(sequences) {
            Some((own, further)) => Some((own.0.min(further.0), own.1.max(further.1))),
            // Of rows whose sequences are not known, nothing is known of the whole.
            None if self.rows == 0 => sequences,
            None => None,
        };
        self.rows += rows;
        self.messages += messages;
        self.time_min = self.time_min.min(time_min);
        self.time_max = self.time_max.max(time_max);
    }

    /// Where the file lies below the store's folder.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        day_folder(folder, &self.table, self.day).join(format!("{:016x}.parquet", self.id))
    }
}

/// The folder of a table's day.
pub(crate) fn day_folder(folder: &Path, table: &str, day: Day) -> PathBuf {
    folder.join("tables").join(table).join(day.folder_name())
}

/// An extent in use. Who reads it holds it; once it is retired, the last to let go removes the file.
#[derive(Debug)]
pub(crate) struct Extent {
    pub(crate) record: Record,
    pub(crate) path: PathBuf,
    is_retired: AtomicBool,
}

impl Extent {
    pub(crate) fn new(folder: &Path, record: Record) -> Arc<Self> {
        let path = record.path(folder);
        Arc::new(Self { record, path, is_retired: AtomicBool::new(false) })
    }

    /// The file is of no more use, once nobody reads it.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if !*self.is_retired.get_mut() {
            return;
        }
        // What stays behind is removed as an orphan when the store is opened.
        if let Err(error) = disk::remove_file(&self.path) {
            tracing::warn!(%error, "a retired extent was left behind");
        }
    }
}

/// The extents of every table, ordered by time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extents {
    pub(crate) tables: [Arc<Vec<Arc<Extent>>>; TABLE_COUNT],
}

impl Extents {
    /// These without `removed` and with `added`.
    pub(crate) fn changed(&self, removed: &[Arc<Extent>], added: &[Arc<Extent>]) -> Self {
        let is_removed = |extent: &Extent| removed.iter().any(|r| r.record.id == extent.record.id);
        let tables = std::array::from_fn(|index| {
            let of_table = |extent: &&Arc<Extent>| extent.record.table == TABLES[index].name;
            if !removed.iter().chain(added).any(|extent| of_table(&extent)) {
                return self.tables[index].clone();
            }
            let kept = self.tables[index].iter().filter(|extent| !is_removed(extent));
            let mut list: Vec<_> = kept.chain(added.iter().filter(of_table)).cloned().collect();
            list.sort_by_key(|extent| (extent.record.time_min, extent.record.id));
            Arc::new(list)
        });
        Self { tables }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Extent>> {
        self.tables.iter().flat_map(|table| table.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_by_their_date() {
        for (day, name) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_780, "2026-11-23"),
        ] {
            assert_eq!(Day(day).folder_name(), name);
        }
        assert_eq!(Day::of_micros(-1), Day(-1));
        assert_eq!(Day::of_micros(MICROS_PER_DAY), Day(1));
    }
}

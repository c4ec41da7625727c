//! What a job asks the tables: which rows are new, and what its query makes of them.

use std::time::Duration;

use event::Timestamp;
use kql::{
    Access, Frame, Options, QueryError, QueryErrorKind, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, Value,
};

use crate::batch::Failure;
use crate::config::{SEQUENCE, StreamJobConfig};
use crate::note;
use crate::parts::StreamJobsParts;

/// Longest time of one query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows that may come of those of the table, for each of them.
const ROWS_FOR_ONE: u64 = 10;

/// How much a result may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Bounds {
    /// A single row, with what comes of it; and a window.
    pub(crate) const LARGEST: Self = Self { rows: 100_000, bytes: 64 << 20 };

    /// What a job delivers at once.
    pub(crate) fn of(job: &StreamJobConfig) -> Self {
        Self { rows: u64::from(job.rows_max) * ROWS_FOR_ONE, bytes: job.bytes_max }
    }
}

/// A job as the tables see it.
pub(crate) struct Source<'a> {
    pub(crate) parts: &'a StreamJobsParts,
    pub(crate) job: &'a StreamJobConfig,
}

impl Source<'_> {
    /// The first sequences above `after` and up to `until` that the table has rows of, in order; at most as many as
    /// the job delivers at once.
    pub(crate) async fn sequences(&self, after: u64, until: u64) -> Result<Vec<u64>, Failure> {
        let (table, most) = (&self.job.table, self.job.rows_max);
        let query = format!(
            "{table} | where {SEQUENCE} > {after} and {SEQUENCE} <= {until} | project {SEQUENCE} | top {most} by {SEQUENCE} asc"
        );
        let options = Options {
            timeout: QUERY_TIMEOUT,
            rows_max: u64::MAX,
            access: Access::without_content(),
            ..Options::default()
        };
        let frame = self.parts.engine.run(&query, &options).await;
        let frame = frame.map_err(|error| failure(&error))?;
        let sequences = frame.rows.iter().map(|row| row.first().and_then(sequence));
        sequences.collect::<Option<_>>().ok_or_else(|| Failure::refused("a row has no sequence"))
    }

    /// What the query makes of the rows above `after` and up to `until`, in the order of the ledger; none if it is
    /// more than these bounds.
    pub(crate) async fn rows(
        &self,
        (after, until): (u64, u64),
        bounds: Bounds,
    ) -> Result<Option<Frame>, Failure> {
        let job = self.job;
        let text = format!(
            "{}\n| where {SEQUENCE} > {after} and {SEQUENCE} <= {until}\n{}",
            job.table, job.query
        );
        let query = kql::keep_column(&text, SEQUENCE)
            .map_err(|why| Failure::refused(format!("its query: {why}")))?;
        let Some(mut frame) = self.ask(&query, bounds, None).await? else { return Ok(None) };
        let place = frame.columns.iter().position(|column| &*column.name == SEQUENCE);
        let place = place.ok_or_else(|| {
            let fix = "leave it in";
            Failure::refused(format!("its query drops {SEQUENCE}, by which rows are known: {fix}"))
        })?;
        // What comes of one row stays in its order.
        frame.rows.sort_by_key(|row| row.get(place).and_then(sequence));
        Ok(Some(frame))
    }

    /// What the query makes of the rows of a window.
    pub(crate) async fn window(&self, from: Timestamp, to: Timestamp) -> Result<Frame, Failure> {
        let at = |time| kql::format_datetime(ticks(time));
        let query = format!(
            "{}\n| where TimeGenerated >= datetime({}) and TimeGenerated < datetime({})\n{}",
            self.job.table,
            at(from),
            at(to),
            self.job.query
        );
        let frame = self.ask(&query, Bounds::LARGEST, Some(ticks(to))).await?;
        frame.ok_or_else(|| {
            let Bounds { rows, bytes } = Bounds::LARGEST;
            let most = format!("{rows} rows or {} MiB", bytes >> 20);
            Failure::refused(format!("a window has more than {most}: make it shorter"))
        })
    }

    /// When the first row is that the table still holds.
    pub(crate) async fn oldest(&self) -> Result<Option<Timestamp>, Failure> {
        let query = format!("{} | summarize min(TimeGenerated)", self.job.table);
        let options = Options {
            timeout: QUERY_TIMEOUT,
            access: Access::without_content(),
            ..Options::default()
        };
        let frame = self.parts.engine.run(&query, &options).await;
        let frame = frame.map_err(|error| failure(&error))?;
        Ok(match frame.rows.first().and_then(|row| row.first()) {
            Some(Value::Datetime(ticks)) => {
                Some(Timestamp::from_unix_micros((ticks - UNIX_EPOCH_TICKS) / 10))
            }
            _ => None,
        })
    }

    /// Asks as the job. A read of content is on record before this returns.
    async fn ask(
        &self,
        query: &str,
        bounds: Bounds,
        now_ticks: Option<i64>,
    ) -> Result<Option<Frame>, Failure> {
        let access = match self.parts.reads_content(self.job) {
            true => Access::everything(),
            false => Access::without_content(),
        };
        let options = Options {
            now_ticks,
            access,
            timeout: QUERY_TIMEOUT,
            rows_max: bounds.rows,
            bytes_max: bounds.bytes,
            principal: Some(self.job.identity()),
            ..Options::default()
        };
        let asked = self.parts.engine.run(query, &options).await;
        let read = match &asked {
            Ok(frame) => &frame.content_columns[..],
            Err(error) => error.content_columns(),
        };
        note::read(self.parts, self.job, read).await?;
        match asked {
            Ok(frame) if frame.truncated.is_some() => Ok(None),
            Ok(frame) if !frame.more.is_empty() => {
                Err(Failure::refused("its query has several results: leave one of them"))
            }
            Ok(frame) => Ok(Some(frame)),
            Err(error) if error.kind() == QueryErrorKind::LimitExceeded => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// The sequence in a cell, if it holds one.
pub(crate) fn sequence(cell: &Value) -> Option<u64> {
    cell.as_long().and_then(|number| u64::try_from(number).ok())
}

/// An instant as KQL counts it.
pub(crate) fn ticks(at: Timestamp) -> i64 {
    UNIX_EPOCH_TICKS + at.unix_micros().saturating_mul(TICKS_PER_SECOND / 1_000_000)
}

fn failure(error: &QueryError) -> Failure {
    // The text of an error may show content.
    let why = match error.content_columns().is_empty() {
        true => format!("its query: {}", error.message()),
        false => "its query failed amid what it may read: try it by hand".to_owned(),
    };
    match error.kind() {
        QueryErrorKind::Timeout
        | QueryErrorKind::Cancelled
        | QueryErrorKind::Throttled
        | QueryErrorKind::LimitExceeded
        | QueryErrorKind::Internal => Failure::again(why),
        QueryErrorKind::Syntax
        | QueryErrorKind::Semantic
        | QueryErrorKind::Unsupported
        | QueryErrorKind::Forbidden
        | QueryErrorKind::Evaluation => Failure::refused(why),
    }
}

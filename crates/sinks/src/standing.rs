//! How a job stands, for whoever looks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Timestamp;
use serde::Serialize;

use crate::batch::{Failure, Remedy};
use crate::config::StreamJobConfig;
use crate::progress::Progress;
use crate::source::ticks;

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It follows its table.
    #[default]
    Running,
    /// Something failed; it is tried again until it works, and nothing is skipped.
    Retrying,
    /// Somebody has to change something; it is tried again every five minutes.
    Refused,
    /// It is not enabled.
    Disabled,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobStatus {
    /// The job.
    pub job: StreamJobConfig,
    /// As whom it asks.
    pub identity: String,
    /// Whether it may read content.
    pub reads_content: bool,
    /// What it is doing.
    pub state: JobState,
    /// What failed last; empty while it runs.
    pub reason: String,
    /// Rows that have arrived since the job was new.
    pub rows: u64,
    /// Attempts that failed since the start of the process.
    pub failures: u64,
    /// All up to this sequence of the ledger has been delivered, or was not asked for.
    pub position: u64,
    /// Start of the window that is next; empty for a job without windows.
    pub window_from: String,
    /// Sequences of the ledger whose rows are in the tables and have not been looked at; 0 for jobs with windows.
    pub lag_sequences: u64,
    /// For how long, in seconds, something has been waiting that could have been delivered.
    pub lag_s: f64,
    /// Sequences of the ledger, or windows, whose rows the retention took before they were delivered; at most so
    /// many.
    pub missed: u64,
}

/// What a job tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Standing>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) state: JobState,
    pub(crate) reason: String,
    pub(crate) failures: u64,
    pub(crate) progress: Progress,
}

impl Board {
    /// A status is whole whatever panicked while it was locked: it has no invariant of its own.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> Standing {
        self.lock().clone()
    }

    pub(crate) fn progressed(&self, progress: &Progress) {
        self.lock().progress = progress.clone();
    }

    pub(crate) fn runs(&self) {
        let mut standing = self.lock();
        standing.state = JobState::Running;
        standing.reason.clear();
    }

    /// Takes a failure down; answers whether the job was not refused before and is now.
    pub(crate) fn failed(&self, failure: &Failure) -> bool {
        let mut standing = self.lock();
        let before = standing.state;
        standing.failures += 1;
        failure.why.clone_into(&mut standing.reason);
        standing.state = match failure.remedy {
            Remedy::Change => JobState::Refused,
            Remedy::Again | Remedy::Stopped => JobState::Retrying,
        };
        standing.state == JobState::Refused && before != JobState::Refused
    }
}

impl Standing {
    /// What to tell of a job whose tables are complete up to `applied`.
    pub(crate) fn status(
        self,
        job: &StreamJobConfig,
        reads_content: bool,
        (applied, now): (u64, Timestamp),
    ) -> JobStatus {
        let Self { state, reason, failures, progress } = self;
        let seconds_since = |us: i64| (now.unix_micros() - us).max(0) as f64 / 1e6;
        let is_new = progress.caught_up_at_us == 0;
        let lag_sequences = match job.window {
            None if !is_new => applied.saturating_sub(progress.position),
            _ => 0,
        };
        let (window_from, lag_s) = match &job.window {
            Some(window) if progress.window_from_us != 0 => {
                let from = Timestamp::from_unix_micros(progress.window_from_us);
                let due = progress.window_from_us + window.whole_us();
                (kql::format_datetime(ticks(from)), seconds_since(due))
            }
            None if lag_sequences > 0 => (String::new(), seconds_since(progress.caught_up_at_us)),
            _ => (String::new(), 0.0),
        };
        JobStatus {
            job: job.clone(),
            identity: job.identity(),
            reads_content,
            state: if job.enabled { state } else { JobState::Disabled },
            reason,
            rows: progress.rows,
            failures,
            position: progress.position,
            window_from,
            lag_sequences,
            lag_s,
            missed: progress.missed,
        }
    }
}

//! How far a job has come: one small file for each, put in its place as a whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::batch::Failure;

/// Version of the format.
const VERSION: u32 = 1;

/// How far a job has come. A field that is missing is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) version: u32,
    /// Rows up to this sequence of the ledger have arrived.
    pub(crate) position: u64,
    /// Rows up to this one were on their way when this was kept; 0 if none were.
    pub(crate) sending: u64,
    /// Start of the next window, in microseconds since 1970; 0 for jobs without windows.
    pub(crate) window_from_us: i64,
    /// Rows that have arrived.
    pub(crate) rows: u64,
    /// Sequences of the ledger, or windows, whose rows were given up before they were delivered. An upper bound:
    /// not each sequence has a row.
    pub(crate) missed: u64,
    /// Up to where what is given up was looked at: a sequence, and a time in microseconds since 1970.
    pub(crate) given_up: (u64, i64),
    /// When nothing waited, in microseconds since 1970.
    pub(crate) caught_up_at_us: i64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            version: VERSION,
            position: 0,
            sending: 0,
            window_from_us: 0,
            rows: 0,
            missed: 0,
            given_up: (0, 0),
            caught_up_at_us: 0,
        }
    }
}

/// The file of one job.
#[derive(Clone, Debug)]
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    /// What was kept; none of a new job.
    pub(crate) async fn load(&self) -> Result<Option<Progress>, Failure> {
        let path = self.0.clone();
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let shown = self.0.display();
        let progress: Progress = match text.map_err(|error| Failure::again(error.to_string()))? {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                let fix = "move it away to begin anew";
                Failure::refused(format!("{shown} cannot be read ({error}): {fix}"))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::again(format!("cannot read {shown}: {error}"))),
        };
        if progress.version > VERSION {
            let newer = format!("{shown} has version {}", progress.version);
            let fix = "which is newer than this Gatehouse: update it";
            return Err(Failure::refused(format!("{newer}, {fix}")));
        }
        Ok(Some(progress))
    }

    /// Keeps it; durable on return.
    pub(crate) async fn keep(&self, progress: &Progress) -> Result<(), Failure> {
        let path = self.0.clone();
        let text = serde_json::to_vec(progress).expect("it is plain data");
        let kept = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        let kept = kept.map_err(|error| Failure::again(error.to_string()))?;
        kept.map_err(|error| Failure::again(format!("cannot write {}: {error}", self.0.display())))
    }
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}

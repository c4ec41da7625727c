//! Whether sinks and jobs contradict themselves or each other.

use std::collections::HashSet;

use crate::config::{SEQUENCE, SinkConfig, StreamJobConfig};
use crate::kinds;

/// Most sinks, and most jobs.
const MOST: usize = 100;
/// Most rows that a batch may be set to have.
const ROWS_MAX: u32 = 100_000;
/// Least and most bytes that a batch may be set to have.
const BYTES: [u64; 2] = [64 << 10, 64 << 20];
/// Longest window, and longest wait for late rows, in seconds.
const WINDOW_S_MAX: u32 = 7 * 86_400;

/// Refuses what contradicts itself; the text names the place and the fix.
pub fn validate_sinks(sinks: &[SinkConfig], jobs: &[StreamJobConfig]) -> Result<(), String> {
    if sinks.len().max(jobs.len()) > MOST {
        return Err(format!("sinks or stream_jobs: there are more than {MOST}: remove some"));
    }
    let mut ids = HashSet::new();
    for sink in sinks {
        let of = |why: String| format!("sinks: `{}`: {why}", sink.id);
        check_id(&sink.id).map_err(of)?;
        kinds::check(sink).map_err(of)?;
        if !ids.insert(&sink.id) {
            return Err(of("it stands twice: rename one".into()));
        }
    }
    let mut ids = HashSet::new();
    for job in jobs {
        let of = |why: String| format!("stream_jobs: `{}`: {why}", job.id);
        check_id(&job.id).map_err(of)?;
        check_job(job).map_err(of)?;
        if !ids.insert(&job.id) {
            return Err(of("it stands twice: rename one".into()));
        }
        let Some(sink) = sinks.iter().find(|sink| sink.id == job.sink) else {
            let fix = "name one of `sinks`";
            return Err(of(format!("sink: there is no `{}`: {fix}", job.sink)));
        };
        kinds::check_place(sink, &job.into).map_err(|why| of(format!("into: {why}")))?;
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > 60 || !id.bytes().all(is_plain) {
        return Err("give it an id of at most 60 letters, digits, `-` and `_`".into());
    }
    Ok(())
}

fn check_job(job: &StreamJobConfig) -> Result<(), String> {
    let followed = || event::tables().into_iter().filter(is_followed).map(|table| table.name);
    if !followed().any(|name| name == job.table) {
        let names = followed().collect::<Vec<_>>().join(", ");
        let why =
            format!("table: `{}` cannot be followed, since its rows have no {SEQUENCE}", job.table);
        return Err(format!("{why}: name one of {names}"));
    }
    if !(1..=ROWS_MAX).contains(&job.rows_max) {
        return Err(format!("rows_max may be 1 to {ROWS_MAX}"));
    }
    if !(BYTES[0]..=BYTES[1]).contains(&job.bytes_max) {
        return Err(format!("bytes_max may be {} to {}", BYTES[0], BYTES[1]));
    }
    let text = format!("{}\n{}", job.table, job.query);
    let Some(window) = &job.window else {
        let kept = kql::keep_column(&text, SEQUENCE);
        return kept.map(drop).map_err(|why| {
            let fix = "correct it, or give the job a `window` to ask for whole spans of time";
            format!("query: {why}: {fix}")
        });
    };
    if !(1..=WINDOW_S_MAX).contains(&window.every_s) || window.late_s > WINDOW_S_MAX {
        return Err(format!("window: every_s may be 1 to {WINDOW_S_MAX}, late_s no more"));
    }
    let error = kql::check_syntax(&text).into_iter().find(kql::Diagnostic::is_error);
    error.map_or(Ok(()), |error| Err(format!("query: {error}")))
}

fn is_followed(table: &event::Table) -> bool {
    table.columns.iter().any(|column| column.name == SEQUENCE)
}

//! All jobs of a configuration, each in a task of its own, so that a sink that is down delays no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use net::EgressRules;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::batch::{Failure, Remedy};
use crate::config::{SinkConfig, StreamJobConfig};
use crate::job::{Job, Step};
use crate::kinds;
use crate::note;
use crate::parts::StreamJobsParts;
use crate::progress::File;
use crate::sink::Surroundings;
use crate::standing::{Board, JobStatus};

/// Between two looks at whether something is new.
const TICK: Duration = Duration::from_secs(1);
/// First pause after a failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause, and the one where somebody has to act.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// The stream jobs.
pub struct StreamJobs {
    parts: Arc<StreamJobsParts>,
    settings: watch::Sender<Arc<Settings>>,
    boards: Mutex<BTreeMap<String, Arc<Board>>>,
}

struct Settings {
    sinks: Vec<SinkConfig>,
    jobs: Vec<StreamJobConfig>,
    egress: EgressRules,
}

impl StreamJobs {
    /// Jobs of a configuration that was checked; nothing is done before they run.
    pub fn new(
        parts: StreamJobsParts,
        (sinks, jobs): (Vec<SinkConfig>, Vec<StreamJobConfig>),
        egress: EgressRules,
    ) -> Self {
        let settings = watch::Sender::new(Arc::new(Settings { sinks, jobs, egress }));
        Self { parts: Arc::new(parts), settings, boards: Mutex::default() }
    }

    /// Other jobs from now on; those that stay go on where they are.
    pub fn reconfigure(
        &self,
        (sinks, jobs): (Vec<SinkConfig>, Vec<StreamJobConfig>),
        egress: EgressRules,
    ) {
        self.settings.send_replace(Arc::new(Settings { sinks, jobs, egress }));
    }

    /// Delivers until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        let mut news = self.settings.subscribe();
        while !stop.is_cancelled() {
            let settings = news.borrow_and_update().clone();
            self.keep_boards(&settings);
            let this_time = stop.child_token();
            let mut jobs = JoinSet::new();
            for job in settings.jobs.iter().filter(|job| job.enabled) {
                match self.open(job, &settings) {
                    Ok(job) => drop(jobs.spawn(work(job, this_time.clone()))),
                    Err(failure) => drop(self.board(&job.id).failed(&failure)),
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                // The sender lives as long as this.
                _ = news.changed() => {}
            }
            this_time.cancel();
            while let Some(ended) = jobs.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a stream job broke off");
                }
            }
        }
    }

    /// All jobs and how they stand.
    pub fn status(&self) -> Vec<JobStatus> {
        let settings = self.settings.borrow().clone();
        let moment = ((self.parts.applied)(), (self.parts.now)());
        let status = settings.jobs.iter().map(|job| {
            let reads_content = self.parts.reads_content(job);
            self.board(&job.id).read().status(job, reads_content, moment)
        });
        status.collect()
    }

    fn open(&self, config: &StreamJobConfig, settings: &Settings) -> Result<Job, Failure> {
        let sink = settings.sinks.iter().find(|sink| sink.id == config.sink);
        let sink = sink.ok_or_else(|| Failure::refused("its sink is not there"))?;
        let around =
            Surroundings { egress: settings.egress.clone(), vault: self.parts.vault.clone() };
        Ok(Job {
            parts: self.parts.clone(),
            config: config.clone(),
            sink: kinds::open(sink, &config.into, &around)?,
            file: File(self.parts.folder.join(format!("{}.json", config.id))),
            board: self.board(&config.id),
            progress: None,
            looks_in_vain: 0,
            kept_position: 0,
        })
    }

    fn board(&self, id: &str) -> Arc<Board> {
        let mut boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        boards.entry(id.to_owned()).or_default().clone()
    }

    /// Forgets jobs that are gone.
    fn keep_boards(&self, settings: &Settings) {
        let mut boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        boards.retain(|id, _| settings.jobs.iter().any(|job| job.id == *id));
    }
}

/// Does a job until stopped.
async fn work(mut job: Job, stop: CancellationToken) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        let now = (job.parts.now)();
        let pause = match job.step(now, &stop).await {
            Ok(step) => {
                failures = 0;
                job.board.runs();
                if step == Step::Moved { Duration::ZERO } else { TICK }
            }
            Err(failure) if failure.remedy == Remedy::Stopped => return,
            Err(failure) => {
                failures += 1;
                tell(&job, &failure, failures).await;
                pause(failures, failure.remedy)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn tell(job: &Job, failure: &Failure, failures: u32) {
    let (id, why) = (&job.config.id, &failure.why);
    if job.board.failed(failure) {
        note::trouble(&job.parts, &job.config, why).await;
    } else if failures == 1 {
        tracing::warn!(job = id, why, "a stream job is tried again");
    } else {
        tracing::debug!(job = id, why, failures, "a stream job is tried again");
    }
}

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failures: u32, remedy: Remedy) -> Duration {
    if remedy == Remedy::Change {
        return PAUSE_MAX;
    }
    let doubled = PAUSE_MIN * (1 << failures.saturating_sub(1).min(10));
    doubled.min(PAUSE_MAX)
}

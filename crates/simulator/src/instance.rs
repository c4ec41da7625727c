//! One simulated resource: its settings, what it holds and what it remembers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Deployment, SimulatorConfig};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::limits::Limits;
use crate::record::Journal;
use crate::route::Table;
use crate::store::Store;
use crate::text::{hash, hex, mix};
use crate::usage::Book;

/// What every request works with.
pub(crate) struct Instance {
    pub(crate) config: SimulatorConfig,
    /// The configured deployments and those made since: replaced whole when one changes.
    deployments: RwLock<Arc<[Arc<Deployment>]>>,
    /// Names the set-up of the models in answers.
    pub(crate) fingerprint: String,
    pub(crate) region: HeaderValue,
    pub(crate) table: Table,
    pub(crate) store: Store,
    pub(crate) limits: Limits,
    pub(crate) journal: Journal,
    pub(crate) book: Book,
    pub(crate) fault: watch::Sender<Option<Fault>>,
    /// WebSocket sessions.
    pub(crate) sessions: TaskTracker,
    pub(crate) stopping: CancellationToken,
    id_seed: u64,
    next_id: AtomicU64,
}

impl Instance {
    pub(crate) fn new(config: SimulatorConfig) -> Self {
        Self {
            deployments: RwLock::new(config.deployments.iter().cloned().map(Arc::new).collect()),
            fingerprint: format!("fp_{}", hex(mix(config.seed, 0xF9), 10)),
            region: HeaderValue::from_str(&config.region).unwrap_or(HeaderValue::from_static("?")),
            table: Table::new(config.strictness),
            store: Store::new(config.objects_per_kind_max, config.files_bytes_kept_max),
            limits: Limits::default(),
            journal: Journal::new(config.requests_kept_max),
            book: Book::new(config.usage_kept_max),
            fault: watch::Sender::new(None),
            sessions: TaskTracker::new(),
            stopping: CancellationToken::new(),
            id_seed: hash(config.seed, config.name.as_bytes()),
            next_id: AtomicU64::new(0),
            config,
        }
    }

    /// The deployments there are now, shared with the calls they serve.
    pub(crate) fn deployments(&self) -> Arc<[Arc<Deployment>]> {
        Arc::clone(&self.deployments.read().expect("no holder of this lock panics"))
    }

    /// Makes a deployment, or changes the one of its name; whether it is new.
    pub(crate) fn deploy(&self, deployment: Deployment) -> Result<bool, Failure> {
        let mut all = self.deployments.write().expect("no holder of this lock panics");
        let mut next = all.to_vec();
        let place = next.iter().position(|found| found.name == deployment.name);
        match place {
            Some(place) => next[place] = Arc::new(deployment),
            None if next.len() >= self.config.objects_per_kind_max => {
                return Err(Failure::conflict("There are as many deployments as fit here."));
            }
            None => next.push(Arc::new(deployment)),
        }
        *all = next.into();
        Ok(place.is_none())
    }

    pub(crate) fn undeploy(&self, name: &str) -> Option<Arc<Deployment>> {
        let mut all = self.deployments.write().expect("no holder of this lock panics");
        let removed = all.iter().find(|found| found.name == name).cloned()?;
        *all = all.iter().filter(|found| found.name != name).cloned().collect();
        Some(removed)
    }

    /// A number that no other call of this method gives, the same in every run.
    pub(crate) fn draw(&self) -> u64 {
        mix(self.id_seed, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}", hex(self.draw(), 24))
    }

    pub(crate) fn now(&self) -> i64 {
        self.config.created_at_unix_s.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }
}

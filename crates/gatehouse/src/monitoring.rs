//! Wiring of monitor: how the node stands, for `/metrics` and for alerts on metrics.

pub(crate) mod alerts;
pub(crate) mod look;
pub(crate) mod reports;
pub(crate) mod rerate;
pub(crate) mod stream_jobs;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use event::Timestamp;
use monitor::{
    BudgetStanding, Convention, CostConfig, Courier, Exporter, Mailer, Metric, Metrics,
    ObservedSink, Reporter, Spend, Watcher,
};
use policy::{Rules, SubscriptionState};
use shared::{Limiter, SecurityLog};
use sinks::StreamJobs;
use store::Store;
use tokio_util::sync::CancellationToken;
use vault::Vault;

use crate::clock::now;
use crate::config::Config;

/// Limits whose use is shown, those that are used most.
const LIMITS_MAX: usize = 200;
/// Keys that expire within this are shown.
const EXPIRY_SHOWN: Duration = Duration::from_secs(90 * 86_400);
/// Between two looks at budgets.
const BUDGETS_PAUSE: Duration = Duration::from_secs(60);

/// What monitor is told by.
pub(crate) struct Monitoring {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) exporter: Option<Arc<Exporter>>,
    rules: ArcSwap<Rules>,
    watcher: OnceLock<Arc<Watcher>>,
    reporter: OnceLock<Arc<Reporter>>,
    pub(crate) stream_jobs: OnceLock<Arc<StreamJobs>>,
    budgets: ArcSwap<CostConfig>,
    /// How they stood when they were looked at last.
    standings: ArcSwap<Vec<BudgetStanding>>,
    /// When the keys of subscriptions expire.
    expiries: ArcSwap<Vec<(String, Timestamp)>>,
    /// Since when the tables have been behind the ledger.
    behind_since: Mutex<Option<Instant>>,
}

impl Monitoring {
    pub(crate) fn new(
        config: &Config,
        security: &SecurityLog,
        vault: &Vault,
    ) -> anyhow::Result<Self> {
        let convention = Convention::of(config.metrics.gen_ai_version);
        let metrics = Arc::new(Metrics::new(convention));
        let exporter = config.exporter(security, vault, metrics.clone(), now())?.map(Arc::new);
        Ok(Self {
            metrics,
            exporter,
            rules: ArcSwap::from_pointee(config.rules()?),
            watcher: OnceLock::new(),
            reporter: OnceLock::new(),
            stream_jobs: OnceLock::new(),
            budgets: ArcSwap::from_pointee(config.cost.clone()),
            standings: ArcSwap::default(),
            expiries: ArcSwap::from_pointee(expiries(config)),
            behind_since: Mutex::default(),
        })
    }

    /// The tables, with what goes into them counted and told.
    pub(crate) fn observed(&self, tables: Arc<Store>) -> Arc<ObservedSink> {
        Arc::new(ObservedSink::new(tables, self.metrics.clone(), self.exporter.clone()))
    }

    /// Limits are those of this configuration from now on.
    pub(crate) fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Whom a reload tells of other alert rules. The first one given stays.
    pub(crate) fn set_watcher(&self, watcher: Arc<Watcher>) {
        let _ = self.watcher.set(watcher);
    }

    /// Whom a reload tells of other reports. The first one given stays.
    pub(crate) fn set_reporter(&self, reporter: Arc<Reporter>) {
        let _ = self.reporter.set(reporter);
    }

    /// Whom a reload tells of other stream jobs. The first one given stays.
    pub(crate) fn set_stream_jobs(&self, jobs: Arc<StreamJobs>) {
        let _ = self.stream_jobs.set(jobs);
    }

    /// Other alert rules, sinks and reports from now on.
    pub(crate) fn reconfigure(
        &self,
        config: &Config,
        courier: Courier,
        mailer: Option<Arc<Mailer>>,
    ) {
        if let Some(watcher) = self.watcher.get() {
            watcher.reconfigure(config.alerts.clone(), courier);
        }
        if let Some(reporter) = self.reporter.get() {
            reporter.reconfigure(config.reports.clone(), mailer);
        }
        for metric in [Metric::BudgetUsed, Metric::BudgetForecast] {
            self.metrics.clear(metric);
        }
        self.budgets.store(Arc::new(config.cost.clone()));
        self.expiries.store(Arc::new(expiries(config)));
    }

    /// Brings budgets, and what is spent an hour, up to date until stopped.
    pub(crate) async fn tend_budgets(&self, engine: Arc<dyn kql::Engine>, stop: CancellationToken) {
        let mut spend = Spend::default();
        loop {
            self.look_at_budgets(&engine).await;
            spend.refresh(&engine, &self.metrics, now()).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BUDGETS_PAUSE) => {}
            }
        }
    }

    async fn look_at_budgets(&self, engine: &Arc<dyn kql::Engine>) -> Arc<Vec<BudgetStanding>> {
        let budgets = self.budgets.load_full();
        let standings = monitor::refresh_budgets(&budgets, engine, &self.metrics, now()).await;
        let standings = Arc::new(standings);
        self.standings.store(standings.clone());
        standings
    }

    /// How budgets stood within the last minute; where others are in force since, how they stand now.
    pub(crate) async fn budgets(&self, engine: &Arc<dyn kql::Engine>) -> Arc<Vec<BudgetStanding>> {
        let standings = self.standings.load_full();
        let budgets = self.budgets.load();
        if standings.iter().map(|standing| &standing.budget).eq(&budgets.budgets) {
            return standings;
        }
        drop(budgets);
        self.look_at_budgets(engine).await
    }

    pub(crate) fn reloaded(&self, is_done: bool) {
        let result = if is_done { "done" } else { "failed" };
        self.metrics.add(Metric::Reloads, &[result], 1.0);
    }

    /// Shows which keys expire soon.
    fn show_expiries(&self, now: Timestamp) {
        self.metrics.clear(Metric::KeyExpiry);
        for (subscription, at) in self.expiries.load().iter() {
            let left = (at.unix_micros() - now.unix_micros()) as f64 / 1e6;
            if (0.0..EXPIRY_SHOWN.as_secs_f64()).contains(&left) {
                self.metrics.set(Metric::KeyExpiry, &[subscription], left);
            }
        }
    }

    fn behind_for(&self, lag: u64) -> f64 {
        let mut since = self.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
        match lag {
            0 => *since = None,
            _ => drop(since.get_or_insert_with(Instant::now)),
        }
        since.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }

    /// The part of each limit that is used, where something counts.
    fn limits(&self, limiter: &Limiter) -> Vec<(String, f64)> {
        let rules = self.rules.load();
        let counters = limiter.counters(now()).into_iter();
        let mut used: Vec<_> = counters
            .filter_map(|state| {
                let most = rules.amount_of(&state.counter).filter(|most| *most > 0)?;
                let used = state.used.saturating_add(state.others_used);
                Some((state.counter, used as f64 / most as f64))
            })
            .collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        used.truncate(LIMITS_MAX);
        used
    }
}

/// Subscriptions in force whose keys expire, and when.
fn expiries(config: &Config) -> Vec<(String, Timestamp)> {
    let active = config.subscriptions.iter().filter(|one| one.state == SubscriptionState::Active);
    active.filter_map(|one| Some((one.id.clone(), one.expires_at?.timestamp()))).collect()
}

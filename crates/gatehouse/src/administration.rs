//! What an administrator asks over HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use control::Control;
use event::{Erasure, Timestamp};
use gateway::Drain;
use monitor::{Reporter, RuleInForce, Watcher};
use portal::{
    AlertList, AlertRuleLine, AlertTest, BackendList, BudgetList, CertificateList, CounterList,
    ErasureState, ListenerCertificate, Operations, Problem, ReloadReport, ReportList, ReportRun,
    RerateBody, RerateReport, SettingList, StreamJobList,
};
use serde_json::json;
use shared::Limiter;
use sinks::StreamJobs;

use crate::clock::now;
use crate::erasing::Eraser;
use crate::monitoring::rerate::Rerater;
use crate::parts::Parts;
use crate::reload::Reloader;

/// See the module.
pub(crate) struct Administration {
    pub(crate) parts: Arc<Parts>,
    watch: Watching,
    reloader: Arc<Reloader>,
    limiter: Limiter,
    pub(crate) control: Control,
}

/// Who looks at alert rules, makes reports, delivers outside, rates costs anew and erases.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) stream_jobs: Arc<StreamJobs>,
    pub(crate) rerater: Arc<Rerater>,
    pub(crate) eraser: Arc<Eraser>,
}

impl Administration {
    pub(crate) fn new(
        parts: &Arc<Parts>,
        watch: &Watching,
        reloader: &Arc<Reloader>,
        (limiter, control): (&Limiter, &Control),
    ) -> Arc<Self> {
        Arc::new(Self {
            parts: parts.clone(),
            watch: watch.clone(),
            reloader: reloader.clone(),
            limiter: limiter.clone(),
            control: control.clone(),
        })
    }
}

#[async_trait]
impl Operations for Administration {
    async fn reload(&self) -> Result<ReloadReport, Problem> {
        let report = self.reloader.reload().await;
        report.map_err(|error| {
            Problem::new(422, format!("{error:#}; the configuration before stays in force"))
        })
    }

    fn backends(&self) -> BackendList {
        let backends = self.parts.gateway.status().backends;
        BackendList { backends: backends.iter().map(|backend| json!(backend)).collect() }
    }

    fn certificates(&self) -> CertificateList {
        let certificates = self.parts.certificates().map(|(listener, ends_at)| {
            let ends_at_s = ends_at.map(|at| Timestamp::from(at).unix_micros() / 1_000_000);
            ListenerCertificate { listener, ends_at_s }
        });
        CertificateList { certificates: certificates.collect() }
    }

    fn limits(&self) -> CounterList {
        let counters = self.limiter.counters(now());
        CounterList { counters: counters.iter().map(|counter| json!(counter)).collect() }
    }

    async fn settings(&self) -> SettingList {
        self.reloader.settings().await
    }

    async fn alerts(&self) -> AlertList {
        let watcher = &self.watch.watcher;
        let rules = watcher.rules().await;
        AlertList {
            rules: rules.iter().map(|rule| json!(rule)).collect(),
            sinks: watcher.sinks(),
            gauges: monitor::gauges().map(|gauge| gauge.name.to_owned()).collect(),
        }
    }

    fn alert_rules(&self) -> Vec<AlertRuleLine> {
        let line =
            |RuleInForce { rule, origin, replaces }| AlertRuleLine { rule, origin, replaces };
        self.watch.watcher.in_force().into_iter().map(line).collect()
    }

    async fn test_alert(&self, rule: &str) -> Result<AlertTest, Problem> {
        let told = self.watch.watcher.test(rule).await;
        told.map(AlertTest).map_err(|detail| Problem::new(422, detail))
    }

    async fn reports(&self) -> ReportList {
        let reports = self.watch.reporter.reports().await;
        ReportList { reports: reports.iter().map(|report| json!(report)).collect() }
    }

    async fn run_report(&self, report: &str) -> Result<ReportRun, Problem> {
        let made = self.watch.reporter.make_now(report).await;
        made.map(ReportRun).map_err(|detail| Problem::new(422, detail))
    }

    fn stream_jobs(&self) -> StreamJobList {
        let jobs = self.watch.stream_jobs.status();
        StreamJobList { stream_jobs: jobs.iter().map(|job| json!(job)).collect() }
    }

    async fn budgets(&self) -> BudgetList {
        let engine: Arc<dyn kql::Engine> = self.parts.engine.clone();
        let budgets = self.parts.monitoring.budgets(&engine).await;
        BudgetList { budgets: budgets.iter().map(|budget| json!(budget)).collect() }
    }

    async fn erase(&self, orders: Vec<Erasure>) -> Result<(bool, ErasureState), Problem> {
        self.watch.eraser.order(orders).await
    }

    fn erasures(&self) -> ErasureState {
        self.watch.eraser.state()
    }

    async fn rerate(&self, body: &RerateBody) -> Result<RerateReport, Problem> {
        self.watch.rerater.run(body).await
    }

    fn drain(&self, backend: &str, with_stateful: bool) -> Result<BackendList, Problem> {
        let drain = if with_stateful { Drain::Everything } else { Drain::Balanced };
        self.parts.gateway.drain(backend, drain).map_err(no_such)?;
        Ok(self.backends())
    }

    fn undrain(&self, backend: &str) -> Result<BackendList, Problem> {
        self.parts.gateway.undrain(backend).map_err(no_such)?;
        Ok(self.backends())
    }
}

fn no_such(error: gateway::Error) -> Problem {
    Problem::new(404, error.to_string())
}

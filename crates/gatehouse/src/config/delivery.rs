//! Who takes out what alerts and reports say, what is measured, and what is recorded.

use std::sync::Arc;

use event::Timestamp;
use monitor::{Convention, Courier, Exporter, Mailer, Metrics};
use shared::SecurityLog;
use vault::{CredentialSource, Vault};

use super::Config;
use crate::exit::{Exit, ExitWith};

impl Config {
    /// Checks the settings of alerts, budgets, reports, stream jobs, mail and what is exported.
    pub(super) fn check_delivery(&self, vault: &Vault) -> anyhow::Result<()> {
        let bad = |message: String| ExitWith::error(Exit::BadConfig, message);
        self.alerts.validate().map_err(|why| bad(format!("alerts: {why}")))?;
        self.cost.validate().map_err(|why| bad(format!("cost: {why}")))?;
        monitor::validate_reports(&self.reports).map_err(|why| bad(format!("reports: {why}")))?;
        sinks::validate_sinks(&self.sinks, &self.stream_jobs).map_err(bad)?;
        for sink in &self.sinks {
            let keys = sink.password.iter().cloned().map(CredentialSource::Secret);
            for source in keys.chain(sink.token_source()) {
                vault
                    .check(&source)
                    .map_err(|error| bad(format!("sinks: `{}`: {}", sink.id, error.story())))?;
            }
        }
        let metrics = Arc::new(Metrics::new(Convention::of(self.metrics.gen_ai_version)));
        let security = SecurityLog::default();
        self.exporter(&security, vault, metrics, Timestamp::default())?;
        self.courier(&security, vault).map(drop)
    }

    /// Who takes metrics, spans and logs out; none without a collector.
    pub(crate) fn exporter(
        &self,
        security: &SecurityLog,
        vault: &Vault,
        metrics: Arc<Metrics>,
        started_at: Timestamp,
    ) -> anyhow::Result<Option<Exporter>> {
        let egress = security.egress(&self.egress, &self.region);
        Exporter::new(&self.otlp, egress, vault.clone(), metrics, started_at)
            .map_err(|why| ExitWith::error(Exit::BadConfig, format!("otlp: {why}")))
    }

    /// Who delivers alerts.
    pub(crate) fn courier(&self, security: &SecurityLog, vault: &Vault) -> anyhow::Result<Courier> {
        let egress = security.egress(&self.egress, &self.region);
        let mailer = self.mailer(security, vault)?;
        Ok(Courier::new(egress, mailer, vault.clone(), self.alerts.portal_url.clone()))
    }

    /// Who sends mail; none without a mail server.
    pub(crate) fn mailer(
        &self,
        security: &SecurityLog,
        vault: &Vault,
    ) -> anyhow::Result<Option<Arc<Mailer>>> {
        let egress = security.egress(&self.egress, &self.region);
        let mailer = Mailer::new(&self.mail, egress, vault.clone());
        Ok(mailer.map_err(|why| ExitWith::error(Exit::BadConfig, why))?.map(Arc::new))
    }
}

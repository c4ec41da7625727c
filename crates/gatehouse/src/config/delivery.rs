//! What alerts and reports say, and who takes it out.

use std::sync::Arc;

use monitor::{Courier, Mailer};
use shared::SecurityLog;
use vault::Vault;

use super::Config;
use crate::exit::{Exit, ExitWith};

impl Config {
    /// Checks the settings of alerts, budgets, reports and mail.
    pub(super) fn check_delivery(&self, vault: &Vault) -> anyhow::Result<()> {
        let bad = |message: String| ExitWith::error(Exit::BadConfig, message);
        self.alerts.validate().map_err(|why| bad(format!("alerts: {why}")))?;
        self.cost.validate().map_err(|why| bad(format!("cost: {why}")))?;
        monitor::validate_reports(&self.reports).map_err(|why| bad(format!("reports: {why}")))?;
        self.courier(&SecurityLog::default(), vault).map(drop)
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

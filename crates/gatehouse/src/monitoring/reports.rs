//! Wiring of scheduled reports: what they ask, whose rights they have, who of several nodes makes them.

use std::sync::Arc;
use std::time::Duration;

use control::Control;
use kql::Engine;
use ledger::Ledger;
use monitor::{Reporter, ReporterParts};
use policy::Role;

use super::alerts::{complete_until, shared_state};
use crate::clock::now;
use crate::config::Config;
use crate::parts::Parts;

/// How long another node waits for one that has died. Longer than the making of any report takes.
const LEASE: Duration = Duration::from_secs(300);

/// Who makes the reports of this configuration. `node` is this node's name.
pub(crate) fn reporter(
    config: &Config,
    parts: &Arc<Parts>,
    engine: Arc<dyn Engine>,
    (ledger, control): (&Ledger, &Control),
    node: String,
) -> anyhow::Result<Reporter> {
    let reporter_parts = ReporterParts {
        engine,
        ledger: ledger.clone(),
        complete_until: Box::new(complete_until(parts)),
        may_read_content: Box::new(may_read_content(config, control)),
        state_file: config.data_dir.join("reports.json"),
        store: shared_state(config, parts, ("reports", node), LEASE)?,
        now,
    };
    let reporter = Reporter::open(
        reporter_parts,
        config.reports.clone(),
        config.mailer(&parts.security, &parts.vault)?,
    );
    reporter.map_err(|why| anyhow::anyhow!(why))
}

/// Whether an identity that works by itself may read content.
pub(super) fn may_read_content(
    config: &Config,
    control: &Control,
) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let (mapping, control) = (config.admin.roles.clone(), control.clone());
    // Nobody is asked before it reads.
    let takes_approval = config.admin.second_approver.is_some();
    move |identity: &str| {
        if takes_approval {
            return false;
        }
        let is_named = |users: &[String]| users.iter().any(|user| user == identity);
        let decreed = control.live();
        let decreed = decreed.decree.roles.iter().map(|entry| (entry.role, &entry.users));
        let mut all = mapping.iter().map(|entry| (entry.role, &entry.users)).chain(decreed);
        all.any(|(role, users)| role == Role::ContentReader && is_named(users))
    }
}

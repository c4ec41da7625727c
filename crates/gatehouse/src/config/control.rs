//! Where the desired state is kept.

use std::time::Duration;

use control::{Decree, Place};
use policy::KeyHasher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::SecretRef;

use super::Config;
use crate::exit::{Exit, ExitWith};

/// The desired state: products, subscriptions, limits, budgets, dashboards, alert rules and roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ControlConfig {
    /// What holds products, subscriptions, limits, budgets and dashboards.
    pub(crate) source: StateSource,
    /// `postgres://user@host:port/database` for a database that several gateways share; empty for a
    /// SQLite file in the data folder.
    pub(crate) url: String,
    /// Where the password for it is found.
    pub(crate) password: Option<SecretRef>,
    /// Versions kept; older ones go.
    pub(crate) versions_max: u32,
    /// Time between two looks for changes made through other gateways, in milliseconds.
    pub(crate) poll_ms: u64,
}

/// What holds the desired state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateSource {
    /// The database. This file seeds it when it is empty and is not looked at afterwards.
    #[default]
    Database,
    /// This file; the admin API can only read.
    File,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            source: StateSource::default(),
            url: String::new(),
            password: None,
            versions_max: 200,
            poll_ms: 1_000,
        }
    }
}

impl Config {
    /// What the control plane is told.
    pub(crate) fn control(&self) -> anyhow::Result<control::Settings> {
        let ControlConfig { source, url, password, versions_max, poll_ms } = &self.control;
        let bad = |message: String| ExitWith::error(Exit::BadConfig, format!("control: {message}"));
        if *poll_ms < 100 || *versions_max == 0 {
            return Err(bad("poll_ms is at least 100, versions_max at least 1".into()));
        }
        let place = match (source, url.is_empty()) {
            (StateSource::File, _) => None,
            (StateSource::Database, true) => {
                Some(Place::Sqlite(self.data_dir.join("control.sqlite")))
            }
            (StateSource::Database, false) => {
                let password = password.as_ref().map(|reference| self.secret(reference));
                let password = password.transpose();
                let password =
                    password.map_err(|error| bad(format!("password: {}", error.story())))?;
                let password = password.as_ref().map(|secret| secret.expose());
                let place = Place::postgres(url, password);
                Some(place.map_err(|error| bad(format!("url: {error}")))?)
            }
        };
        Ok(control::Settings {
            place,
            approvals_file: self.data_dir.join("control.sqlite"),
            cache_file: self.data_dir.join("control.json"),
            versions_max: *versions_max,
            poll: Duration::from_millis(*poll_ms),
        })
    }

    /// The part that administrators decree.
    pub(crate) fn decree(&self) -> Decree {
        Decree {
            products: self.products.clone(),
            subscriptions: self.subscriptions.clone(),
            limits: self.limits.clone(),
            // Those of the file hold whatever the state says: `admin.roles`.
            roles: Vec::new(),
            budgets: self.cost.budgets.clone(),
            dashboards: self.dashboards.clone(),
            // These too: `alerts.rules`.
            alert_rules: Vec::new(),
        }
    }

    /// Takes a decree in the place of its own.
    pub(crate) fn decreed(mut self, decree: Decree) -> Self {
        let Decree { products, subscriptions, limits, roles: _, budgets, dashboards, alert_rules } =
            decree;
        (self.products, self.subscriptions, self.limits) = (products, subscriptions, limits);
        self.cost.budgets = budgets;
        self.dashboards = dashboards;
        self.alerts.decreed = alert_rules;
        self
    }

    /// Hashes subscription keys.
    pub(crate) fn hasher(&self) -> anyhow::Result<KeyHasher> {
        Ok(KeyHasher::new(self.key_hash_secret()?.expose().as_bytes()))
    }
}

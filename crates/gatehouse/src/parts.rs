//! The parts of a running gateway that take a changed configuration.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use gateway::{Acme, Gateway, ServerTls};
use identity::Verifier;
use kql::{Frame, Options, QueryError};
use pipeline::Pipeline;
use shared::SecurityLog;
use store::Store;
use vault::Vault;

use crate::checkpoints::Signer;
use crate::config::Config;
use crate::log::LogLevel;
use crate::monitoring::Monitoring;

/// How long the pipeline may take to catch up when the gateway stops; the rest is read again at the
/// next start.
pub(crate) const SETTLE_WAIT: Duration = Duration::from_secs(10);

/// What takes a changed configuration while it runs.
pub(crate) struct Parts {
    pub(crate) gateway: Gateway,
    pub(crate) identity: Verifier,
    pub(crate) pipeline: Pipeline,
    pub(crate) monitoring: Arc<Monitoring>,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<CurrentEngine>,
    pub(crate) vault: Vault,
    pub(crate) admin_tls: Option<Arc<ServerTls>>,
    pub(crate) acme: Acme,
    pub(crate) security: SecurityLog,
    pub(crate) signer: Signer,
    pub(crate) log: LogLevel,
}

/// Queries that run end with the engine they began with; a reload may put another in its place.
pub(crate) struct CurrentEngine(ArcSwap<query::Engine>);

impl Parts {
    /// When the certificate of each listener that speaks TLS ends; none while it has none.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (String, Option<SystemTime>)> {
        let admin = self.admin_tls.iter().map(|tls| ("admin".to_owned(), tls.ends_at()));
        let edge = self.gateway.certificates();
        edge.map(|(address, ends_at)| (address.to_string(), ends_at)).chain(admin)
    }

    /// Other stream jobs from now on, where they differ.
    fn reconfigure_stream_jobs(&self, current: &Config, next: &Config) {
        let of = |config: &Config| {
            (config.sinks.clone(), config.stream_jobs.clone(), config.egress.clone())
        };
        if let Some(jobs) = self.monitoring.stream_jobs.get()
            && of(current) != of(next)
        {
            let egress = self.security.egress(&next.egress, &next.region);
            jobs.reconfigure((next.sinks.clone(), next.stream_jobs.clone()), egress);
        }
    }

    /// Puts a checked configuration in force. What can fail comes first and changes nothing if it does.
    pub(crate) fn apply(&self, current: &Config, next: &Config) -> anyhow::Result<()> {
        let prices = next.prices()?;
        let engine = match next.query == current.query {
            true => None,
            false => Some(query::Engine::new(self.store.clone(), next.query.clone())?),
        };
        if next.log.level != current.log.level {
            self.log.set(&next.log.level)?;
        }
        let rules = next.rules()?;
        let courier = next.courier(&self.security, &self.vault)?;
        let mailer = next.mailer(&self.security, &self.vault)?;
        self.signer.reconfigure(next)?;
        self.gateway.reload(next.settings(&self.vault)?)?;
        if next.identity != current.identity {
            self.identity.reconfigure(&next.identity)?;
        }
        self.monitoring.set_rules(rules);
        self.monitoring.reconfigure(next, courier, mailer);
        self.reconfigure_stream_jobs(current, next);
        if let (Some(tls), Some(settings)) = (&self.admin_tls, &next.admin_tls) {
            tls.reload(settings)?;
        }
        self.vault.look_again();
        self.store.reconfigure(next.store.clone())?;
        self.pipeline.set_prices(prices);
        if let Some(engine) = engine {
            self.engine.0.store(Arc::new(engine));
        }
        Ok(())
    }
}

impl CurrentEngine {
    pub(crate) fn new(engine: query::Engine) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(engine)))
    }
}

#[async_trait]
impl kql::Engine for CurrentEngine {
    async fn run(&self, query: &str, options: &Options) -> Result<Frame, QueryError> {
        kql::Engine::run(&*self.0.load_full(), query, options).await
    }

    async fn export(
        &self,
        query: &str,
        options: &Options,
        format: kql::FileFormat,
    ) -> Result<kql::Export, QueryError> {
        kql::Engine::export(&*self.0.load_full(), query, options, format).await
    }

    fn catalogue(&self, access: &kql::Access) -> Arc<dyn kql::Catalogue> {
        kql::Engine::catalogue(&**self.0.load(), access)
    }
}

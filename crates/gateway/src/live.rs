//! What may change while the gateway runs. One value of it serves a request from start to end.

use std::sync::Arc;

use policy::Rules;
use shared::SecurityLog;

use crate::acme::OrderedCertificates;
use crate::config::{BackendKeys, GatewayConfig};
use crate::error::Error;
use crate::firewall::Waf;
use crate::pool::Pool;
use crate::server_tls::ServerTls;

/// What an administrator sets: at the start, and again at every reload.
pub struct Settings {
    /// Settings of the gateway. A reload leaves `edge.listeners` and `edge.connections_max` as they
    /// were at the start.
    pub config: GatewayConfig,
    /// The decree.
    pub rules: Rules,
    /// Keys of the backends.
    pub keys: BackendKeys,
    /// The web application firewall; none where it is off.
    pub waf: Option<Arc<Waf>>,
}

/// The settings in force.
pub(crate) struct Live {
    pub(crate) config: GatewayConfig,
    pub(crate) rules: Rules,
    pub(crate) pool: Pool,
    pub(crate) waf: Option<Arc<Waf>>,
}

impl Live {
    /// Checks the settings as a whole. What `before` knows of backends that stay the same, their
    /// connections and health, is kept.
    pub(crate) fn new(
        settings: Settings,
        security: &SecurityLog,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, Error> {
        let Settings { config, rules, keys, waf } = settings;
        config.edge.check()?;
        let pool = Pool::new(&config, &keys, security, before.map(|live| &live.pool))?;
        for backend in &config.backends {
            let is_wanted = backend.credential().map_err(Error)?.is_some();
            if is_wanted && !keys.contains_key(&backend.id) {
                return Err(Error(format!("backend `{}`: its key was not resolved", backend.id)));
            }
        }
        Ok(Arc::new(Self { config, rules, pool, waf }))
    }
}

/// Checks what [`Gateway::start`](crate::Gateway::start) would be told, without keys and without listening.
pub fn check(config: &GatewayConfig) -> Result<(), Error> {
    config.edge.check()?;
    for listener in &config.edge.listeners {
        if let Some(tls) = &listener.tls {
            ServerTls::new(tls, &OrderedCertificates::default())?;
        }
    }
    Pool::new(config, &BackendKeys::new(), &SecurityLog::default(), None).map(drop)
}

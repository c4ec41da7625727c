//! The configuration file: composed of what each crate owns, checked as a whole.

mod acme;
mod checkpoints;
mod control;
mod delivery;
mod environment;
mod files;
mod load;
mod process;
mod proxy;
mod redis;
mod secrets;
mod sign_in;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use gateway::{
    AcmeConfig, BackendConfig, BackendKeys, CaptureConfig, EdgeConfig, GatewayConfig,
    ObjectsConfig, PoolConfig, Settings, TlsConfig, Waf, WafConfig,
};
use policy::{
    DashboardConfig, KeyHasher, LimitConfig, PriceScopeConfig, Prices, ProductConfig, Rules,
    SubscriptionConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::SecurityLog;
use vault::{Secret, SecretRef, Vault, VaultConfig};

use self::checkpoints::CheckpointsConfig;
use self::control::ControlConfig;
pub(crate) use self::control::StateSource;
pub(crate) use self::environment::Override;
use self::process::ProcessConfig;
use self::proxy::ProxyConfig;
use self::redis::RedisConfig;
pub(crate) use self::secrets::Fetched;
pub(crate) use self::sign_in::GraphCredentialConfig;
use self::sign_in::{ScimConfig, SignInConfig};
use crate::exit::{Exit, ExitWith};

/// Everything that a gateway is told.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Folder for everything that is kept: ledger, tables, tokens. Relative to this file.
    pub(crate) data_dir: PathBuf,
    /// Region this gateway is in, for the `Region` column.
    pub(crate) region: String,
    /// Secret under which subscription keys are hashed; `gatehouse init` makes one.
    pub(crate) key_hash_secret: SecretRef,
    /// The homes where secrets live, beside environment and files.
    pub(crate) vault: VaultConfig,
    /// Where clients connect, and what one of them may use.
    pub(crate) edge: EdgeConfig,
    /// The web application firewall: rules in SecLang over every request.
    pub(crate) waf: WafConfig,
    /// The authority that issues certificates for `edge.listeners[].tls.acme_hosts`, by ACME.
    pub(crate) acme: AcmeConfig,
    /// The services that answer.
    pub(crate) backends: Vec<BackendConfig>,
    /// How a backend is chosen, watched and left.
    pub(crate) pool: PoolConfig,
    /// Which addresses backends may have.
    pub(crate) egress: net::EgressConfig,
    /// The HTTP proxy that connections go out through.
    pub(crate) proxy: ProxyConfig,
    /// What becomes of calls that name objects: files, threads, responses and their like.
    pub(crate) objects: ObjectsConfig,
    /// Identity providers whose tokens callers may present instead of a key.
    pub(crate) identity: identity::IdentityConfig,
    /// Credentials for Microsoft Graph, for groups that do not fit into a token.
    pub(crate) graph: Vec<GraphCredentialConfig>,
    /// What is recorded and how long an abandoned answer is read on.
    pub(crate) capture: CaptureConfig,
    /// Sets of operations and deployments that subscriptions give access to.
    pub(crate) products: Vec<ProductConfig>,
    /// Who may call, by hashed key.
    pub(crate) subscriptions: Vec<SubscriptionConfig>,
    /// What every subscription may use, beside the limits of products and subscriptions.
    pub(crate) limits: Vec<LimitConfig>,
    /// Dashboards of the portal that everybody sees. They are part of the desired state.
    pub(crate) dashboards: Vec<DashboardConfig>,
    /// Where the desired state is kept: products, subscriptions, limits, budgets, dashboards, alert rules beside
    /// `alerts.rules`, and roles beside `admin.roles`.
    pub(crate) control: ControlConfig,
    /// Redis or Valkey, through which several nodes share limits and objects.
    pub(crate) redis: RedisConfig,
    /// The log of everything, and when a record counts as kept.
    pub(crate) ledger: ledger::LedgerConfig,
    /// Signatures under the ledger.
    pub(crate) checkpoints: CheckpointsConfig,
    /// How interactions become rows.
    pub(crate) pipeline: pipeline::PipelineConfig,
    /// The tables: when they are written, merged and given up.
    pub(crate) store: store::StoreConfig,
    /// Limits of queries, and the identity that Azure's columns show.
    pub(crate) query: query::QueryConfig,
    /// The listener for queries and administration.
    pub(crate) admin: portal::PortalConfig,
    /// How people sign in to the admin listener with an identity provider.
    pub(crate) sign_in: SignInConfig,
    /// SCIM on the admin listener: the organisation's directory provisions users and groups.
    pub(crate) scim: ScimConfig,
    /// The certificate of that listener; without it, it speaks plain text.
    pub(crate) admin_tls: Option<TlsConfig>,
    /// The listener for `/healthz`, `/readyz` and `/metrics`.
    pub(crate) health: HealthConfig,
    /// What `/metrics` says.
    pub(crate) metrics: monitor::MetricsConfig,
    /// Telemetry to a collector.
    pub(crate) otlp: monitor::OtlpConfig,
    /// What people are told of, when and how.
    pub(crate) alerts: monitor::AlertsConfig,
    /// Queries that are asked by themselves, and where their results go.
    pub(crate) reports: Vec<monitor::ReportConfig>,
    /// Places outside that `stream_jobs` deliver to.
    pub(crate) sinks: Vec<sinks::SinkConfig>,
    /// What of the record is delivered outside as it comes, and where to.
    pub(crate) stream_jobs: Vec<sinks::StreamJobConfig>,
    /// The mail server, for alerts and reports.
    pub(crate) mail: monitor::MailConfig,
    /// Budgets.
    pub(crate) cost: monitor::CostConfig,
    /// Price list in the format of the built-in one, which holds if this is empty.
    pub(crate) prices_file: PathBuf,
    /// Which of the list's prices hold for which deployments; the first entry that fits. Without one,
    /// the global or default price.
    pub(crate) price_scopes: Vec<PriceScopeConfig>,
    /// The price list that these two make, once somebody has asked for it.
    #[serde(skip)]
    pub(crate) price_list: OnceLock<Arc<Prices>>,
    /// The rules of `waf`, once somebody has asked for them.
    #[serde(skip)]
    pub(crate) waf_rules: OnceLock<Option<Arc<Waf>>>,
    /// What the gateway says of itself.
    pub(crate) log: LogConfig,
    /// What the serving process may do on its machine.
    pub(crate) process: ProcessConfig,
    /// What was fetched from other machines; no setting.
    #[serde(skip)]
    pub(crate) fetched: Fetched,
}

/// The health listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HealthConfig {
    /// Address and port.
    pub(crate) listen: SocketAddr,
}

/// The gateway's own log, on standard error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,gateway=debug`.
    pub(crate) level: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            region: String::new(),
            key_hash_secret: SecretRef::File("gatehouse.secret".into()),
            vault: VaultConfig::default(),
            edge: EdgeConfig::default(),
            waf: WafConfig::default(),
            waf_rules: OnceLock::new(),
            acme: AcmeConfig::default(),
            backends: Vec::new(),
            pool: PoolConfig::default(),
            egress: net::EgressConfig::default(),
            proxy: ProxyConfig::default(),
            objects: ObjectsConfig::default(),
            identity: identity::IdentityConfig::default(),
            graph: Vec::new(),
            capture: CaptureConfig::default(),
            products: Vec::new(),
            subscriptions: Vec::new(),
            limits: Vec::new(),
            dashboards: Vec::new(),
            control: ControlConfig::default(),
            redis: RedisConfig::default(),
            ledger: ledger::LedgerConfig::default(),
            checkpoints: CheckpointsConfig::default(),
            pipeline: pipeline::PipelineConfig::default(),
            store: store::StoreConfig::default(),
            query: query::QueryConfig::default(),
            admin: portal::PortalConfig::default(),
            sign_in: SignInConfig::default(),
            scim: ScimConfig::default(),
            admin_tls: None,
            health: HealthConfig::default(),
            metrics: monitor::MetricsConfig::default(),
            otlp: monitor::OtlpConfig::default(),
            alerts: monitor::AlertsConfig::default(),
            reports: Vec::new(),
            sinks: Vec::new(),
            stream_jobs: Vec::new(),
            mail: monitor::MailConfig::default(),
            cost: monitor::CostConfig::default(),
            prices_file: PathBuf::new(),
            price_scopes: Vec::new(),
            price_list: OnceLock::new(),
            log: LogConfig::default(),
            process: ProcessConfig::default(),
            fetched: Fetched::default(),
        }
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8082)) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), json: false }
    }
}

impl Config {
    /// Reads a file and the environment; paths become relative to the file.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        let bad = |message: String| {
            ExitWith::error(Exit::BadConfig, format!("{}: {message}", file.display()))
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| bad(format!("{error}; {}", missing(&error))))?;
        let mut config = load::parse(&text, environment::overrides()).map_err(bad)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        config.resolve_paths(folder);
        Ok(config)
    }

    /// Checks what no single field can tell: references, ranges, secrets.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        let bad = |message: String| ExitWith::error(Exit::BadConfig, message);
        self.ledger.validate().map_err(|error| bad(format!("ledger: {error}")))?;
        self.pipeline.validate().map_err(|error| bad(format!("pipeline: {error}")))?;
        self.store.validate().map_err(|error| bad(format!("store: {error}")))?;
        if self.backends.is_empty() {
            return Err(bad("backends: there is none: add one with `id` and `base_url`".into()));
        }
        let nobody = self.subscriptions.is_empty() && self.identity.providers.is_empty();
        if nobody && self.control.source == StateSource::File {
            let fix =
                "add one with `gatehouse keys create`, or a provider under `identity.providers`";
            return Err(bad(format!("subscriptions: there is none, so nobody may call: {fix}")));
        }
        self.identity.validate().map_err(|error| bad(format!("identity: {error}")))?;
        self.sign_in()?.check().map_err(bad)?;
        for entry in &self.graph {
            let provider = &entry.provider;
            if !self.identity.providers.iter().any(|known| known.id == *provider) {
                let text = "does not stand under identity.providers";
                return Err(bad(format!("graph: provider `{provider}` {text}")));
            }
        }
        self.rules()?;
        self.prices()?;
        self.waf_rules()?;
        self.proxy()?;
        self.redis(&SecurityLog::default())?;
        let vault = Vault::new(&self.vault, |_| {}).map_err(|error| bad(error.story()))?;
        self.check_homes(&vault)?;
        gateway::check(&self.gateway()).map_err(|error| bad(error.to_string()))?;
        ::control::check_operations(&self.products).map_err(|error| bad(error.to_string()))?;
        policy::check_dashboards(&self.dashboards).map_err(|error| bad(error.to_string()))?;
        ::control::check_queries(&self.dashboards, None).map_err(|error| bad(error.to_string()))?;
        self.check_tls()?;
        self.control()?;
        self.check_checkpoints()?;
        self.check_delivery(&vault)
    }

    /// The secret under which keys are hashed.
    pub(crate) fn key_hash_secret(&self) -> anyhow::Result<Secret> {
        self.secret(&self.key_hash_secret).map_err(|error| {
            let fix = match &self.key_hash_secret {
                SecretRef::File(_) => ": `gatehouse init` makes one",
                _ => "",
            };
            ExitWith::error(Exit::BadConfig, format!("key_hash_secret: {}{fix}", error.story()))
        })
    }

    /// The decree of this configuration.
    pub(crate) fn rules(&self) -> anyhow::Result<Rules> {
        let hasher = self.hasher()?;
        let prices = self.prices()?;
        let version = self.rules_version(&hasher)?;
        Rules::new(version, hasher, &self.products, &self.subscriptions)
            .and_then(|rules| rules.limited(&self.limits))
            .map(|rules| rules.priced(prices))
            .map_err(|error| ExitWith::error(Exit::BadConfig, error.to_string()))
    }

    /// The same decree has the same version, also after a restart: 48 bits of a hash of its content.
    fn rules_version(&self, hasher: &KeyHasher) -> anyhow::Result<u64> {
        let decree = serde_json::to_string(&(&self.products, &self.subscriptions, &self.limits))?;
        let hash = hasher.hash(&decree).to_string();
        let digits = &hash[hash.len() - 12..];
        u64::from_str_radix(digits, 16).context("a key hash ends in hexadecimal digits")
    }

    /// The price list, which is read once for as long as this configuration lives.
    pub(crate) fn prices(&self) -> anyhow::Result<Arc<Prices>> {
        if let Some(prices) = self.price_list.get() {
            return Ok(prices.clone());
        }
        let prices = Arc::new(self.read_prices()?.scoped(&self.price_scopes));
        Ok(self.price_list.get_or_init(|| prices).clone())
    }

    fn read_prices(&self) -> anyhow::Result<Prices> {
        if self.prices_file.as_os_str().is_empty() {
            return Ok(Prices::builtin());
        }
        let file = self.prices_file.display();
        let bad = |error: &dyn std::fmt::Display| {
            let fix = "name a price list in CSV, or leave it out for the built-in one";
            ExitWith::error(Exit::BadConfig, format!("prices_file: {file}: {error}: {fix}"))
        };
        let text = std::fs::read_to_string(&self.prices_file).map_err(|error| bad(&error))?;
        Prices::from_csv(&text).map_err(|error| bad(&error))
    }

    /// The rules of the firewall, which are read once for as long as this configuration lives: it takes a
    /// moment, and blocks.
    pub(crate) fn waf_rules(&self) -> anyhow::Result<Option<Arc<Waf>>> {
        if let Some(rules) = self.waf_rules.get() {
            return Ok(rules.clone());
        }
        let rules = Waf::load(&self.waf)
            .map_err(|error| ExitWith::error(Exit::BadConfig, error.to_string()))?;
        Ok(self.waf_rules.get_or_init(|| rules).clone())
    }

    /// What the backends are shown, each following its secret.
    fn backend_keys(&self, vault: &Vault) -> anyhow::Result<BackendKeys> {
        let mut keys = BTreeMap::new();
        for backend in &self.backends {
            let bad = |error: String| bad_credential(backend, &error);
            if let Some((source, carrier)) = backend.credential().map_err(bad)? {
                let credential = vault.credential(&backend.id, &source, carrier);
                keys.insert(backend.id.clone(), credential.map_err(|error| bad(error.story()))?);
            }
        }
        Ok(keys)
    }

    /// The part that the gateway is told, with what stands elsewhere fetched.
    pub(crate) fn settings(&self, vault: &Vault) -> anyhow::Result<Settings> {
        let (rules, keys) = (self.rules()?, self.backend_keys(vault)?);
        Ok(Settings { config: self.gateway(), rules, keys, waf: self.waf_rules()? })
    }

    fn gateway(&self) -> GatewayConfig {
        GatewayConfig {
            edge: self.edge.clone(),
            backends: self.backends.clone(),
            pool: self.pool.clone(),
            objects: self.objects.clone(),
            capture: self.capture.clone(),
            egress: self.egress.clone(),
            region: self.region.clone(),
        }
    }

    pub(crate) fn ledger_dir(&self) -> PathBuf {
        self.data_dir.join("ledger")
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.data_dir.join("tables")
    }

    /// Bodies on their way; nothing in it outlives the process.
    pub(crate) fn work_dir(&self) -> PathBuf {
        self.data_dir.join("work")
    }

    /// Opens the admin listener; readable by its owner only.
    pub(crate) fn admin_token_file(&self) -> PathBuf {
        self.data_dir.join("admin-token")
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() {
                // Of `.` in it nothing is left, so that paths can be shown to people.
                *path = folder.join(&path).components().collect();
            }
        };
        resolve(&mut self.data_dir);
        resolve(&mut self.prices_file);
        self.waf.resolve_paths(folder);
        resolve(&mut self.redis.ca_file);
        resolve(&mut self.otlp.ca_file);
        self.process.readable.iter_mut().for_each(resolve);
        self.otlp.secret_headers.values_mut().for_each(|secret| secret.resolve_path(folder));
        self.mail.resolve_paths(folder);
        self.alerts.sinks.iter_mut().for_each(|sink| sink.resolve_paths(folder));
        self.reports.iter_mut().for_each(|report| resolve(&mut report.folder));
        self.sinks.iter_mut().for_each(|sink| sink.resolve_paths(folder));
        self.vault.resolve_paths(folder);
        self.acme.resolve_paths(folder);
        self.key_hash_secret.resolve_path(folder);
        if let Some(key) = &mut self.checkpoints.signing_key {
            key.resolve_path(folder);
        }
        let passwords =
            [&mut self.redis.password, &mut self.control.password, &mut self.proxy.password];
        passwords.into_iter().flatten().for_each(|reference| reference.resolve_path(folder));
        for client in &mut self.sign_in.clients {
            if let Some(reference) = &mut client.client_secret {
                reference.resolve_path(folder);
            }
        }
        if let Some(token) = &mut self.scim.token {
            token.resolve_path(folder);
        }
        for entry in &mut self.graph {
            entry.auth.resolve_paths(folder);
        }
        if let Some(account) = &mut self.sign_in.break_glass {
            account.password_hash.resolve_path(folder);
        }
        for provider in &mut self.identity.providers {
            provider.connection.resolve_paths(folder);
        }
        for backend in &mut self.backends {
            backend.connection.resolve_paths(folder);
            if let Some(reference) = &mut backend.api_key {
                reference.resolve_path(folder);
            }
            if let Some(identity) = &mut backend.auth {
                identity.resolve_paths(folder);
            }
        }
        let tls = self.edge.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut());
        for tls in tls.chain(&mut self.admin_tls) {
            tls.resolve_paths(folder);
        }
    }
}

/// What mends a configuration file that cannot be read.
fn missing(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "make one with `gatehouse init`, or name another with --config"
        }
        std::io::ErrorKind::IsADirectory => "name a file in it with --config",
        _ => "name one that you may read with --config",
    }
}

fn bad_credential(backend: &BackendConfig, error: &str) -> anyhow::Error {
    let field = if backend.auth.is_some() { "auth" } else { "api_key" };
    let message = format!("backend `{}`: {field}: {error}", backend.id);
    ExitWith::error(Exit::BadConfig, message)
}

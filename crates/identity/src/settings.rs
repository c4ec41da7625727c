//! A provider's settings, checked and resolved once.

use std::fmt;

use http::Uri;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use net::{ClientConfig, EgressRules};

use crate::config::{ClaimNames, IdentityConfig, ProviderConfig};

/// Settings that cannot be; the text names the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

/// One provider, ready for use.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: String,
    /// Issuer and the tenant it implies, if it does.
    pub(crate) issuers: Vec<(String, Option<String>)>,
    pub(crate) discovery: Uri,
    pub(crate) audiences: Vec<String>,
    pub(crate) tenants: Vec<String>,
    pub(crate) clients: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) clock_skew_s: i64,
    pub(crate) claims: ClaimNames,
    pub(crate) graph: Option<Uri>,
    pub(crate) connection: ClientConfig,
    pub(crate) egress: EgressRules,
}

impl IdentityConfig {
    /// Checks what no single field can tell.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.resolve(EgressRules::new(&self.egress)).map(|_| ())
    }

    pub(crate) fn resolve(&self, egress: EgressRules) -> Result<Vec<Settings>, ConfigError> {
        let mut all: Vec<Settings> = Vec::with_capacity(self.providers.len());
        for provider in &self.providers {
            let settings = Settings::new(provider, egress.clone())?;
            if all.iter().any(|other| other.id == settings.id) {
                return Err(ConfigError(format!("provider `{}` stands twice", settings.id)));
            }
            let issuers = settings.issuers.iter().map(|(issuer, _)| issuer);
            for issuer in issuers {
                if all.iter().any(|other| other.trusts(issuer)) {
                    let text = format!(
                        "issuer `{issuer}` belongs to two providers: put their audiences together in one"
                    );
                    return Err(ConfigError(text));
                }
            }
            all.push(settings);
        }
        Ok(all)
    }
}

impl Settings {
    fn new(config: &ProviderConfig, egress: EgressRules) -> Result<Self, ConfigError> {
        let config = &filled(config);
        let id = &config.id;
        let wrong = |text: String| ConfigError(format!("provider `{id}`: {text}"));
        if id.is_empty() {
            return Err(ConfigError("a provider has no id: give it one".into()));
        }
        if config.audiences.is_empty() || config.audiences.iter().any(String::is_empty) {
            return Err(wrong(
                "audiences: name the application id of this gateway's registration".into(),
            ));
        }
        if config.issuer.is_empty() {
            return Err(wrong("issuer: it has none; for Entra ID set entra_tenant".into()));
        }
        let issuers = issuers(config).map_err(&wrong)?;
        let discovery = match config.discovery_url.as_str() {
            "" => {
                format!("{}/.well-known/openid-configuration", issuers[0].0.trim_end_matches('/'))
            }
            url => url.to_owned(),
        };
        let graph = match config.graph.url.as_str() {
            "" => None,
            url => Some(secure(url.trim_end_matches('/')).map_err(&wrong)?),
        };
        Ok(Self {
            id: id.clone(),
            issuers,
            discovery: secure(&discovery).map_err(&wrong)?,
            audiences: config.audiences.clone(),
            tenants: config.tenants.clone(),
            clients: config.clients.clone(),
            scopes: config.scopes.clone(),
            algorithms: algorithms(&config.algorithms).map_err(&wrong)?,
            clock_skew_s: i64::try_from(config.clock_skew_s.min(600)).unwrap_or(600),
            claims: config.claims.clone(),
            graph,
            connection: config.connection.clone(),
            egress,
        })
    }

    /// Tokens of this issuer are the provider's.
    pub(crate) fn trusts(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|(trusted, _)| trusted == issuer)
    }
}

/// The settings with what `entra_tenant` stands for.
fn filled(config: &ProviderConfig) -> ProviderConfig {
    let mut filled = config.clone();
    if config.entra_tenant.is_empty() {
        return filled;
    }
    if filled.issuer.is_empty() {
        filled.issuer = "https://login.microsoftonline.com/{tenant}/v2.0".into();
    }
    if filled.other_issuers.is_empty() {
        filled.other_issuers = vec!["https://sts.windows.net/{tenant}/".into()];
    }
    if filled.tenants.is_empty() {
        filled.tenants = vec![config.entra_tenant.clone()];
    }
    if filled.graph.url.is_empty() {
        filled.graph.url = "https://graph.microsoft.com/v1.0".into();
    }
    filled
}

fn issuers(config: &ProviderConfig) -> Result<Vec<(String, Option<String>)>, String> {
    let mut issuers = Vec::new();
    for template in std::iter::once(&config.issuer).chain(&config.other_issuers) {
        if !template.contains("{tenant}") {
            issuers.push((template.clone(), None));
            continue;
        }
        if config.tenants.is_empty() {
            return Err(format!("issuer `{template}` names a tenant: fill `tenants`"));
        }
        for tenant in &config.tenants {
            issuers.push((template.replace("{tenant}", tenant), Some(tenant.clone())));
        }
    }
    Ok(issuers)
}

/// Public-key algorithms only: with a shared secret whoever verifies could also sign.
fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
    let mut algorithms = Vec::new();
    for name in names {
        let algorithm: Algorithm =
            name.parse().map_err(|_| format!("algorithms: `{name}` is none that is known"))?;
        if algorithm.family() == AlgorithmFamily::Hmac {
            return Err(format!("algorithms: `{name}` is no public-key algorithm: use RS256"));
        }
        algorithms.push(algorithm);
    }
    match algorithms.is_empty() {
        true => Err("algorithms: name one, such as RS256".into()),
        false => Ok(algorithms),
    }
}

/// A URL that nobody on the way can answer for: https, or the machine itself.
pub(crate) fn secure(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|_| format!("`{url}` is no URL"))?;
    let is_own_machine = || {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_own_machine() => Ok(uri),
        _ => Err(format!("`{url}` must begin with https://")),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

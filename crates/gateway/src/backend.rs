//! Backends: one client each, whether they are up, and which one takes a call.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::BodyExt;
use net::{Body, Client, EgressConfig, EgressRules};
use policy::Grant;
use tokio_util::sync::CancellationToken;

use crate::asked::Asked;
use crate::config::{BackendConfig, BackendKeys, BackendKind, GatewayConfig, ProbeConfig, Secret};
use crate::gateway::{BackendStatus, Error};

/// Bytes of a probe's answer that are read.
const PROBE_BYTES_MAX: usize = 64 << 10;

/// A service that answers.
pub(crate) struct Backend {
    pub(crate) id: String,
    pub(crate) kind: BackendKind,
    pub(crate) client: Client,
    /// Scheme, host and what of the path stands before `/openai` or `/v1`.
    base: String,
    prefix: String,
    key: Option<HeaderValue>,
    deployments: HashSet<String>,
    priority: u32,
    is_home: bool,
    probe: ProbeConfig,
    healthy: Vec<(u16, u16)>,
    health: Health,
    origin: Origin,
    /// It is no longer in the settings.
    pub(crate) retired: CancellationToken,
}

/// What a backend was made of: the same again means the same backend.
#[derive(Clone, PartialEq, Eq)]
struct Origin {
    config: BackendConfig,
    key: Option<Secret>,
    egress: EgressConfig,
}

#[derive(Default)]
struct Health {
    is_down: AtomicBool,
    failures: AtomicU32,
    in_flight: AtomicU32,
    last_failure: Mutex<String>,
}

/// Counts a call as in flight while it is held.
pub(crate) struct Flight(Arc<Backend>);

/// All backends.
pub(crate) struct Pool {
    backends: Vec<Arc<Backend>>,
    home: usize,
    turn: AtomicUsize,
}

impl Pool {
    /// The backends of a configuration; one that stays the same is taken over from `before`, with
    /// its connections and what is known of its health.
    pub(crate) fn new(
        config: &GatewayConfig,
        keys: &BackendKeys,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut backends: Vec<Arc<Backend>> = Vec::with_capacity(config.backends.len());
        for entry in &config.backends {
            if backends.iter().any(|other| other.id == entry.id) {
                return Err(Error(format!("backend `{}` stands twice: rename one", entry.id)));
            }
            let origin = Origin {
                config: entry.clone(),
                key: keys.get(&entry.id).cloned(),
                egress: config.egress.clone(),
            };
            let same = before.and_then(|pool| pool.backends.iter().find(|b| b.origin == origin));
            backends.push(match same {
                Some(backend) => backend.clone(),
                None => Arc::new(Backend::new(origin)?),
            });
        }
        let home = backends.iter().position(|backend| backend.is_home).unwrap_or(0);
        Ok(Self { backends, home, turn: AtomicUsize::new(0) })
    }

    /// The backend for a call. Stateful calls have one home; here the object registry will look up
    /// whose object it is. The others go to the best priority, fewest calls in flight first.
    pub(crate) fn choose(
        &self,
        _grant: &Grant,
        asked: &Asked,
        tried: &[String],
    ) -> Option<Arc<Backend>> {
        let deployment = asked.deployment();
        if self.backends.is_empty() {
            return None;
        }
        let is_free = |backend: &Arc<Backend>| {
            backend.serves(deployment) && backend.is_up() && !tried.contains(&backend.id)
        };
        if asked.is_stateful() {
            let home = &self.backends[self.home];
            let owner = if home.serves(deployment) {
                Some(home)
            } else {
                self.backends.iter().find(|backend| backend.serves(deployment))
            };
            return owner.filter(|&owner| is_free(owner)).cloned();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.backends.len();
        (0..count)
            .map(|step| &self.backends[turn.wrapping_add(step) % count])
            .filter(|backend| is_free(backend))
            .min_by_key(|b| (b.priority, b.health.in_flight.load(Ordering::Relaxed)))
            .cloned()
    }

    /// Whether any backend has the deployment; with no backends at all, the answer comes later.
    pub(crate) fn knows(&self, deployment: &str) -> bool {
        self.backends.is_empty() || self.backends.iter().any(|backend| backend.serves(deployment))
    }

    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        self.backends.iter().map(|backend| backend.status()).collect()
    }

    pub(crate) fn is_any_up(&self) -> bool {
        self.backends.iter().any(|backend| backend.is_up())
    }

    pub(crate) fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }
}

impl Backend {
    fn new(origin: Origin) -> Result<Self, Error> {
        let Origin { config, key, egress } = &origin;
        let rules = EgressRules::new(egress);
        let wrong = |what: String| Error(format!("backend `{}`: {what}", config.id));
        if config.id.is_empty() {
            return Err(Error(format!("a backend has no id: give `{}` one", config.base_url)));
        }
        let base = trim_base(&config.base_url);
        let uri: Uri = base.parse().map_err(|_| {
            wrong(format!("base_url `{}` is no URL: give one as https://host", config.base_url))
        })?;
        let client =
            Client::new(&uri, &config.connection, rules).map_err(|error| wrong(error.story()))?;
        let key = match key {
            Some(secret) => Some(auth_value(config.kind, secret.expose()).ok_or_else(|| {
                wrong("its key holds characters that no header can: check the secret".into())
            })?),
            None if config.api_key.is_some() => {
                return Err(wrong("its key was not resolved".into()));
            }
            None => None,
        };
        let healthy: Option<Vec<_>> =
            config.probe.healthy_status.iter().map(|text| status_range(text)).collect();
        Ok(Self {
            id: config.id.clone(),
            kind: config.kind,
            client,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            base: base.to_owned(),
            key,
            deployments: config.deployments.iter().cloned().collect(),
            priority: config.priority,
            is_home: config.home,
            probe: config.probe.clone(),
            healthy: healthy.ok_or_else(|| {
                wrong("probe.healthy_status takes statuses such as `401` or `200-399`".into())
            })?,
            health: Health::default(),
            retired: CancellationToken::new(),
            origin,
        })
    }

    /// The absolute URL of a path, for the record.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The path to send for a path of the API.
    pub(crate) fn path(&self, path: &str) -> Result<Uri, http::uri::InvalidUri> {
        if self.prefix.is_empty() { path.parse() } else { format!("{}{path}", self.prefix).parse() }
    }

    /// Puts the backend's own key in.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(key) = &self.key {
            let name = match self.kind {
                BackendKind::Azure => HeaderName::from_static("api-key"),
                BackendKind::Openai => AUTHORIZATION,
            };
            headers.insert(name, key.clone());
        }
    }

    /// Counts one more call.
    pub(crate) fn flight(self: &Arc<Self>) -> Flight {
        self.health.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight(self.clone())
    }

    /// It answered.
    pub(crate) fn succeeded(&self) {
        if self.health.failures.swap(0, Ordering::Relaxed) > 0 {
            self.health.last().clear();
        }
        if self.health.is_down.swap(false, Ordering::Relaxed) {
            tracing::info!(backend = self.id, "backend is up again");
        }
    }

    /// It could not be reached. Only a probed backend is taken out: nothing else would bring it back.
    pub(crate) fn failed(&self, why: &str) {
        *self.health.last() = why.to_owned();
        let failures = self.health.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_over = failures >= self.probe.unhealthy_threshold.max(1);
        if is_over && self.probe.enabled && !self.health.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(backend = self.id, why, "backend is down, calls go to others");
        }
    }

    /// Probes until stopped or no longer in the settings.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if !self.probe.enabled {
            return;
        }
        let interval = Duration::from_millis(self.probe.interval_ms.max(10));
        loop {
            match self.probe_once().await {
                Ok(()) => self.succeeded(),
                Err(why) => self.failed(&why),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.retired.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    async fn probe_once(&self) -> Result<(), String> {
        let path = self.path(&self.probe.path).map_err(|error| error.to_string())?;
        let mut request = Request::get(path).body(Body::empty()).map_err(|e| e.to_string())?;
        self.authorize(request.headers_mut());
        let limit = Duration::from_millis(self.probe.timeout_ms.max(1));
        let call = async {
            let answer = self.client.send(request).await.map_err(|error| error.story())?;
            let status = answer.status().as_u16();
            let body = http_body_util::Limited::new(answer.into_body(), PROBE_BYTES_MAX);
            // Read to its end, the connection can be used again; if not, it is closed.
            let _ = body.collect().await;
            match self.healthy.iter().any(|&(low, high)| (low..=high).contains(&status)) {
                true => Ok(()),
                false => Err(format!("the probe was answered with status {status}")),
            }
        };
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result,
            Err(_) => Err(format!("the probe was not answered within {} ms", limit.as_millis())),
        }
    }

    fn serves(&self, deployment: &str) -> bool {
        self.deployments.is_empty()
            || deployment.is_empty()
            || self.deployments.contains(deployment)
    }

    fn is_up(&self) -> bool {
        !self.health.is_down.load(Ordering::Relaxed)
    }

    fn status(&self) -> BackendStatus {
        BackendStatus {
            id: self.id.clone(),
            is_up: self.is_up(),
            in_flight: self.health.in_flight.load(Ordering::Relaxed),
            failures: self.health.failures.load(Ordering::Relaxed),
            last_failure: self.health.last().clone(),
        }
    }
}

impl Health {
    fn last(&self) -> std::sync::MutexGuard<'_, String> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// People paste base URLs with the path that their client wanted; the gateway adds it itself.
fn trim_base(text: &str) -> &str {
    let mut base = text.trim().trim_end_matches('/');
    for end in ["/v1", "/openai"] {
        base = base.strip_suffix(end).unwrap_or(base).trim_end_matches('/');
    }
    base
}

fn auth_value(kind: BackendKind, key: &str) -> Option<HeaderValue> {
    let text = match kind {
        BackendKind::Azure => key.to_owned(),
        BackendKind::Openai => format!("Bearer {key}"),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn status_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_base_urls_are_understood() {
        for (text, want) in [
            ("https://x.openai.azure.com/", "https://x.openai.azure.com"),
            ("https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com"),
            ("https://api.openai.com/v1", "https://api.openai.com"),
            ("http://host:1/proxy/v1", "http://host:1/proxy"),
        ] {
            assert_eq!(trim_base(text), want);
        }
        assert_eq!(status_range("200-399"), Some((200, 399)));
        assert_eq!(status_range("401"), Some((401, 401)));
        assert_eq!(status_range("x"), None);
    }
}

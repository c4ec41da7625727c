//! Probes: regular unbilled calls that tell whether a backend is up, as Application Gateway has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Limited};
use net::Body;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Cause};
use crate::config::ProbeConfig;

/// Bytes of a probe's answer that are read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Longest text that can be looked for, as Application Gateway has it.
const CONTAINS_BYTES_MAX: usize = 4_090;
/// Time between probes while it is being found out whether a backend is down.
const HURRY: Duration = Duration::from_millis(250);

/// How one backend is probed.
pub(crate) struct Probe {
    config: ProbeConfig,
    host: Option<HeaderValue>,
    healthy: Vec<(u16, u16)>,
}

/// What the last probes said.
#[derive(Default)]
struct Row {
    failures: u32,
    successes: u32,
}

impl Probe {
    /// The error names the field and the fix.
    pub(crate) fn new(config: &ProbeConfig) -> Result<Self, String> {
        let healthy: Option<Vec<_>> =
            config.healthy_status.iter().map(|text| status_range(text)).collect();
        let healthy =
            healthy.ok_or("probe.healthy_status takes statuses such as `401` or `200-399`")?;
        if !config.path.starts_with('/') {
            return Err(format!("probe.path is `{}`; it begins with `/`", config.path));
        }
        if config.body_contains.len() > CONTAINS_BYTES_MAX {
            return Err(format!("probe.body_contains is longer than {CONTAINS_BYTES_MAX} bytes"));
        }
        let host =
            match config.host.as_str() {
                "" => None,
                host => Some(HeaderValue::from_str(host).map_err(|_| {
                    format!("probe.host is `{host}`, which no `Host` header can hold")
                })?),
            };
        Ok(Self { config: config.clone(), host, healthy })
    }
}

impl Backend {
    /// Probes until stopped or no longer in the settings.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if !self.probe.config.enabled {
            return;
        }
        let interval = Duration::from_millis(self.probe.config.interval_ms.max(10));
        let mut row = Row::default();
        let hurry = interval.min(HURRY);
        let mut is_suspect = false;
        loop {
            let probed_at = tokio::time::Instant::now();
            let outcome = self.probe_once().await;
            let is_known = self.probed(&mut row, &outcome);
            is_suspect = is_suspect && !is_known;
            let wait = if is_suspect { hurry } else { interval };
            let pause = async {
                tokio::select! {
                    () = tokio::time::sleep_until(probed_at + wait) => false,
                    () = self.standing.suspicion.notified(), if !self.standing.is_down() => {
                        // Many calls may fail at once: one probe answers for all.
                        tokio::time::sleep_until(probed_at + hurry).await;
                        true
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.retired.cancelled() => return,
                suspected = pause => is_suspect = is_suspect || suspected,
            }
        }
    }

    /// Counts what a probe said; true once it is known whether the backend is up.
    fn probed(&self, row: &mut Row, outcome: &Result<(), String>) -> bool {
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                *row = Row { failures: 0, successes: row.successes.saturating_add(1) };
                let is_enough = row.successes >= self.probe.config.healthy_threshold.max(1);
                if is_enough {
                    let cause = Cause::new("probe_succeeded", None, "");
                    self.set_down(false, cause);
                    let connecting = self.standing.connecting();
                    let change = connecting.breaker().close();
                    self.note(connecting, change, cause, now);
                }
                is_enough
            }
            Err(why) => {
                self.standing.set_last_failure(why);
                *row = Row { failures: row.failures.saturating_add(1), successes: 0 };
                let is_enough = row.failures >= self.probe.config.unhealthy_threshold.max(1);
                if is_enough {
                    self.set_down(true, Cause::new("probe_failed", None, why));
                }
                is_enough
            }
        }
    }

    async fn probe_once(&self) -> Result<(), String> {
        let probe = &self.probe;
        let path = self.path(&probe.config.path).map_err(|error| error.to_string())?;
        let mut request = Request::get(path).body(Body::empty()).map_err(|e| e.to_string())?;
        self.authorize(request.headers_mut());
        if let Some(host) = &probe.host {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        let limit = Duration::from_millis(probe.config.timeout_ms.max(1));
        let call = async {
            let answer = self.client.send(request).await.map_err(|error| error.story())?;
            let status = answer.status().as_u16();
            // Read to its end, the connection can be used again; if not, it is closed.
            let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
            if !probe.healthy.iter().any(|&(low, high)| (low..=high).contains(&status)) {
                return Err(format!("the probe was answered with status {status}"));
            }
            let wanted = probe.config.body_contains.as_bytes();
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            if !wanted.is_empty() && memchr::memmem::find(&body, wanted).is_none() {
                return Err("the answer to the probe does not contain probe.body_contains".into());
            }
            Ok(())
        };
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result,
            Err(_) => Err(format!("the probe was not answered within {} ms", limit.as_millis())),
        }
    }
}

fn status_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_with_the_fix() {
        assert_eq!(status_range("200-399"), Some((200, 399)));
        assert_eq!(status_range("401"), Some((401, 401)));
        let refused = |change: fn(&mut ProbeConfig)| {
            let mut config = ProbeConfig::default();
            change(&mut config);
            Probe::new(&config).err().expect("refused")
        };
        assert!(refused(|probe| probe.healthy_status = vec!["x".into()]).contains("200-399"));
        assert!(refused(|probe| probe.path = "status".into()).contains("begins with `/`"));
        assert!(refused(|probe| probe.host = "a\nb".into()).contains("probe.host"));
        assert!(refused(|probe| probe.body_contains = "x".repeat(5_000)).contains("4090"));
    }
}

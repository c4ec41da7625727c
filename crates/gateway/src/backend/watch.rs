//! Probes: regular unbilled calls that tell whether a backend is up, as Application Gateway has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use net::Body;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Cause};

/// Bytes of a probe's answer that are read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Time between probes while it is being found out whether a backend is down.
const HURRY: Duration = Duration::from_millis(250);

/// What the last probes said.
#[derive(Default)]
struct Row {
    failures: u32,
    successes: u32,
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
        request.headers_mut().extend(self.authorization());
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

//! A look at everything that runs, for `/metrics` and for collectors.

use std::sync::Arc;

use event::Timestamp;
use gateway::{BackendStatus, Drain, MetricsPage};
use ledger::Ledger;
use monitor::{BackendStanding, CircuitStanding, Metric, Standing, StreamJobStanding};
use shared::Limiter;
use sinks::JobStatus;
use tokio_util::sync::CancellationToken;

use super::Monitoring;
use crate::clock::now;
use crate::parts::Parts;

impl Monitoring {
    /// Takes a look at everything.
    pub(crate) fn look(&self, parts: &Parts, ledger: &Ledger, limiter: &Limiter) {
        let gateway = parts.gateway.status();
        let pipeline = parts.pipeline.status();
        let audit_lag = parts.pipeline.lag();
        self.metrics.stand(&Standing {
            in_flight: gateway.in_flight,
            open_streams: gateway.open_streams,
            connections: gateway.connections,
            connections_refused: gateway.connections_refused,
            received: gateway.received,
            backends: gateway.backends.iter().map(backend).collect(),
            ledger_serves: gateway.ledger_serves,
            ledger: ledger.stats(),
            ledger_unsigned_s: parts.signer.overdue().as_secs_f64(),
            audit_lag,
            audit_lag_s: self.behind_for(audit_lag),
            pipeline_failures: pipeline.failures,
            damaged_frames: pipeline.damaged_frames,
            limits: self.limits(limiter),
            stream_jobs: self
                .stream_jobs
                .get()
                .map_or_else(Vec::new, |jobs| jobs.status().iter().map(stream_job).collect()),
            version: env!("CARGO_PKG_VERSION"),
        });
        self.show_expiries(now());
        self.show_certificates(parts, now());
    }

    /// Shows when the certificates of the listeners end.
    fn show_certificates(&self, parts: &Parts, now: Timestamp) {
        for (listener, ends_at) in parts.certificates() {
            if let Some(ends_at) = ends_at.map(Timestamp::from) {
                let left = (ends_at.unix_micros() - now.unix_micros()) as f64 / 1e6;
                self.metrics.set(Metric::CertificateExpiry, &[&listener], left);
            }
        }
    }
}

/// Sends telemetry, if there is a collector, until stopped.
pub(crate) async fn export(
    parts: Arc<Parts>,
    ledger: Ledger,
    limiter: Limiter,
    stop: CancellationToken,
) {
    if let Some(exporter) = &parts.monitoring.exporter {
        let look = || parts.monitoring.look(&parts, &ledger, &limiter);
        exporter.run(look, now, stop).await;
    }
}

/// `/metrics`, looked at anew for each scrape.
pub(crate) fn page(
    monitoring: Arc<Monitoring>,
    parts: Arc<Parts>,
    ledger: Ledger,
    limiter: Limiter,
) -> MetricsPage {
    Arc::new(move || {
        monitoring.look(&parts, &ledger, &limiter);
        monitoring.metrics.text()
    })
}

fn stream_job(status: &JobStatus) -> StreamJobStanding {
    StreamJobStanding {
        id: status.job.id.clone(),
        rows: status.rows,
        failures: status.failures,
        lag_sequences: status.lag_sequences,
        lag_s: status.lag_s,
        missed: status.missed,
    }
}

fn backend(status: &BackendStatus) -> BackendStanding {
    let connections = CircuitStanding { deployment: "*".into(), state: status.connections.state };
    let deployments = status.circuits.iter().map(|circuit| CircuitStanding {
        deployment: circuit.deployment.clone(),
        state: circuit.state,
    });
    BackendStanding {
        id: status.id.clone(),
        is_up: status.is_up,
        is_drained: status.drain != Drain::Undrained,
        in_flight: status.in_flight,
        circuits: deployments.chain([connections]).filter(|c| c.state != "closed").collect(),
    }
}

//! How a node stands at the moment of a scrape. The wiring fills it in, since gateway and pipeline stand
//! on the same floor.

use super::{Metric, Metrics};

/// How a node stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Exchanges in flight.
    pub in_flight: u64,
    /// Answers whose pieces are on their way.
    pub open_streams: u64,
    /// Client connections open.
    pub connections: u64,
    /// Client connections refused since the start.
    pub connections_refused: u64,
    /// Requests received since the start.
    pub received: u64,
    /// The backends.
    pub backends: Vec<BackendStanding>,
    /// The ledger takes records.
    pub ledger_serves: bool,
    /// Figures of the ledger.
    pub ledger: ledger::Stats,
    /// For how long a signature under the ledger has been due, in seconds.
    pub ledger_unsigned_s: f64,
    /// Durable frames whose rows are not in the tables.
    pub audit_lag: u64,
    /// For how long the tables have been behind, in seconds.
    pub audit_lag_s: f64,
    /// Times the pipeline had to try again.
    pub pipeline_failures: u64,
    /// Frames that the pipeline passed over.
    pub damaged_frames: u64,
    /// Limits and the part of each that is used.
    pub limits: Vec<(String, f64)>,
    /// The stream jobs.
    pub stream_jobs: Vec<StreamJobStanding>,
    /// The version that runs.
    pub version: &'static str,
}

/// How a backend stands.
#[derive(Clone, Debug, Default)]
pub struct BackendStanding {
    /// Its id.
    pub id: String,
    /// Calls reach it.
    pub is_up: bool,
    /// It is drained.
    pub is_drained: bool,
    /// Calls in flight.
    pub in_flight: u32,
    /// Circuits that are not closed.
    pub circuits: Vec<CircuitStanding>,
}

/// How a stream job stands.
#[derive(Clone, Debug, Default)]
pub struct StreamJobStanding {
    /// Its id.
    pub id: String,
    /// Rows that have arrived since it was new.
    pub rows: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Sequences of the ledger whose rows it has not looked at.
    pub lag_sequences: u64,
    /// For how long something has been waiting, in seconds.
    pub lag_s: f64,
    /// Sequences or windows whose rows went before they were delivered.
    pub missed: u64,
}

/// How a circuit stands.
#[derive(Clone, Debug, Default)]
pub struct CircuitStanding {
    /// Deployment; `*` for the circuit of connections.
    pub deployment: String,
    /// Its state.
    pub state: &'static str,
}

impl Metrics {
    /// Takes over how the node stands.
    pub fn stand(&self, standing: &Standing) {
        let flag = |is_set: bool| if is_set { 1.0 } else { 0.0 };
        let ledger = &standing.ledger;
        for (metric, value) in [
            (Metric::InFlight, standing.in_flight as f64),
            (Metric::OpenStreams, standing.open_streams as f64),
            (Metric::Connections, standing.connections as f64),
            (Metric::ConnectionsRefused, standing.connections_refused as f64),
            (Metric::Received, standing.received as f64),
            (Metric::LedgerServing, flag(standing.ledger_serves)),
            (Metric::LedgerFailures, ledger.failures as f64),
            (Metric::LedgerSyncs, ledger.syncs as f64),
            (Metric::LedgerSyncSeconds, ledger.sync_micros as f64 / 1e6),
            (Metric::LedgerQueued, ledger.queued_bytes as f64),
            (Metric::LedgerBytes, ledger.segment_bytes as f64),
            (Metric::LedgerSequence, ledger.durable_sequence as f64),
            (Metric::LedgerUnsigned, standing.ledger_unsigned_s),
            (Metric::AuditLag, standing.audit_lag as f64),
            (Metric::AuditLagSeconds, standing.audit_lag_s),
            (Metric::PipelineFailures, standing.pipeline_failures as f64),
            (Metric::PipelineDamaged, standing.damaged_frames as f64),
        ] {
            self.set(metric, &[], value);
        }
        self.set(Metric::Build, &[standing.version], 1.0);
        self.stand_backends(&standing.backends);
        self.clear(Metric::LimitUsed);
        for (counter, used) in &standing.limits {
            self.set(Metric::LimitUsed, &[counter], *used);
        }
        self.stand_stream_jobs(&standing.stream_jobs);
    }

    fn stand_stream_jobs(&self, jobs: &[StreamJobStanding]) {
        for metric in [
            Metric::StreamJobRows,
            Metric::StreamJobFailures,
            Metric::StreamJobLag,
            Metric::StreamJobLagSeconds,
            Metric::StreamJobMissed,
        ] {
            self.clear(metric);
        }
        for job in jobs {
            let id = [job.id.as_str()];
            self.set(Metric::StreamJobRows, &id, job.rows as f64);
            self.set(Metric::StreamJobFailures, &id, job.failures as f64);
            self.set(Metric::StreamJobLag, &id, job.lag_sequences as f64);
            self.set(Metric::StreamJobLagSeconds, &id, job.lag_s);
            self.set(Metric::StreamJobMissed, &id, job.missed as f64);
        }
    }

    fn stand_backends(&self, backends: &[BackendStanding]) {
        let flag = |is_set: bool| if is_set { 1.0 } else { 0.0 };
        for metric in
            [Metric::BackendUp, Metric::BackendInFlight, Metric::BackendDrained, Metric::Circuit]
        {
            self.clear(metric);
        }
        for backend in backends {
            let id = [backend.id.as_str()];
            self.set(Metric::BackendUp, &id, flag(backend.is_up));
            self.set(Metric::BackendInFlight, &id, f64::from(backend.in_flight));
            self.set(Metric::BackendDrained, &id, flag(backend.is_drained));
            for circuit in &backend.circuits {
                let labels = [id[0], circuit.deployment.as_str(), circuit.state];
                self.set(Metric::Circuit, &labels, 1.0);
            }
        }
    }
}

//! Telemetry to a collector: traces, metrics and logs as OTLP over HTTP, in protobuf.
//!
//! Spans and log records are made of the rows that the pipeline writes, so the request path does nothing
//! for them. What waits is bounded; what a collector does not take is tried again with pauses and then given
//! up, which is counted. Prompts, answers and keys are in none of it.

mod convert;
mod span;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use event::{Batch, Timestamp};
use http::{Method, Request, Uri, header};
use net::{Body, Client, ClientConfig, EgressRules};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use vault::{SecretRef, Vault};

use crate::metrics::{Convention, Metric, Metrics};
use crate::secret_headers::{are_headers, with_secrets};

/// Spans or log records in one request.
const BATCH_MAX: usize = 512;
/// Attempts for one request.
const ATTEMPTS_MAX: u32 = 5;
/// First pause after a failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// Base URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; empty for none. Its
    /// address must be among those of `egress`.
    pub endpoint: String,
    /// Further headers of each request.
    pub headers: BTreeMap<String, String>,
    /// Further headers whose values are secrets, and where those are found.
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// Send a server span for each interaction, and a client span for the attempt that answered.
    pub traces: bool,
    /// Send metrics.
    pub metrics: bool,
    /// Send security events, alerts and administrators' actions as log records.
    pub logs: bool,
    /// Part of the interactions that are traced where the caller sends no `traceparent`, 0 to 1; a caller's own
    /// decision is obeyed.
    pub sample_ratio: f64,
    /// Time between two requests, in seconds.
    pub interval_s: u64,
    /// Spans, and log records, that may wait; further ones are dropped and counted.
    pub queue_max: u32,
    /// Name of this service.
    pub service_name: String,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub ca_file: PathBuf,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            traces: true,
            metrics: true,
            logs: true,
            sample_ratio: 1.0,
            interval_s: 15,
            queue_max: 20_000,
            service_name: "gatehouse".into(),
            ca_file: PathBuf::new(),
        }
    }
}

/// Sends telemetry.
pub struct Exporter {
    config: OtlpConfig,
    client: Client,
    vault: Vault,
    convention: Convention,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    started_at: Timestamp,
}

#[derive(Default)]
struct Waiting {
    spans: VecDeque<Span>,
    logs: VecDeque<LogRecord>,
}

/// What became of one attempt.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Taken,
    Again(String),
    Refused(String),
}

impl Exporter {
    /// Checks the settings; dials nothing yet. None if there is no collector. Secret headers come from `vault`.
    pub fn new(
        config: &OtlpConfig,
        egress: EgressRules,
        vault: Vault,
        metrics: Arc<Metrics>,
        started_at: Timestamp,
    ) -> Result<Option<Self>, String> {
        if config.endpoint.is_empty() {
            return Ok(None);
        }
        if !(0.0..=1.0).contains(&config.sample_ratio)
            || config.interval_s == 0
            || config.queue_max == 0
        {
            return Err("sample_ratio may be 0 to 1, interval_s and queue_max at least 1".into());
        }
        if !are_headers(&config.headers) || !are_headers(&config.secret_headers) {
            return Err("one of its `headers` or `secret_headers` is no name of a header".into());
        }
        let uri: Uri = config.endpoint.parse().map_err(|_| {
            format!(
                "endpoint `{}` is no URL: give one such as http://127.0.0.1:4318",
                config.endpoint
            )
        })?;
        let client = ClientConfig {
            ca_file: config.ca_file.clone(),
            answer_timeout_ms: 10_000,
            connections_max: 4,
            ..ClientConfig::default()
        };
        let client = Client::new(&uri, &client, egress).map_err(|error| error.to_string())?;
        Ok(Some(Self {
            config: config.clone(),
            client,
            vault,
            convention: metrics.convention().clone(),
            metrics,
            waiting: Mutex::default(),
            started_at,
        }))
    }

    /// Takes what a batch of rows tells, as far as there is room.
    pub fn offer(&self, batch: &Batch) {
        let room = self.config.queue_max as usize;
        let (mut lost_spans, mut lost_logs) = (0, 0);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.config.traces {
            for row in &batch.interactions {
                for span in span::spans(row, &self.convention, self.config.sample_ratio) {
                    if waiting.spans.len() < room {
                        waiting.spans.push_back(span);
                    } else {
                        lost_spans += 1;
                    }
                }
            }
        }
        if self.config.logs {
            for note in &batch.notes {
                if waiting.logs.len() < room {
                    waiting.logs.push_back(convert::log_record(note));
                } else {
                    lost_logs += 1;
                }
            }
        }
        self.show("traces", waiting.spans.len(), lost_spans);
        self.show("logs", waiting.logs.len(), lost_logs);
    }

    /// Sends until stopped, and then once more.
    pub async fn run(
        &self,
        look: impl Fn() + Send,
        now: fn() -> Timestamp,
        stop: CancellationToken,
    ) {
        loop {
            let is_over = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(Duration::from_secs(self.config.interval_s)) => false,
            };
            if self.config.metrics {
                look();
            }
            self.send_waiting(now(), if is_over { 1 } else { ATTEMPTS_MAX }).await;
            if is_over {
                return self.client.close().await;
            }
        }
    }

    /// Sends what waits and how metrics stand.
    async fn send_waiting(&self, now: Timestamp, attempts_max: u32) {
        let resource = convert::resource(&self.config.service_name);
        loop {
            let spans = self.take(|waiting| &mut waiting.spans);
            let logs = self.take(|waiting| &mut waiting.logs);
            if spans.is_empty() && logs.is_empty() {
                break;
            }
            if !spans.is_empty() {
                let count = spans.len();
                let request = ExportTraceServiceRequest {
                    resource_spans: vec![convert::of_spans(resource.clone(), spans)],
                };
                self.send("traces", count, request.encode_to_vec(), attempts_max).await;
            }
            if !logs.is_empty() {
                let count = logs.len();
                let request = ExportLogsServiceRequest {
                    resource_logs: vec![convert::of_logs(resource.clone(), logs)],
                };
                self.send("logs", count, request.encode_to_vec(), attempts_max).await;
            }
        }
        if self.config.metrics {
            let families = self.metrics.families();
            let count = families.iter().map(|family| family.series.len()).sum();
            let request = ExportMetricsServiceRequest {
                resource_metrics: vec![convert::of_metrics(
                    resource,
                    families,
                    (self.started_at, now),
                )],
            };
            self.send("metrics", count, request.encode_to_vec(), attempts_max).await;
        }
    }

    fn take<T>(&self, queue: impl Fn(&mut Waiting) -> &mut VecDeque<T>) -> Vec<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue(&mut waiting);
        let count = queue.len().min(BATCH_MAX);
        queue.drain(..count).collect()
    }

    /// Sends one request, as often as it takes up to a bound; what is given up is counted.
    async fn send(&self, signal: &str, count: usize, body: Vec<u8>, attempts_max: u32) {
        let (body, mut pause) = (Bytes::from(body), PAUSE_MIN);
        for attempt in 1..=attempts_max {
            match self.attempt(signal, body.clone()).await {
                Sent::Taken => return self.show(signal, 0, 0),
                Sent::Refused(why) => {
                    tracing::warn!(signal, why, "the collector refuses telemetry");
                    break;
                }
                Sent::Again(why) if attempt == attempts_max => {
                    tracing::warn!(signal, why, "telemetry is given up");
                }
                Sent::Again(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        self.show(signal, 0, count);
    }

    async fn attempt(&self, signal: &str, body: Bytes) -> Sent {
        let base = self.config.endpoint.parse::<Uri>().ok();
        let base = base.as_ref().map_or("", Uri::path).trim_end_matches('/').to_owned();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{base}/v1/{signal}"))
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_LENGTH, body.len());
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        let secrets = &self.config.secret_headers;
        let request = match with_secrets(request, secrets, &self.vault).await {
            Ok(request) => request,
            Err(why) => return Sent::Again(format!("otlp.secret_headers: {why}")),
        };
        let request = match request.body(Body::whole(body)) {
            Ok(request) => request,
            Err(error) => return Sent::Refused(format!("otlp.headers are malformed: {error}")),
        };
        match self.client.send(request).await {
            Err(error) => Sent::Again(error.to_string()),
            Ok(answer) => match answer.status().as_u16() {
                200..=299 => Sent::Taken,
                // What the protocol names as worth another try.
                status @ (429 | 502 | 503 | 504) => Sent::Again(format!("status {status}")),
                status => Sent::Refused(format!("status {status}")),
            },
        }
    }

    fn show(&self, signal: &str, waiting: usize, lost: usize) {
        self.metrics.set(Metric::TelemetryQueued, &[signal], waiting as f64);
        if lost > 0 {
            self.metrics.add(Metric::TelemetryDropped, &[signal], lost as f64);
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

#[cfg(test)]
mod tests;

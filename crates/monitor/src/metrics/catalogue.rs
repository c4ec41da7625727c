//! The table of metrics: name, meaning, kind, labels; and how many values a label may have.

use super::{Distribution, Value};

/// Seconds: from a millisecond to ten minutes.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];
/// Seconds of the gateway itself: from 50 µs to a second.
const SMALL_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 1.0,
];
/// Tokens, as the conventions of OpenTelemetry say.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// The buckets of `gen_ai` durations, as the conventions of OpenTelemetry say.
const GEN_AI_SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// One line of the table.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// Which metric it defines.
    pub metric: Metric,
    /// Name in Prometheus, without `_total`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
}

impl Definition {
    pub(super) fn empty(&self) -> Value {
        match self.kind {
            MetricKind::Counter | MetricKind::Gauge => Value::Number(0.0),
            MetricKind::Histogram(bounds) => {
                let buckets = vec![0; bounds.len() + 1];
                Value::Distribution(Distribution { sum: 0.0, count: 0, buckets })
            }
        }
    }
}

/// How many values a label may have before further ones are counted under `other`.
pub fn label_values_max(label: &str) -> usize {
    match label {
        "subscription" => 500,
        "operation" | "reason" | "rule" | "counter" | "job" => 200,
        "deployment" | "model" | "request_model" | "response_model" | "backend" | "product" => 100,
        "status" => 64,
        _ => 32,
    }
}

macro_rules! catalogue {
    ($($metric:ident $name:literal $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        /// Every metric, in order.
        pub const CATALOGUE: &[Definition] = &[$(Definition {
            metric: Metric::$metric,
            name: $name,
            help: $help,
            kind: $kind,
            labels: &[$($label),*],
        },)*];
    };
}

impl Metric {
    /// Its line of the table.
    pub fn definition(self) -> &'static Definition {
        &CATALOGUE[self as usize]
    }
}

use MetricKind::{Counter, Gauge, Histogram};

catalogue! {
    Requests "gatehouse_requests" Counter, ["operation", "deployment", "product", "status", "outcome"],
        "Interactions that ended";
    RequestDuration "gatehouse_request_duration_seconds" Histogram(SECONDS), ["operation", "deployment"],
        "From the first byte in to the last byte out";
    Overhead "gatehouse_overhead_seconds" Histogram(SMALL_SECONDS), ["operation"],
        "Time spent in the gateway itself, the wait for the disk included and the model's time not";
    BackendDuration "gatehouse_backend_duration_seconds" Histogram(SECONDS), ["backend", "deployment"],
        "Time spent waiting for the backend: the model's time";
    TimeToFirstByte "gatehouse_time_to_first_byte_seconds" Histogram(SECONDS), ["deployment"],
        "From the first byte in to the first piece of a streamed answer out";
    TimeToFirstToken "gatehouse_time_to_first_token_seconds" Histogram(SECONDS), ["deployment"],
        "From the first byte in to the first output of the model in a streamed answer, a few milliseconds late";
    ChunkGap "gatehouse_chunk_gap_seconds" Histogram(SECONDS), ["deployment"],
        "Longest gap between two pieces of a streamed answer";
    Chunks "gatehouse_stream_chunks" Counter, ["deployment"],
        "Pieces of streamed answers";
    Retries "gatehouse_retries" Counter, ["deployment"],
        "Attempts at backends beyond the first";
    Tokens "gatehouse_tokens" Counter, ["subscription", "product", "deployment", "model", "type"],
        "Tokens: prompt, completion, cached (part of prompt), reasoning (part of completion)";
    TokensEstimated "gatehouse_tokens_estimated" Counter, ["model"],
        "Tokens that the provider did not tell and that were counted here";
    Cost "gatehouse_cost_usd" Counter, ["subscription", "product", "deployment", "model"],
        "Cost at the prices in force, in US dollars";
    Unpriced "gatehouse_unpriced" Counter, ["model"],
        "Interactions with usage that no price was found for";
    Refusals "gatehouse_refusals" Counter, ["reason", "subscription"],
        "Requests that the gateway refused, by the code it answered";
    Errors "gatehouse_errors" Counter, ["reason", "backend"],
        "Interactions that failed otherwise, by their last error";
    InFlight "gatehouse_exchanges_in_flight" Gauge, [],
        "Exchanges in flight";
    OpenStreams "gatehouse_streams_open" Gauge, [],
        "Answers whose pieces are on their way";
    Connections "gatehouse_connections_open" Gauge, [],
        "Client connections open";
    ConnectionsRefused "gatehouse_connections_refused" Counter, [],
        "Client connections refused, since their address had too many";
    Received "gatehouse_requests_received" Counter, [],
        "Requests received";
    BackendUp "gatehouse_backend_up" Gauge, ["backend"],
        "1 if calls reach the backend";
    BackendInFlight "gatehouse_backend_in_flight" Gauge, ["backend"],
        "Calls in flight at the backend";
    BackendDrained "gatehouse_backend_drained" Gauge, ["backend"],
        "1 if the backend is drained";
    Circuit "gatehouse_circuit_open" Gauge, ["backend", "deployment", "state"],
        "1 for each circuit that is not closed, in the state it has; of connections the deployment is *";
    LedgerServing "gatehouse_ledger_serving" Gauge, [],
        "1 if the ledger takes records; without it the gateway answers 503";
    LedgerFailures "gatehouse_ledger_failures" Counter, [],
        "Writes or flushes of the ledger that failed";
    LedgerSyncs "gatehouse_ledger_syncs" Counter, [],
        "Flushes of the ledger";
    LedgerSyncSeconds "gatehouse_ledger_sync_seconds" Counter, [],
        "Time spent in flushes of the ledger";
    LedgerQueued "gatehouse_ledger_queued_bytes" Gauge, [],
        "Bytes that wait for the disk";
    LedgerBytes "gatehouse_ledger_bytes" Gauge, [],
        "Bytes of the ledger's segments in use";
    LedgerSequence "gatehouse_ledger_durable_sequence" Gauge, [],
        "Last record that is durable";
    LedgerUnsigned "gatehouse_ledger_unsigned_seconds" Gauge, [],
        "For how long a signature under the ledger has been due; 0 while it is signed as often as checkpoints.interval_s says";
    AuditLag "gatehouse_audit_lag_frames" Gauge, [],
        "Durable records whose rows are not in the tables yet";
    AuditLagSeconds "gatehouse_audit_lag_seconds" Gauge, [],
        "For how long the tables have been behind the ledger";
    PipelineFailures "gatehouse_pipeline_failures" Counter, [],
        "Times that the pipeline had to try again";
    PipelineDamaged "gatehouse_pipeline_damaged_frames" Counter, [],
        "Records that the pipeline passed over";
    Rows "gatehouse_rows" Counter, ["table"],
        "Rows that came into the tables";
    Reloads "gatehouse_config_reloads" Counter, ["result"],
        "Reloads of the configuration";
    CertificateExpiry "gatehouse_certificate_expires_in_seconds" Gauge, ["listener"],
        "Seconds until the certificate of a listener ends; below 0 it has";
    LimitUsed "gatehouse_limit_used_ratio" Gauge, ["counter"],
        "Part of a limit that is used";
    SecurityEvents "gatehouse_security_events" Counter, ["kind", "severity"],
        "Rows of SecurityEvents";
    WafMatches "gatehouse_waf_matches" Counter, ["rule", "action"],
        "Requests that rules of the web application firewall matched, by the gravest rule and by what became of the request: blocked, detected or passed";
    AdminActions "gatehouse_admin_actions" Counter, ["operation", "outcome"],
        "Rows of AdminActions";
    ContentReads "gatehouse_content_reads" Counter, ["via"],
        "Looks at prompts or completions";
    Erasures "gatehouse_erasures" Counter, ["via"],
        "Interactions whose content was ordered to be erased";
    AlertsFiring "gatehouse_alerts_firing" Gauge, ["rule", "severity"],
        "Alerts that fire";
    AlertEvaluations "gatehouse_alert_evaluations" Counter, ["rule", "result"],
        "Evaluations of alert rules";
    AlertDeliveries "gatehouse_alert_deliveries" Counter, ["sink", "result"],
        "Deliveries of alerts";
    AlertsUndelivered "gatehouse_alerts_undelivered" Gauge, [],
        "Deliveries of alerts that wait to be tried again";
    StreamJobRows "gatehouse_stream_job_rows" Counter, ["job"],
        "Rows that a stream job has delivered since it was new";
    StreamJobFailures "gatehouse_stream_job_failures" Counter, ["job"],
        "Attempts of a stream job that failed";
    StreamJobLag "gatehouse_stream_job_lag_sequences" Gauge, ["job"],
        "Records whose rows are in the tables and that a stream job has not looked at; 0 for jobs with windows";
    StreamJobLagSeconds "gatehouse_stream_job_lag_seconds" Gauge, ["job"],
        "For how long something has been waiting that a stream job could have delivered";
    StreamJobMissed "gatehouse_stream_job_missed" Counter, ["job"],
        "Records, or windows, whose rows the retention took before a stream job delivered them; at most so many";
    BudgetUsed "gatehouse_budget_used_ratio" Gauge, ["budget"],
        "Part of a budget that is spent in its period";
    BudgetForecast "gatehouse_budget_forecast_ratio" Gauge, ["budget"],
        "Part of a budget that will be spent at the end of its period at the present pace";
    SpendRatio "gatehouse_spend_ratio" Gauge, ["subscription"],
        "What a subscription spent within an hour, as a multiple of its hourly mean of the week before; only above 5 dollars";
    KeyExpiry "gatehouse_key_expires_in_seconds" Gauge, ["subscription"],
        "Until the keys of a subscription expire; only where that is within 90 days";
    TelemetryQueued "gatehouse_telemetry_queued" Gauge, ["signal"],
        "Spans or log records that wait to be sent";
    TelemetryDropped "gatehouse_telemetry_dropped" Counter, ["signal"],
        "Spans, log records or metrics that could not be sent and are given up";
    Build "gatehouse_build" Gauge, ["version"],
        "1, with the version that runs";
    GenAiTokens "gen_ai_client_token_usage" Histogram(TOKENS),
        ["operation_name", "provider", "request_model", "response_model", "token_type"],
        "Tokens of one call, as OpenTelemetry's conventions for generative AI have it";
    GenAiDuration "gen_ai_client_operation_duration" Histogram(GEN_AI_SECONDS),
        ["operation_name", "provider", "request_model", "response_model", "error_type"],
        "Duration of one call, as OpenTelemetry's conventions for generative AI have it";
    GenAiFirstToken "gen_ai_server_time_to_first_token" Histogram(GEN_AI_SECONDS),
        ["operation_name", "provider", "request_model", "response_model"],
        "Time to the first token, as OpenTelemetry's conventions for generative AI have it";
}

//! Seeing it: metrics, telemetry, alerts, cost, reports.
//!
//! Nothing here is on the request path. What is counted per interaction comes from the rows that the
//! pipeline writes, so it is the record that is counted. KQL is asked through an
//! `Arc<dyn kql::Engine>`, and every socket goes out through `net`.

mod alerts;
mod config;
mod cost;
mod kept;
mod metrics;
mod observe;
mod otlp;
mod reports;
mod rerate;
mod secret_headers;
mod spend;

pub use alerts::{
    AlertsConfig, Change, ChangeKind, Courier, Delivery, Engine, Firing, MailConfig, Mailer,
    Measured, Outbox, RuleInForce, RuleStatus, SinkConfig, SinkKind, State, Watcher, WatcherParts,
    builtin_rules, common_schema, gauges,
};
pub use config::{GenAiVersion, MetricsConfig};
pub use cost::{
    BudgetStanding, CostBy, CostConfig, Estimate, estimates, refresh_budgets, report_query,
};
pub use kept::{Lease, StateStore};
pub use metrics::{
    BackendStanding, CATALOGUE, CircuitStanding, Convention, Definition, Distribution, Family,
    Metric, MetricKind, Metrics, OVERFLOW, SERIES_MAX, Standing, StreamJobStanding, Value,
    label_values_max,
};
pub use observe::ObservedSink;
pub use otlp::{Exporter, OtlpConfig};
pub use reports::{
    Every, ReportConfig, ReportFormat, ReportStatus, Reporter, ReporterParts, Weekday,
    validate_reports,
};
pub use rerate::{Difference, Differences, Rerating, dollars};
pub use spend::Spend;

//! Metrics, alerts, cost.

//! Settings of metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::metrics::gen_ai::GenAiVersion;

/// `/metrics` on the health listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Answer `/metrics`.
    pub enabled: bool,
    /// Version of OpenTelemetry's conventions for generative AI that names the `gen_ai` metrics and attributes.
    pub gen_ai_version: GenAiVersion,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true, gen_ai_version: GenAiVersion::default() }
    }
}

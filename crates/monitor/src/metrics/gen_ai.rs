//! OpenTelemetry's names for generative AI, which are moving: a table of them by version of the
//! conventions. Nothing else in the project knows these names.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Definition, MetricKind};

const TABLE: &str = include_str!("../../data/gen_ai.csv");

/// Which version of the conventions is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GenAiVersion {
    /// 1.36 and before: `gen_ai.system`.
    #[serde(rename = "1.36")]
    V1_36,
    /// 1.37 and later: `gen_ai.provider.name`.
    #[default]
    #[serde(rename = "1.37")]
    V1_37,
}

/// The names of one version.
#[derive(Clone, Debug)]
pub struct Convention {
    names: HashMap<String, String>,
}

impl Convention {
    /// The names of this version.
    pub fn of(version: GenAiVersion) -> Self {
        let wanted = match version {
            GenAiVersion::V1_36 => "1.36",
            GenAiVersion::V1_37 => "1.37",
        };
        let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
        let rows = reader.records().map(|row| row.expect("a test reads the whole table"));
        let rows = rows.filter(|row| row.get(0) == Some(wanted));
        let names = rows.map(|row| (row[1].to_owned(), row[2].to_owned())).collect();
        Self { names }
    }

    /// The name of an attribute, or of one of ours as it is.
    pub fn attribute<'a>(&'a self, ours: &'a str) -> &'a str {
        self.names.get(ours).map_or(ours, String::as_str)
    }

    /// Name of a metric in Prometheus and in OpenTelemetry.
    pub(super) fn names(&self, definition: &Definition) -> (String, String) {
        if let Some(name) = self.names.get(definition.name) {
            let unit = if name.ends_with("usage") { "" } else { "_seconds" };
            return (format!("{}{unit}", name.replace('.', "_")), name.clone());
        }
        let suffix = if definition.kind == MetricKind::Counter { "_total" } else { "" };
        let plain = definition.name.strip_suffix("_seconds").unwrap_or(definition.name);
        (format!("{}{suffix}", definition.name), plain.replacen('_', ".", 1))
    }

    /// Name of an operation, by our kind of operation.
    pub fn operation(kind: &str) -> &'static str {
        match kind {
            "chat" => "chat",
            "completion" => "text_completion",
            "embedding" => "embeddings",
            "image" => "generate_content",
            "speech-to-text" | "text-to-speech" => "generate_content",
            "assistants" => "invoke_agent",
            _ => "",
        }
    }
}

//! Azure's content filter: annotations on everything, and the words that trip it.

use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;

/// First day of versions that annotate.
const ANNOTATIONS_SINCE: &str = "2023-06-01";
/// First day of versions that look for jailbreaks and protected material.
const DETECTIONS_SINCE: &str = "2024-02-01";

/// What the filter makes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Whether anything is annotated at all.
    pub(crate) annotates: bool,
    detects: bool,
    /// The answer is to be cut.
    pub(crate) cuts: bool,
    /// The filter itself is down.
    broken: bool,
    jailbreak: bool,
}

impl Filter {
    /// Looks at the prompt; a forbidden one fails with 400.
    pub(crate) fn inspect(call: &Call<'_>) -> Result<Self, Failure> {
        let azure = call.dialect().is_azure();
        let mut filter = Self {
            annotates: azure && call.route.since(ANNOTATIONS_SINCE),
            detects: azure && call.route.since(DETECTIONS_SINCE),
            cuts: false,
            broken: false,
            jailbreak: false,
        };
        if !azure || !call.triggers {
            return Ok(filter);
        }
        if contains(call.body(), "SIM-FILTER-PROMPT") {
            return Err(Failure::content_filter(filter.results(true, true)));
        }
        filter.cuts = contains(call.body(), "SIM-FILTER-COMPLETION");
        filter.broken = contains(call.body(), "SIM-FILTER-ERROR");
        filter.jailbreak = contains(call.body(), "SIM-JAILBREAK");
        Ok(filter)
    }

    /// Whether the version annotates in the way of the first previews.
    pub(crate) fn is_early(&self) -> bool {
        self.annotates && !self.detects
    }

    /// The list beside the choices, one entry for each prompt.
    pub(crate) fn prompt_results(&self, prompts: usize) -> Value {
        let one = |index| json!({"prompt_index": index, "content_filter_results": self.results(true, false)});
        (0..prompts).map(one).collect()
    }

    /// Whether nothing was found, so that the annotations are always the same text.
    pub(crate) fn is_quiet(&self) -> bool {
        self.detects && !self.cuts && !self.broken && !self.jailbreak
    }

    /// The annotation of a choice.
    pub(crate) fn choice_results(&self) -> Value {
        self.results(false, self.cuts)
    }

    fn results(&self, prompt: bool, violent: bool) -> Value {
        if self.broken {
            let message = "The contents are not filtered";
            return json!({"error": {"code": "content_filter_error", "message": message}});
        }
        let safe = json!({"filtered": false, "severity": "safe"});
        let violence =
            if violent { json!({"filtered": true, "severity": "medium"}) } else { safe.clone() };
        let mut results = json!({"hate": safe});
        if self.detects && prompt {
            results["jailbreak"] = json!({"filtered": false, "detected": self.jailbreak});
        }
        if self.detects && !prompt {
            results["protected_material_code"] = json!({"filtered": false, "detected": false});
            results["protected_material_text"] = json!({"filtered": false, "detected": false});
        }
        results["self_harm"] = safe.clone();
        results["sexual"] = safe;
        results["violence"] = violence;
        results
    }

    /// What a streamed piece of text carries: severities only.
    pub(crate) fn piece_results(&self) -> Value {
        let safe = json!({"filtered": false, "severity": "safe"});
        json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
    }
}

fn contains(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text.contains(word),
        Value::Array(items) => items.iter().any(|item| contains(item, word)),
        Value::Object(map) => map.values().any(|item| contains(item, word)),
        _ => false,
    }
}

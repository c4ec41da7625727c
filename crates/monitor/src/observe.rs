//! Counting what the pipeline writes: a sink before the tables that looks at each batch once it is in.
//!
//! It feeds nothing itself. A batch that the tables refuse comes again and is counted when it is taken,
//! so every row counts once in the life of a process.

use std::sync::Arc;

use event::{
    AdminAction, Batch, BlobWriter, Cursor, Interaction, Note, SecurityEvent, Sink, SinkError,
};

use crate::metrics::{Convention, Metric, Metrics};
use crate::otlp::Exporter;

/// Tables whose rows are counted.
pub struct ObservedSink {
    inner: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    exporter: Option<Arc<Exporter>>,
}

impl ObservedSink {
    /// Counts into `metrics` what `inner` takes, and tells it to `exporter`.
    pub fn new(
        inner: Arc<dyn Sink>,
        metrics: Arc<Metrics>,
        exporter: Option<Arc<Exporter>>,
    ) -> Self {
        Self { inner, metrics, exporter }
    }
}

impl Sink for ObservedSink {
    fn durable_cursor(&self) -> Cursor {
        self.inner.durable_cursor()
    }

    fn write(&self, batch: &Batch) -> Result<(), SinkError> {
        self.inner.write(batch)?;
        self.metrics.count(batch);
        if let Some(exporter) = &self.exporter {
            exporter.offer(batch);
        }
        Ok(())
    }

    fn blob(&self) -> Result<Box<dyn BlobWriter>, SinkError> {
        self.inner.blob()
    }
}

impl Metrics {
    /// Counts the rows of a batch.
    pub fn count(&self, batch: &Batch) {
        for (table, rows) in [
            ("Interactions", batch.interactions.len()),
            ("Messages", batch.messages.len()),
            ("BackendHealth", batch.backend_health.len()),
            ("Notes", batch.notes.len()),
        ] {
            if rows > 0 {
                self.add(Metric::Rows, &[table], rows as f64);
            }
        }
        batch.interactions.iter().for_each(|row| self.count_interaction(row));
        batch.notes.iter().for_each(|note| self.count_note(note));
    }

    fn count_interaction(&self, row: &Interaction) {
        let operation = or_unknown(&row.operation_id);
        let deployment = deployment(row);
        let status = row.response_code.to_string();
        let labels = [operation, deployment, &row.product_id, &status, &row.outcome];
        self.add(Metric::Requests, &labels, 1.0);
        self.observe(Metric::RequestDuration, &[operation, deployment], seconds(row.total_time));
        self.observe(Metric::Overhead, &[operation], row.gateway_overhead / 1e3);
        if row.attempts > 0 {
            let labels = [row.backend_id.as_str(), deployment];
            self.observe(Metric::BackendDuration, &labels, seconds(row.backend_time));
        }
        if row.attempts > 1 {
            self.add(Metric::Retries, &[deployment], f64::from(row.attempts - 1));
        }
        if row.is_stream_completion {
            if let Some(first) = row.time_to_first_byte {
                self.observe(Metric::TimeToFirstByte, &[deployment], seconds(first));
            }
            if let Some(first) = row.time_to_first_token {
                self.observe(Metric::TimeToFirstToken, &[deployment], seconds(first));
            }
            if row.chunks > 1 {
                self.observe(Metric::ChunkGap, &[deployment], seconds(row.chunk_gap_max));
            }
            self.add(Metric::Chunks, &[deployment], row.chunks as f64);
        }
        self.count_failure(row);
        self.count_usage(row, deployment);
        self.count_gen_ai(row);
    }

    fn count_failure(&self, row: &Interaction) {
        if row.outcome == "refused" {
            let labels = [or_unknown(&row.last_error_reason), &row.apim_subscription_id];
            self.add(Metric::Refusals, &labels, 1.0);
        } else if !row.is_request_success || row.outcome != "complete" {
            let reason = match row.last_error_reason.as_str() {
                "" if row.outcome == "complete" => "BackendStatus",
                "" => &row.outcome,
                reason => reason,
            };
            // A backend may put anything into its error's code.
            let reason = if is_word(reason) { reason } else { "unspeakable" };
            self.add(Metric::Errors, &[reason, &row.backend_id], 1.0);
        }
    }

    fn count_usage(&self, row: &Interaction, deployment: &str) {
        let model = model(row);
        let (subscription, product) = (row.apim_subscription_id.as_str(), row.product_id.as_str());
        for (kind, tokens) in [
            ("prompt", row.prompt_tokens),
            ("completion", row.completion_tokens),
            ("cached", row.cached_tokens),
            ("reasoning", row.reasoning_tokens),
        ] {
            if let Some(tokens) = tokens.filter(|tokens| *tokens > 0) {
                let labels = [subscription, product, deployment, model, kind];
                self.add(Metric::Tokens, &labels, tokens as f64);
            }
        }
        if row.usage_source == "estimated" {
            let tokens = row.total_tokens.unwrap_or(0) as f64;
            self.add(Metric::TokensEstimated, &[model], tokens);
        }
        match row.cost_usd {
            Some(cost) => {
                let dollars = cost.0 as f64 / 1e12;
                self.add(Metric::Cost, &[subscription, product, deployment, model], dollars);
            }
            None if is_unpriced(row) => self.add(Metric::Unpriced, &[model], 1.0),
            None => {}
        }
    }

    fn count_gen_ai(&self, row: &Interaction) {
        let operation = Convention::operation(&row.kind);
        if operation.is_empty() || row.attempts == 0 {
            return;
        }
        let asked = if row.deployment_name.is_empty() { model(row) } else { &row.deployment_name };
        let labels = [operation, "azure.ai.openai", asked, model(row)];
        let [operation, provider, request_model, response_model] = labels;
        for (kind, tokens) in [("input", row.prompt_tokens), ("output", row.completion_tokens)] {
            if let Some(tokens) = tokens {
                let labels = [operation, provider, request_model, response_model, kind];
                self.observe(Metric::GenAiTokens, &labels, tokens as f64);
            }
        }
        let code = row.response_code.to_string();
        let error = if row.is_request_success { "" } else { &code };
        let with_error = [operation, provider, request_model, response_model, error];
        self.observe(Metric::GenAiDuration, &with_error, seconds(row.total_time));
        if let Some(first) = row.time_to_first_token {
            self.observe(Metric::GenAiFirstToken, &labels, seconds(first));
        }
    }

    fn count_note(&self, note: &Note) {
        match note {
            Note::AdminAction(AdminAction { operation_name, outcome, .. }) => {
                self.add(Metric::AdminActions, &[operation_name, outcome], 1.0);
            }
            Note::ContentRead(read) => self.add(Metric::ContentReads, &[&read.via], 1.0),
            Note::SecurityEvent(event) => {
                let labels = [event.kind.as_str(), event.severity.as_str()];
                let count = 1.0 + event.unnoted as f64;
                self.add(Metric::SecurityEvents, &labels, count);
                if let Some(action) = waf_action(event) {
                    self.add(Metric::WafMatches, &[&event.reason, action], count);
                }
            }
            Note::Erasure(order) => self.add(Metric::Erasures, &[&order.via], 1.0),
            Note::Alert(_) | Note::CostAdjustment(_) | Note::LedgerCheckpoint(_) => {}
        }
    }
}

/// What became of a request that rules of the firewall matched; none of any other event.
fn waf_action(event: &SecurityEvent) -> Option<&'static str> {
    match (event.kind.as_str(), event.severity.as_str()) {
        ("waf_blocked", _) => Some("blocked"),
        ("waf_matched", "warning") => Some("detected"),
        ("waf_matched", _) => Some("passed"),
        _ => None,
    }
}

/// It used something that has a price, and no price was found.
pub(crate) fn is_unpriced(row: &Interaction) -> bool {
    let tokens = row.total_tokens.unwrap_or(0) > 0;
    let units = row.images.unwrap_or(0) > 0 || row.audio_seconds.unwrap_or(0.0) > 0.0;
    row.cost_usd.is_none() && (tokens || units) && row.attempts > 0
}

fn seconds(millis: i64) -> f64 {
    millis.max(0) as f64 / 1e3
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// A deployment that a backend was asked for; what a refused caller wrote is no label.
fn deployment(row: &Interaction) -> &str {
    if row.attempts > 0 { &row.deployment_name } else { "" }
}

fn model(row: &Interaction) -> &str {
    match row.attempts {
        0 => "",
        _ if row.model_name.is_empty() => &row.deployment_name,
        _ => &row.model_name,
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_request_is_told_by_kind_and_severity() {
        let action = |kind: &str, severity: &str| {
            let (kind, severity) = (kind.to_owned(), severity.to_owned());
            waf_action(&SecurityEvent { kind, severity, ..SecurityEvent::default() })
        };
        assert_eq!(action("waf_blocked", "warning"), Some("blocked"));
        assert_eq!(action("waf_matched", "warning"), Some("detected"));
        assert_eq!(action("waf_matched", "informational"), Some("passed"));
        assert_eq!(action("address_denied", "warning"), None);
    }
}

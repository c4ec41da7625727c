//! What the bodies tell: messages, model, tokens, cost; and what all of it becomes in the tables.

use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use event::{BodyText, ErrorDetail, Interaction, Json, Message};
use openai::{
    Assembled, Body, Catalogue, Extraction, Input, Kind, Part, Session, Tokenizer, UsageSource,
};
use policy::{Meter, Prices, ServiceTier};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::billed::Billed;
use crate::depot::Depot;
use crate::ended::Ended;
use crate::row;

/// The rows that one interaction becomes.
pub(crate) struct Rows {
    pub(crate) interaction: Interaction,
    pub(crate) messages: Vec<Message>,
}

/// Reads bodies; holds the operations and the vocabularies it takes to do so.
pub(crate) struct Enricher {
    catalogue: Catalogue,
    tokenizer: Tokenizer,
}

impl Enricher {
    pub(crate) fn new() -> Self {
        Self { catalogue: Catalogue::builtin(), tokenizer: Tokenizer::new() }
    }

    /// Loads the vocabulary of today's models, which takes part of a second.
    pub(crate) fn load_vocabulary(&self) {
        self.tokenizer.count("gpt-4o", "");
    }

    /// Everything the tables hold of one interaction.
    pub(crate) fn rows(
        &self,
        depot: &Arc<Depot>,
        mut ended: Ended,
        prices: &Prices,
        billed: &mut Billed,
    ) -> Result<Rows, Error> {
        if ended.is_erased {
            return Ok(erased(ended));
        }
        show_own_body(depot, &mut ended)?;
        let extracted = match ended.session.take() {
            Some(session) => Some(session_extraction(&mut ended, *session)),
            None => self.extract(&ended),
        };
        show_estimate(depot, &mut ended, extracted.as_ref())?;
        let mut interaction = row::build(&mut ended);
        let mut errors = take(&mut ended.closed.errors);
        errors.extend(ended.response.stream.as_ref().and_then(stream_error));
        let mut extraction = extracted.unwrap_or_else(|| {
            tracing::error!(id = %ended.id, "bodies could not be searched: a fault of ours, please report it");
            errors.push(problem("ExtractionFailed", "the bodies could not be searched"));
            Extraction::default()
        });
        row::errors(&mut interaction, &errors);
        if extraction.usage.is_some() && !billed.takes(&ended, &extraction) {
            // What it tells was counted when it was made.
            extraction.usage = None;
        }
        fill(&mut interaction, &mut extraction, not_extracted(&ended));
        price(&mut interaction, &extraction, prices);
        let messages = messages(depot, &interaction, extraction.parts)?;
        Ok(Rows { interaction, messages })
    }

    /// None if it panicked: a record must come through whatever a body holds.
    fn extract(&self, ended: &Ended) -> Option<Extraction> {
        let target = &ended.opened.target;
        let (path, query) = path_and_query(&ended.opened.url);
        let identified = self.catalogue.identify(&ended.opened.method, path, query);
        let input = Input {
            kind: Kind::from_name(&target.kind).unwrap_or(Kind::Other),
            subkind: &target.subkind,
            operation_id: &target.operation_id,
            path_ids: &identified.ids,
            deployment: &target.deployment,
            request: &ended.request.parsed,
            response: &ended.response.parsed,
            status: ended.closed.status,
            streamed: ended.response.stream.is_some(),
            tokenizer: &self.tokenizer,
        };
        catch_unwind(AssertUnwindSafe(|| openai::extract(&input))).ok()
    }
}

impl Rows {
    /// About how much memory they take.
    pub(crate) fn bytes(&self) -> u64 {
        let row = &self.interaction;
        let fixed = size_of::<Interaction>() + size_of::<Message>() * self.messages.len();
        let texts = [&row.request_body, &row.response_body];
        let contents = self.messages.iter().map(|message| &message.content);
        let inline: usize = texts.into_iter().chain(contents).map(inline_bytes).sum();
        let headers = row.request_headers.0.len()
            + row.response_headers.0.len()
            + row.backend_request_headers.0.len()
            + row.backend_response_headers.0.len();
        let json = row.request_parameters.0.len() + row.content_filter.0.len() + row.errors.0.len();
        (fixed + inline + headers + json + row.url.len() + row.backend_url.len()) as u64
    }
}

fn inline_bytes(text: &BodyText) -> usize {
    match text {
        BodyText::Inline(text) => text.len(),
        BodyText::Blob { .. } => 0,
    }
}

/// What is left of an interaction whose content was erased: what its bodies told is not known, and nothing
/// is made up of their lack.
fn erased(mut ended: Ended) -> Rows {
    if is_own_body_shown(&ended) {
        ended.response.bytes = ended.closed.own_body.len() as u64;
        ended.response.is_stream = false;
    }
    // The first output is not known where its piece is gone, and not told where it is not.
    ended.first_output_at = None;
    // A session is streamed, whatever its head says.
    ended.response.is_stream |= ended.closed.session.is_some();
    let errors = take(&mut ended.closed.errors);
    let mut interaction = row::build(&mut ended);
    row::errors(&mut interaction, &errors);
    interaction.erase_content();
    Rows { interaction, messages: Vec::new() }
}

/// The gateway's own answer is the answer, unless part of the backend's had gone out before.
fn is_own_body_shown(ended: &Ended) -> bool {
    let has_gone_out = ended.response.is_stream && ended.response.bytes > 0;
    !ended.closed.own_body.is_empty() && !has_gone_out
}

fn show_own_body(depot: &Arc<Depot>, ended: &mut Ended) -> Result<(), Error> {
    if !is_own_body_shown(ended) {
        return Ok(());
    }
    let own = take(&mut ended.closed.own_body);
    let response = &mut ended.response;
    let mut body = crate::body::Body::new(depot.clone());
    body.push(own.as_bytes())?;
    let mut gathered = body.finish()?;
    response.parsed = Body::read(Some("application/json"), own.as_bytes());
    response.bytes = gathered.bytes;
    response.sha256 = take(&mut gathered.sha256);
    response.shown = gathered.text()?;
    response.stream = None;
    response.is_stream = false;
    response.not_extracted = String::new();
    Ok(())
}

/// What a WebSocket session holds: it was read message by message.
fn session_extraction(ended: &mut Ended, session: Session) -> Extraction {
    let Session { mut extraction, errors, is_truncated } = session;
    ended.closed.errors.extend(errors.iter().map(told_error));
    if is_truncated {
        let text = "the session holds more text than is kept in Messages; its bodies are whole";
        ended.closed.errors.push(problem("SessionTooLong", text));
    }
    if let (Some(end), Value::Object(parameters)) =
        (&ended.closed.session, &mut extraction.request_parameters)
    {
        parameters.insert("close_code".into(), end.close_code.into());
        parameters.insert("close_reason".into(), end.close_reason.clone().into());
        parameters.insert("closed_by".into(), end.closed_by.clone().into());
        parameters.insert("client_messages".into(), end.client_messages.into());
        parameters.insert("server_messages".into(), end.server_messages.into());
    }
    extraction
}

/// A joined stream without usage shows the estimate, marked as such: queries that read `usage` out
/// of the body then count streamed calls too.
fn show_estimate(
    depot: &Depot,
    ended: &mut Ended,
    extraction: Option<&Extraction>,
) -> Result<(), Error> {
    let usage = extraction.and_then(|extraction| extraction.usage);
    let estimate = usage.filter(|usage| usage.source == UsageSource::Estimated);
    let response = &mut ended.response;
    let (Some(usage), true, Body::Json(joined)) =
        (estimate, response.stream.is_some(), &mut response.parsed)
    else {
        return Ok(());
    };
    if !joined.is_object() || !joined["usage"].is_null() {
        return Ok(());
    }
    let shown = json!({
        "completion_tokens": usage.completion,
        "prompt_tokens": usage.prompt,
        "total_tokens": usage.total,
        "estimated": true,
    });
    let mut joined = take(joined);
    joined.set("usage", shown.into());
    response.shown = depot.text(joined.to_string())?;
    Ok(())
}

fn messages(depot: &Depot, of: &Interaction, parts: Vec<Part>) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::with_capacity(parts.len());
    for (position, part) in parts.into_iter().enumerate() {
        messages.push(Message {
            time_generated: of.time_generated,
            correlation_id: of.correlation_id.clone(),
            sequence_number: i32::try_from(position).unwrap_or(i32::MAX),
            direction: part.direction.name().into(),
            role: part.role,
            content_type: part.content_type.into(),
            content: depot.text(part.content)?,
            name: part.name,
            choice_index: part.choice_index,
            kind: of.kind.clone(),
            model_name: of.model_name.clone(),
            deployment_name: of.deployment_name.clone(),
            apim_subscription_id: of.apim_subscription_id.clone(),
            caller_ip_address: of.caller_ip_address.clone(),
            thread_id: of.thread_id.clone(),
            run_id: of.run_id.clone(),
        });
    }
    Ok(messages)
}

/// The typed columns that bodies fill.
fn fill(row: &mut Interaction, extraction: &mut Extraction, not_extracted: Option<String>) {
    if let Some(usage) = &extraction.usage {
        row.prompt_tokens = usage.prompt;
        row.completion_tokens = usage.completion;
        row.total_tokens = usage.total;
        row.cached_tokens = usage.cached;
        row.reasoning_tokens = usage.reasoning;
        row.audio_prompt_tokens = usage.audio_prompt;
        row.audio_completion_tokens = usage.audio_completion;
        row.usage_source = usage.source.name().into();
    }
    let billed_seconds = extraction.usage.and_then(|usage| usage.seconds);
    row.audio_seconds = extraction.audio_seconds.or(billed_seconds);
    row.images = extraction.images;
    if !extraction.model.is_empty() {
        row.model_name = take(&mut extraction.model);
    }
    row.request_id = take(&mut extraction.provider_id);
    row.finish_reason = take(&mut extraction.finish_reason);
    if let Some(reason) = not_extracted {
        with_reason(&mut extraction.request_parameters, reason);
    }
    if let (false, Value::Object(parameters)) =
        (extraction.service_tier.is_empty(), &mut extraction.request_parameters)
    {
        parameters.insert("served_tier".into(), extraction.service_tier.clone().into());
    }
    row.request_parameters = json(&extraction.request_parameters);
    row.content_filter = Json(take(&mut extraction.content_filter));
    row.thread_id = take(&mut extraction.thread_id);
    row.run_id = take(&mut extraction.run_id);
    row.assistant_id = take(&mut extraction.assistant_id);
}

fn price(row: &mut Interaction, extraction: &Extraction, prices: &Prices) {
    let asked = |name| extraction.request_parameters.get(name).and_then(Value::as_str);
    let speech = extraction.parts.iter().filter(|part| part.content_type == "speech_input");
    let characters: usize = speech.map(|part| part.content.chars().count()).sum();
    // Some answers name no model: then its deployment is all there is to go by.
    let model = if row.model_name.is_empty() { &row.deployment_name } else { &row.model_name };
    let priced = prices.price(&Meter {
        model,
        scope: prices.scope_of(&row.backend_id, &row.deployment_name),
        tier: match extraction.service_tier.as_str() {
            "priority" => ServiceTier::Priority,
            "batch" => ServiceTier::Batch,
            _ => ServiceTier::Standard,
        },
        prompt_tokens: row.prompt_tokens.unwrap_or(0),
        cached_tokens: row.cached_tokens.unwrap_or(0),
        audio_prompt_tokens: row.audio_prompt_tokens.unwrap_or(0),
        completion_tokens: row.completion_tokens.unwrap_or(0),
        audio_completion_tokens: row.audio_completion_tokens.unwrap_or(0),
        audio_seconds: row.audio_seconds.unwrap_or(0.0),
        // What was asked to be spoken and refused costs nothing.
        characters: if row.is_request_success { characters as i64 } else { 0 },
        images: i64::from(row.images.unwrap_or(0)),
        image_size: asked("size").unwrap_or_default(),
        image_quality: asked("quality").unwrap_or_default(),
    });
    if let Some(priced) = priced {
        row.cost_usd = Some(priced.cost);
        row.price_version = priced.version;
    }
}

/// Why a body was not searched, if one was not.
fn not_extracted(ended: &Ended) -> Option<String> {
    let named = [("request", &ended.request), ("response", &ended.response)];
    let reasons = named.into_iter().filter(|(_, taken)| !taken.not_extracted.is_empty());
    let reasons: Vec<_> =
        reasons.map(|(side, taken)| format!("{side}: {}", taken.not_extracted)).collect();
    if reasons.is_empty() {
        return None;
    }
    tracing::warn!(id = %ended.id, ?reasons, "a body is recorded whole but was not searched");
    Some(reasons.join("; "))
}

fn with_reason(parameters: &mut Value, reason: String) {
    if !parameters.is_object() {
        *parameters = Value::Object(Map::new());
    }
    parameters["not_extracted"] = reason.into();
}

fn json(value: &Value) -> Json {
    if value.is_null() { Json::default() } else { Json(value.to_string()) }
}

/// The error that a stream carried, or what it lost.
fn stream_error(stream: &Assembled) -> Option<ErrorDetail> {
    if let Some(whole) = &stream.error {
        // `{"error": {…}}` of chat, the bare error of responses, `response.failed`.
        let inner = whole.pointer("/response/error").or_else(|| whole.get("error"));
        return Some(told_error(inner.filter(|inner| inner.is_object()).unwrap_or(whole)));
    }
    let is_lossy = stream.truncated || stream.oversized_events > 0;
    is_lossy.then(|| problem("StreamTooLong", "parts of the stream were too long to be joined"))
}

/// An error object that the backend sent.
fn told_error(error: &Value) -> ErrorDetail {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let reason = text("code").or(text("type")).unwrap_or("StreamError");
    ErrorDetail {
        source: "forward-request".into(),
        section: "backend".into(),
        ..problem(reason, text("message").unwrap_or_default())
    }
}

fn problem(reason: &str, message: &str) -> ErrorDetail {
    ErrorDetail {
        source: "pipeline".into(),
        reason: reason.into(),
        message: message.into(),
        scope: "global".into(),
        section: "on-error".into(),
        elapsed_ms: 0,
    }
}

/// Path and query of an absolute URL, or of what is only a path.
fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path_at = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    let target = url[path_at..].split('#').next().unwrap_or_default();
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_cut_into_path_and_query() {
        for (url, path, query) in [
            ("https://h:8/openai/v1/chat?a=/b", "/openai/v1/chat", Some("a=/b")),
            ("/v1/models", "/v1/models", None),
            ("https://h", "", None),
        ] {
            assert_eq!(path_and_query(url), (path, query), "{url}");
        }
    }
}

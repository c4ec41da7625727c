//! Spans of an interaction: one of the server, and one of the client that asked the backend.
//!
//! The caller's `traceparent` (W3C Trace Context) is continued and its decision obeyed. Without one, the
//! interaction's id is the trace's.

use event::{Interaction, InteractionId, Timestamp};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::convert::{attribute, nanos, number};
use crate::metrics::Convention;

/// Told apart from the server's span.
const CLIENT: u8 = 0xC1;

/// A trace that a caller began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent {
    pub(super) trace: [u8; 16],
    pub(super) parent: [u8; 8],
    pub(super) is_sampled: bool,
}

impl TraceParent {
    /// Reads `00-<trace>-<parent>-<flags>`; a later version may say more behind that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = bytes::<1>(parts.next()?)?;
        let (trace, parent) = (bytes::<16>(parts.next()?)?, bytes::<8>(parts.next()?)?);
        let flags = bytes::<1>(parts.next()?)?;
        let is_wrong = version[0] == 0xFF
            || trace == [0; 16]
            || parent == [0; 8]
            || (version[0] == 0 && parts.next().is_some());
        (!is_wrong).then_some(Self { trace, parent, is_sampled: flags[0] & 1 == 1 })
    }
}

/// Lower-case hexadecimal, as the standard wants it.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut out = [0; N];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(out)
}

/// The spans of an interaction; none if it is not sampled.
pub(super) fn spans(row: &Interaction, convention: &Convention, sample_ratio: f64) -> Vec<Span> {
    let Ok(id) = row.correlation_id.parse::<InteractionId>() else { return Vec::new() };
    let id = id.to_bytes();
    let caller = header(&row.request_headers.0, "traceparent");
    let caller = caller.as_deref().and_then(TraceParent::parse);
    let is_sampled =
        caller.map_or_else(|| is_chosen(&id, sample_ratio), |caller| caller.is_sampled);
    if !is_sampled {
        return Vec::new();
    }
    let trace = caller.map_or(id, |caller| caller.trace);
    let parent = caller.map_or_else(Vec::new, |caller| caller.parent.to_vec());
    let server_id: [u8; 8] = std::array::from_fn(|at| id[8 + at]);
    let mut client_id = server_id;
    client_id[0] ^= CLIENT;
    let ended_at = row.closed_at;
    let mut server = Span {
        trace_id: trace.to_vec(),
        span_id: server_id.to_vec(),
        parent_span_id: parent,
        trace_state: header(&row.request_headers.0, "tracestate").unwrap_or_default(),
        name: if row.operation_id.is_empty() {
            row.method.clone()
        } else {
            row.operation_id.clone()
        },
        kind: SpanKind::Server as i32,
        start_time_unix_nano: nanos(row.time_generated),
        end_time_unix_nano: nanos(ended_at),
        attributes: server_attributes(row),
        status: Some(status(
            row.response_code >= 500 || row.response_code == 0,
            &row.last_error_reason,
        )),
        ..Span::default()
    };
    if row.attempts == 0 {
        return vec![server];
    }
    server.attributes.push(number("gatehouse.attempts", i64::from(row.attempts)));
    // A row tells how long the backend took, not from when: it is put at the end of the interaction.
    let micros = row.backend_time.max(0).saturating_mul(1_000);
    let began = ended_at.unix_micros().saturating_sub(micros).max(row.time_generated.unix_micros());
    let failed = row.backend_response_code.is_none_or(|code| code >= 400);
    let operation = Convention::operation(&row.kind);
    let client = Span {
        trace_id: trace.to_vec(),
        span_id: client_id.to_vec(),
        parent_span_id: server_id.to_vec(),
        name: format!("{operation} {}", row.deployment_name).trim().to_owned(),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: nanos(Timestamp::from_unix_micros(began)),
        end_time_unix_nano: nanos(ended_at),
        attributes: client_attributes(row, convention, operation),
        status: Some(status(failed, &row.last_error_reason)),
        ..Span::default()
    };
    vec![server, client]
}

fn server_attributes(row: &Interaction) -> Vec<KeyValue> {
    let mut all = vec![
        attribute("http.request.method", &row.method),
        number("http.response.status_code", i64::from(row.response_code)),
        attribute("gatehouse.interaction.id", &row.correlation_id),
        attribute("gatehouse.outcome", &row.outcome),
        attribute("gatehouse.subscription", &row.apim_subscription_id),
        attribute("gatehouse.product", &row.product_id),
        number("gatehouse.overhead_us", (row.gateway_overhead * 1e3) as i64),
    ];
    if !row.last_error_reason.is_empty() {
        all.push(attribute("error.type", &row.last_error_reason));
    }
    all
}

fn client_attributes(row: &Interaction, convention: &Convention, operation: &str) -> Vec<KeyValue> {
    let name = |ours: &str| convention.attribute(ours).to_owned();
    let mut all = vec![attribute("gatehouse.backend", &row.backend_id)];
    if let Some(code) = row.backend_response_code {
        all.push(number("http.response.status_code", i64::from(code)));
    }
    if operation.is_empty() {
        return all;
    }
    all.push(attribute(&name("operation_name"), operation));
    all.push(attribute(&name("provider"), convention.attribute("provider_azure")));
    for (ours, text) in [
        ("request_model", &row.deployment_name),
        ("response_model", &row.model_name),
        ("response_id", &row.request_id),
        ("finish_reasons", &row.finish_reason),
        ("conversation", &row.thread_id),
    ] {
        if !text.is_empty() {
            all.push(attribute(&name(ours), text));
        }
    }
    for (ours, tokens) in
        [("input_tokens", row.prompt_tokens), ("output_tokens", row.completion_tokens)]
    {
        all.extend(tokens.map(|tokens| number(&name(ours), tokens)));
    }
    all
}

fn status(is_error: bool, reason: &str) -> Status {
    let code = if is_error { StatusCode::Error } else { StatusCode::Unset };
    let message = if is_error { reason.to_owned() } else { String::new() };
    Status { code: code as i32, message }
}

/// A header of a row, by its lower-case name; of several the first.
pub(super) fn header(headers: &str, wanted: &str) -> Option<String> {
    let headers: serde_json::Value = serde_json::from_str(headers).ok()?;
    let (_, value) =
        headers.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    match value {
        serde_json::Value::Array(values) => values.first()?.as_str().map(str::to_owned),
        value => value.as_str().map(str::to_owned),
    }
}

/// The same decision for the same id, on every node.
fn is_chosen(id: &[u8; 16], ratio: f64) -> bool {
    let random = u32::from_be_bytes([id[12], id[13], id[14], id[15]]);
    f64::from(random) < ratio * f64::from(u32::MAX) || ratio >= 1.0
}

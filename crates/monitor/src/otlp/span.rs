//! Spans of an interaction: one of the server, and below it one of the client for each attempt at a backend.
//!
//! The caller's `traceparent` (W3C Trace Context) is continued and its decision obeyed. Without one, the
//! interaction's id is the trace's.

use event::{Interaction, InteractionId, Timestamp};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde::Deserialize;

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
    let mut all = vec![server];
    for (number_of, attempt) in attempts(row).iter().enumerate() {
        let mut id = server_id;
        id[0] ^= CLIENT;
        id[1] ^= u8::try_from(number_of).unwrap_or(u8::MAX);
        all.push(client(row, convention, attempt, Ids { trace, parent: server_id, id }));
    }
    all
}

/// One attempt at a backend, as far as the row tells.
struct Attempt {
    /// None where there was but one.
    number: Option<i64>,
    backend_id: String,
    status: Option<i64>,
    began_at: Timestamp,
    ended_at: Timestamp,
    /// It is the one whose answer was passed on, or the last: the row tells of it.
    is_told: bool,
}

struct Ids {
    trace: [u8; 16],
    parent: [u8; 8],
    id: [u8; 8],
}

/// An attempt as the column `BackendAttempts` tells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    attempt: i64,
    backend_id: String,
    sent_after: f64,
    status: Option<i64>,
}

/// Attempts in order. One ends when the next begins: that is when it was given up.
fn attempts(row: &Interaction) -> Vec<Attempt> {
    let told: Vec<Told> = serde_json::from_str(&row.backend_attempts.0).unwrap_or_default();
    let (start, end) = (row.time_generated.unix_micros(), row.closed_at.unix_micros());
    if told.is_empty() {
        // Of a single attempt a row tells how long the backend took, not from when: it is put at the end.
        let micros = row.backend_time.max(0).saturating_mul(1_000);
        return vec![Attempt {
            number: None,
            backend_id: row.backend_id.clone(),
            status: row.backend_response_code.map(i64::from),
            began_at: Timestamp::from_unix_micros(end.saturating_sub(micros).max(start)),
            ended_at: row.closed_at,
            is_told: true,
        }];
    }
    let began = |told: &Told| start.saturating_add((told.sent_after * 1e3) as i64);
    let code = row.backend_response_code.map(i64::from);
    let is_shown = |it: &Told| it.backend_id == row.backend_id && it.status == code;
    let shown = told.iter().rposition(is_shown).unwrap_or(told.len() - 1);
    let one = |(at, it): (usize, &Told)| Attempt {
        number: Some(it.attempt),
        backend_id: it.backend_id.clone(),
        status: it.status,
        began_at: Timestamp::from_unix_micros(began(it)),
        ended_at: Timestamp::from_unix_micros(told.get(at + 1).map_or(end, began).max(began(it))),
        is_told: at == shown,
    };
    told.iter().enumerate().map(one).collect()
}

fn client(row: &Interaction, convention: &Convention, attempt: &Attempt, ids: Ids) -> Span {
    let operation = Convention::operation(&row.kind);
    let failed = attempt.status.is_none_or(|code| code >= 400);
    let mut attributes = match attempt.is_told {
        true => client_attributes(row, convention, operation),
        false => Vec::new(),
    };
    attributes.push(attribute("gatehouse.backend", &attempt.backend_id));
    attributes.extend(attempt.status.map(|code| number("http.response.status_code", code)));
    attributes.extend(attempt.number.map(|it| number("gatehouse.attempt", it)));
    Span {
        trace_id: ids.trace.to_vec(),
        span_id: ids.id.to_vec(),
        parent_span_id: ids.parent.to_vec(),
        name: format!("{operation} {}", row.deployment_name).trim().to_owned(),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: nanos(attempt.began_at),
        end_time_unix_nano: nanos(attempt.ended_at),
        attributes,
        status: Some(status(failed, if attempt.is_told { &row.last_error_reason } else { "" })),
        ..Span::default()
    }
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
    let mut all = Vec::new();
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

//! The row of one interaction, but for what only its bodies tell.

use event::{
    Answered, BackendHealth, BackendState, Closed, Dispatched, ErrorDetail, Interaction, Json,
    Opened, Outcome, Timestamp,
};
use serde_json::{Value, json};

use crate::ended::{Ended, Tried, signed};

/// The row; what it holds is taken out of `ended`.
pub(crate) fn build(ended: &mut Ended) -> Interaction {
    let mut row = Interaction {
        correlation_id: ended.id.to_string(),
        ledger_sequence: signed(ended.sequence),
        attempts: i32::try_from(ended.attempts).unwrap_or(i32::MAX),
        ..Interaction::default()
    };
    row.backend_attempts = attempts(&ended.tried, ended.opened.received_at);
    times(&mut row, ended);
    headers(&mut row, ended);
    closed(&mut row, &ended.closed);
    if row.request_size == 0 {
        // The end that recovery writes for a crash knows no sizes; what had come is known.
        row.request_size = signed(ended.opened.head_bytes + ended.request.bytes);
    }
    opened(&mut row, std::mem::take(&mut ended.opened));
    if let Some(record) = ended.dispatched.take() {
        dispatched(&mut row, record);
    }
    if let Some(record) = ended.answered.take() {
        answered(&mut row, record);
    }
    row.request_body = std::mem::take(&mut ended.request.shown);
    row.request_body_sha256 = std::mem::take(&mut ended.request.sha256);
    row.request_body_bytes = signed(ended.request.bytes);
    row.response_body = std::mem::take(&mut ended.response.shown);
    row.response_body_sha256 = std::mem::take(&mut ended.response.sha256);
    row.response_body_bytes = signed(ended.response.bytes);
    row.is_stream_completion = ended.response.is_stream;
    row.stream_outcome = stream_outcome(ended).into();
    row
}

/// Attempts as an array; of a single one the row tells all there is.
fn attempts(tried: &[Tried], received_at: Timestamp) -> Json {
    if tried.len() < 2 {
        return Json::default();
    }
    let object = |tried: &Tried| {
        let after = (tried.sent_at.unix_micros() - received_at.unix_micros()) as f64 / 1e3;
        json!({
            "Attempt": tried.attempt,
            "BackendId": tried.backend_id,
            "SentAfter": after,
            "Status": tried.status,
        })
    };
    Json(Value::from_iter(tried.iter().map(object)).to_string())
}

/// The row of a backend's state.
pub(crate) fn backend_health(state: BackendState, sequence: u64) -> BackendHealth {
    BackendHealth {
        time_generated: state.noted_at,
        backend_id: state.backend_id,
        backend_url: state.backend_url,
        scope: state.scope,
        deployment_name: state.deployment,
        state: state.state,
        former_state: state.former_state,
        reason: state.reason,
        message: state.message,
        response_code: state.status.map(i32::from),
        failures: i64::from(state.failures),
        in_flight: i64::from(state.in_flight),
        until: state.until,
        is_periodic: state.is_periodic,
        unnoted_changes: signed(state.unnoted),
        region: state.region,
        ledger_sequence: signed(sequence),
    }
}

/// Writes all errors, and the last one into columns of its own.
pub(crate) fn errors(row: &mut Interaction, errors: &[ErrorDetail]) {
    let Some(last) = errors.last() else { return };
    row.errors = Json(Value::Array(errors.iter().map(error_object).collect()).to_string());
    row.last_error_source = last.source.clone();
    row.last_error_reason = last.reason.clone();
    row.last_error_message = last.message.clone();
    row.last_error_scope = last.scope.clone();
    row.last_error_section = last.section.clone();
    row.last_error_elapsed = Some(last.elapsed_ms);
}

fn error_object(error: &ErrorDetail) -> Value {
    json!({
        "source": error.source,
        "reason": error.reason,
        "message": error.message,
        "scope": error.scope,
        "section": error.section,
        "elapsed": error.elapsed_ms,
    })
}

fn opened(row: &mut Interaction, opened: Opened) {
    let (target, caller) = (opened.target, opened.caller);
    row.time_generated = opened.received_at;
    row.operation_id = target.operation_id;
    row.surface_operation_id = target.surface_operation_id;
    row.surface = target.surface;
    row.kind = target.kind;
    row.subkind = target.subkind;
    row.api_version = target.api_version;
    row.model_name = target.model;
    row.deployment_name = target.deployment;
    row.method = opened.method;
    row.url = opened.url;
    row.client_protocol = opened.protocol;
    row.client_tls_version = opened.tls_version;
    row.client_certificate_subject = caller.certificate_subject;
    row.caller_ip_address = caller.caller_ip;
    row.peer_ip_address = caller.peer_ip;
    row.peer_port = i32::from(caller.peer_port);
    row.forwarded_for = caller.forwarded_for;
    row.region = opened.region;
    row.product_id = opened.product_id;
    row.apim_subscription_id = opened.subscription_id;
    row.user_id = opened.user_id;
    row.caller_application_id = opened.application_id;
    row.caller_tenant_id = opened.tenant_id;
    if !opened.groups.is_empty() {
        row.caller_groups = Json(json!(opened.groups).to_string());
    }
}

/// All four lists; those that are told as changes of another are put together.
fn headers(row: &mut Interaction, ended: &Ended) {
    let asked = ended.opened.headers.read();
    row.user_agent = asked.first("user-agent").unwrap_or_default().into_owned();
    row.request_headers = asked.object();
    if let Some(dispatched) = &ended.dispatched {
        let sent = dispatched.headers.read().over(&asked, dispatched.dropped_headers.as_deref());
        row.backend_request_headers = sent.object();
    }
    let answered = ended.answered.as_ref().map(|answered| answered.headers.read());
    let answered = answered.unwrap_or_default();
    row.backend_response_headers = answered.object();
    let closed = &ended.closed;
    let told = closed.headers.read().over(&answered, closed.dropped_headers.as_deref());
    row.response_headers = told.object();
}

fn closed(row: &mut Interaction, closed: &Closed) {
    row.closed_at = closed.closed_at;
    row.outcome = closed.outcome.name().into();
    row.response_code = i32::from(closed.status);
    // 101: a WebSocket session began.
    row.is_request_success = (200..400).contains(&closed.status) || closed.status == 101;
    row.request_size = signed(closed.request_bytes);
    row.response_size = signed(closed.response_bytes);
    row.time_to_first_byte = closed.first_byte_ms;
    row.gateway_overhead = closed.overhead_micros as f64 / 1_000.0;
    row.chunk_gap_max = closed.chunk_gap_ms_max;
    row.chunks = signed(closed.chunks);
}

/// Backend and client time and that to the first token are parts of the total: rounding and overlap never
/// make them more.
fn times(row: &mut Interaction, ended: &Ended) {
    let received_at = ended.opened.received_at;
    let last_seen_at = match ended.closed.outcome {
        // Recovery closes it when the gateway is up again; it ended when it was last heard of.
        Outcome::Interrupted => {
            let sent_at = ended.dispatched.as_ref().map(|record| record.sent_at);
            let answered_at = ended.answered.as_ref().map(|record| record.answered_at);
            answered_at.max(sent_at).max(ended.first_output_at).unwrap_or(received_at)
        }
        _ => ended.closed.closed_at,
    };
    row.total_time = last_seen_at.millis_since(received_at);
    row.backend_time = ended.closed.backend_ms.clamp(0, row.total_time);
    row.client_time = row.total_time - row.backend_time;
    // Commits are dated a little late: the time stays between that of the first byte and of the last.
    let least = ended.closed.first_byte_ms.unwrap_or(0).min(row.total_time);
    let first_output = ended.first_output_at.filter(|_| ended.response.is_stream);
    row.time_to_first_token =
        first_output.map(|at| at.millis_since(received_at).clamp(least, row.total_time));
}

fn dispatched(row: &mut Interaction, dispatched: Dispatched) {
    row.backend_id = dispatched.backend_id;
    row.backend_method = dispatched.method;
    row.backend_url = dispatched.url;
    row.backend_request_changes = dispatched.body_changes.join(" ");
}

fn answered(row: &mut Interaction, answered: Answered) {
    row.backend_protocol = answered.protocol;
    row.backend_response_code = Some(i32::from(answered.status));
}

fn stream_outcome(ended: &Ended) -> &'static str {
    if !ended.response.is_stream {
        return "";
    }
    let ended_in_error = ended
        .response
        .stream
        .as_ref()
        .is_some_and(|stream| stream.terminated == openai::Terminated::Error);
    match ended.closed.outcome {
        Outcome::Complete if ended_in_error => "backend_abort",
        Outcome::Complete => "complete",
        Outcome::ClientGone => "client_abort",
        Outcome::BackendFailed => "backend_abort",
        Outcome::GatewayFailed | Outcome::Interrupted | Outcome::Refused => "gateway_abort",
    }
}

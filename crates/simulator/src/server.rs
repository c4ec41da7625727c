//! From a request's head to its answer: read, check, do, dress.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::call::{Call, Reply};
use crate::config::LatencyModel;
use crate::dialect::Dialect;
use crate::entry::{authenticate, call, text};
use crate::failure::Failure;
use crate::fault::{Fault, Faults};
use crate::headers;
use crate::instance::Instance;
use crate::operations;
use crate::payload::{self, Payload, Room};
use crate::route::{self, Table};
use crate::script::{Script, ScriptBody};
use crate::websocket;

/// Answers one request.
pub(crate) async fn answer(
    instance: Arc<Instance>,
    mut request: Request<Incoming>,
) -> Result<Response<ScriptBody>, io::Error> {
    let sequence = instance.journal.begin();
    let upgrade = websocket::is_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let content_type = text(&head.headers, &header::CONTENT_TYPE);
    let room = Room {
        json_bytes_max: instance.config.json_body_bytes_max,
        file_bytes_kept_max: instance.config.file_bytes_kept_max,
    };
    let read = payload::read(content_type, body, instance.journal.tally(), room).await;
    instance.journal.keep(sequence, &head, read.tally, read.complete);
    if !read.complete {
        return Err(io::Error::other("the request broke off"));
    }
    let faults = Faults::read(
        head.headers.get("x-sim-fault").and_then(|value| value.to_str().ok()),
        instance.fault.borrow().as_ref(),
    );
    let (faults, bad_fault) = match faults {
        Ok(faults) => (faults, None),
        Err(error) => {
            (Faults::default(), Some(Failure::bad_request(error.to_string()).param("x-sim-fault")))
        }
    };
    let done = match (bad_fault, upgrade) {
        (Some(failure), _) => Err(failure),
        (None, Some(upgrade)) => websocket::accept(&instance, &head, upgrade, &faults),
        (None, None) => perform(&instance, &head, read.payload, read.triggers, &faults),
    };
    let dialect = Table::dialect(head.uri.path());
    let reply = match done {
        Ok(reply) => reply,
        Err(failure) if failure.reset => {
            return Err(io::Error::other("reset by a simulated fault"));
        }
        Err(failure) => refuse(&failure, dialect),
    };
    Ok(dress(&instance, &head, reply, &faults, dialect).await)
}

fn perform(
    instance: &Instance,
    head: &http::request::Parts,
    payload: Result<Payload, Failure>,
    triggers: bool,
    faults: &Faults,
) -> Result<Reply, Failure> {
    if faults.has(&Fault::ResetBeforeHead) {
        return Err(Failure::reset());
    }
    if let Some((status, retry_after)) = faults.status() {
        return Err(Failure::of_status(status, retry_after));
    }
    let path = head.uri.path();
    if path == "/status" {
        let script = Script::bytes(&b"{\"status\":\"ok\"}"[..]);
        return Ok(Reply::new("application/json", script));
    }
    let query = route::query(head.uri.query().unwrap_or_default());
    let route = instance.table.route(&head.method, path, &query)?;
    authenticate(instance, &head.headers, &route)?;
    let call = call(instance, head, (head.method.clone(), route, query), faults);
    operations::perform(&Call { payload: payload?, triggers, ..call })
}

fn refuse(failure: &Failure, dialect: Dialect) -> Reply {
    let mut reply = Reply::json(&failure.body(dialect)).status(failure.status);
    if let Some(wait) = failure.retry_after {
        reply = reply
            .header("retry-after", &wait.as_millis().div_ceil(1000).to_string())
            .header("retry-after-ms", &wait.as_millis().to_string());
        if failure.status == StatusCode::TOO_MANY_REQUESTS {
            let reset = headers::reset_text(dialect, wait);
            reply = reply
                .header("x-ratelimit-reset-requests", &reset)
                .header("x-ratelimit-reset-tokens", &reset);
        }
    }
    reply
}

/// Waits as long as the model would, adds the headers, and starts the body.
async fn dress(
    instance: &Instance,
    head: &http::request::Parts,
    mut reply: Reply,
    faults: &Faults,
    dialect: Dialect,
) -> Response<ScriptBody> {
    let draw = instance.draw();
    let model_wait = if reply.model.is_some() {
        model_wait(&instance.config.latency, draw, reply.tokens_before)
    } else {
        Duration::ZERO
    };
    let wait = model_wait + faults.slow_head().unwrap_or_default();
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let Some(used) = reply.used.take() {
        instance.book.add(used);
    }
    let streams = reply.content_type.starts_with("text/event-stream");
    if streams && faults.has(&Fault::MalformedSse) {
        reply.script.spoil_events();
    }
    if streams && faults.has(&Fault::MidStreamError) {
        reply.script.end_with_error(&Failure::of_status(500, None).body(Dialect::OpenAi));
    }
    let mut map = headers::of(instance, head, &reply, dialect, (draw, model_wait));
    if !reply.content_type.is_empty() {
        map.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    for (name, value) in reply.headers {
        map.insert(name, value);
    }
    let body = ScriptBody::new(reply.script, faults, instance.config.latency, draw);
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = map;
    response
}

fn model_wait(latency: &LatencyModel, draw: u64, tokens: u64) -> Duration {
    let each = latency.per_token(draw);
    latency.first_byte(draw)
        + each
            .saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX))
            .min(Duration::from_secs(3600))
}

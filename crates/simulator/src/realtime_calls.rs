//! Realtime calls: made by an offer of WebRTC, then accepted, refused, passed on or ended. No sound flows: the answer
//! to an offer names no way by which it could.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::models::{self, Task};
use crate::payload::Payload;
use crate::script::Script;
use crate::store::{Kind, Object};

/// `realtime/calls...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    if call.method != Method::POST {
        return Err(call.unknown());
    }
    match rest {
        [] => open(call),
        [id, "accept"] => {
            models::serve(call, Some(call.need_text("model")?), Task::Realtime)?;
            let session = call.body().clone();
            call.instance.store.with(Kind::RealtimeCall, id, |kept| kept.value = session)?;
            Ok(done())
        }
        [id, "refer"] => {
            call.need_text("target_uri")?;
            end(call, id)
        }
        [id, "reject" | "hangup"] => end(call, id),
        _ => Err(call.unknown()),
    }
}

/// By a form of `sdp` and `session`, or by the bare offer of who holds a short-lived secret.
fn open(call: &Call<'_>) -> Result<Reply, Failure> {
    let (offer, session) = match &call.payload {
        Payload::Form(form) => (
            form.field("sdp").unwrap_or_default(),
            form.field("session").and_then(|text| serde_json::from_str(text).ok()),
        ),
        Payload::Text(text) => (text.as_str(), None),
        _ => ("", None),
    };
    if !offer.starts_with("v=0") {
        return Err(Failure::invalid("sdp", "expected an offer of SDP"));
    }
    let session: Value = session.unwrap_or_else(|| json!({}));
    if let Some(model) = session["model"].as_str() {
        models::serve(call, Some(model), Task::Realtime)?;
    }
    let id = call.id(Kind::RealtimeCall);
    call.keep(Kind::RealtimeCall, &id, Object::new(session));
    let answer = format!("v=0\r\no=- {} 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", call.now);
    let place = format!("/{}/{id}", call.route.segments.join("/"));
    let reply = Reply::new("application/sdp", Script::bytes(answer.into_bytes()));
    Ok(reply.status(StatusCode::CREATED).header("location", &place))
}

fn end(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.instance.store.remove(Kind::RealtimeCall, id)?;
    Ok(done())
}

/// An answer without a body.
fn done() -> Reply {
    Reply::new("", Script::default())
}

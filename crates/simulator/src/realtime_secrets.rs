//! Short-lived secrets with which a browser opens a realtime session by itself.

use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::failure::Failure;
use crate::models::{self, Task};

/// How long a secret lives if the request does not say, in seconds.
const LIFE_SECONDS: i64 = 600;

/// `POST realtime/client_secrets`, `realtime/translations/client_secrets`, `realtime/sessions`,
/// `realtime/transcription_sessions`, and the last two below `realtimeapi`.
pub(crate) fn create(call: &Call<'_>, kind: &str) -> Result<Reply, Failure> {
    let asked = call.field("session").unwrap_or(call.body());
    let model = asked.get("model").and_then(Value::as_str);
    let life = call.body().pointer("/expires_after/seconds").and_then(Value::as_i64);
    let life = life.unwrap_or(LIFE_SECONDS);
    if !(10..=7_200).contains(&life) {
        return Err(Failure::invalid("expires_after.seconds", "expected 10 to 7200"));
    }
    let expires_at = call.now + life;
    let value = call.instance.id("ek_");
    let mut session = asked.as_object().cloned().unwrap_or_default();
    session.remove("expires_after");
    session.insert("id".into(), json!(call.instance.id("sess_")));
    let is_transcription = kind == "transcription_sessions" || asked["type"] == "transcription";
    if is_transcription {
        session.insert("object".into(), json!("realtime.transcription_session"));
    } else {
        let deployment = models::serve(call, model, Task::Realtime)?;
        session.insert("object".into(), json!("realtime.session"));
        session.insert("model".into(), json!(model_label(&deployment)));
    }
    match kind {
        "client_secrets" => {
            Ok(Reply::json(&json!({"value": value, "expires_at": expires_at, "session": session})))
        }
        "sessions" | "transcription_sessions" => {
            let secret = json!({"value": value, "expires_at": expires_at});
            session.insert("client_secret".into(), secret);
            Ok(Reply::json(&Value::Object(session)))
        }
        _ => Err(call.unknown()),
    }
}

//! Voices that are made of a recording, and the consents of those who speak in it.

use http::Method;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};

/// `audio/voices` and `audio/voice_consents...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, ["voices"]) => {
            let form = call.form()?;
            let name = form.field("name").ok_or_else(|| Failure::missing("name"))?;
            let consent = form.field("consent").ok_or_else(|| Failure::missing("consent"))?;
            form.file("audio_sample").ok_or_else(|| Failure::missing("audio_sample"))?;
            store.get(Kind::VoiceConsent, consent)?;
            let id = call.id(Kind::Voice);
            let value =
                json!({"id": id, "object": "audio.voice", "name": name, "created_at": call.now});
            call.keep(Kind::Voice, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::POST, ["voice_consents"]) => {
            let form = call.form()?;
            let name = form.field("name").ok_or_else(|| Failure::missing("name"))?;
            let language = form.field("language").ok_or_else(|| Failure::missing("language"))?;
            form.file("recording").ok_or_else(|| Failure::missing("recording"))?;
            let id = call.id(Kind::VoiceConsent);
            let value = json!({"id": id, "object": "audio.voice_consent", "name": name, "language": language, "created_at": call.now});
            call.keep(Kind::VoiceConsent, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::GET, ["voice_consents"]) => page(call, store.list(Kind::VoiceConsent, None)),
        (&Method::GET, ["voice_consents", id]) => {
            Ok(Reply::json(&store.get(Kind::VoiceConsent, id)?.value))
        }
        (&Method::POST, ["voice_consents", id]) => {
            let name = call.need_text("name")?;
            let value = store.with(Kind::VoiceConsent, id, |object| {
                object.value["name"] = json!(name);
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, ["voice_consents", id]) => {
            store.remove(Kind::VoiceConsent, id)?;
            Ok(Reply::deleted(id, "audio.voice_consent"))
        }
        _ => Err(call.unknown()),
    }
}

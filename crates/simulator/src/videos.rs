//! Videos: queued, in progress at the first look, completed at the second. Characters are made at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::script::Script;
use crate::store::{Kind, Object};

/// The head of an MP4 file with nothing in it.
const EMPTY_MP4: &str = "AAAAGGZ0eXBpc29tAAAAAGlzb21tcDQyAAAACG1kYXQ=";

/// `videos...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => create(call, None),
        (&Method::POST, ["edits" | "extensions"]) => {
            let source = source(call)?;
            create(call, Some(&source))
        }
        (&Method::POST, ["characters"]) => character(call),
        (&Method::GET, ["characters", id]) => {
            Ok(Reply::json(&store.get(Kind::VideoCharacter, id)?.value))
        }
        (&Method::POST, [id, "remix"]) => create(call, Some(id)),
        (&Method::GET, []) => page(call, store.list(Kind::Video, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&store.with(Kind::Video, id, |object| {
            move_on(&mut object.value, call.now);
            object.value.clone()
        })?)),
        (&Method::GET, [id, "content"]) => {
            if store.get(Kind::Video, id)?.value["status"] != "completed" {
                return Err(Failure::conflict("Video is not ready yet."));
            }
            let bytes = STANDARD.decode(EMPTY_MP4).unwrap_or_default();
            Ok(Reply::new("video/mp4", Script::bytes(bytes)))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Video, id)?;
            Ok(Reply::deleted(id, "video.deleted"))
        }
        _ => Err(call.unknown()),
    }
}

/// `POST video/generations/jobs` of the v1 preview.
pub(crate) fn job(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = call.id(Kind::Video);
    let prompt = field(call, "prompt").ok_or_else(|| Failure::missing("prompt"))?;
    let model = field(call, "model").ok_or_else(|| Failure::missing("model"))?;
    let value = json!({"object": "video.generation.job", "id": id, "status": "queued", "created_at": call.now, "finished_at": null, "expires_at": null, "generations": [], "prompt": prompt, "model": model, "n_variants": 1, "n_seconds": 5, "width": 480, "height": 480, "failure_reason": null});
    call.keep(Kind::Video, &id, Object::new(value.clone()));
    Ok(Reply::json(&value))
}

/// A new video, or one that is made of another.
fn create(call: &Call<'_>, from: Option<&str>) -> Result<Reply, Failure> {
    let former = from.map(|id| call.instance.store.get(Kind::Video, id)).transpose()?;
    let prompt = field(call, "prompt").ok_or_else(|| Failure::missing("prompt"))?;
    let setting = |name: &str, usual: &str| {
        let former = || Some(former.as_ref()?.value[name].as_str()?.to_owned());
        field(call, name).or_else(former).unwrap_or_else(|| usual.to_owned())
    };
    let id = call.id(Kind::Video);
    let value = json!({"id": id, "object": "video", "created_at": call.now, "status": "queued", "model": setting("model", "sora-2"), "progress": 0, "prompt": prompt, "seconds": setting("seconds", "4"), "size": setting("size", "720x1280"), "completed_at": null, "expires_at": null, "error": null, "remixed_from_video_id": from});
    call.keep(Kind::Video, &id, Object::new(value.clone()));
    Ok(Reply::json(&value))
}

fn character(call: &Call<'_>) -> Result<Reply, Failure> {
    let name = field(call, "name").ok_or_else(|| Failure::missing("name"))?;
    call.form()?.file("video").ok_or_else(|| Failure::missing("video"))?;
    let id = call.id(Kind::VideoCharacter);
    let value = json!({"id": id, "created_at": call.now, "name": name});
    call.keep(Kind::VideoCharacter, &id, Object::new(value.clone()));
    Ok(Reply::json(&value))
}

fn move_on(video: &mut Value, now: i64) {
    let (status, progress) = match video["status"].as_str().unwrap_or_default() {
        "queued" => ("in_progress", 50),
        _ => ("completed", 100),
    };
    video["status"] = json!(status);
    video["progress"] = json!(progress);
    if status == "completed" {
        video["completed_at"] = json!(now);
    }
}

/// A field of the form or of the JSON body.
fn field(call: &Call<'_>, name: &str) -> Option<String> {
    match call.form() {
        Ok(form) => form.field(name).map(str::to_owned),
        Err(_) => call.text(name).map(str::to_owned),
    }
}

/// The video that is edited or extended: `{"video": {"id"}}`.
fn source(call: &Call<'_>) -> Result<String, Failure> {
    let id = call.field("video").and_then(|video| video["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| Failure::missing("video"))
}

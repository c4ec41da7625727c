//! Files: upload, list, read, delete.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::paging::{FILES_LIMIT_MAX, page_of};
use crate::script::Script;
use crate::store::{Kind, Object};

/// Purposes a caller may give.
const PURPOSES: [&str; 9] = [
    "fine-tune",
    "fine-tune-results",
    "assistants",
    "assistants_output",
    "batch",
    "batch_output",
    "evals",
    "vision",
    "user_data",
];

/// A file to be kept.
pub(crate) struct NewFile {
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) content: Option<Bytes>,
}

/// `files...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => upload(call),
        (&Method::POST, ["import"]) if call.dialect() == Dialect::AzureDated => import(call),
        (&Method::GET, []) => {
            let purpose = call.query("purpose");
            let values = store.list(Kind::File, None).into_iter().map(|object| object.value);
            let values = values
                .filter(|value| purpose.is_none_or(|purpose| value["purpose"] == purpose))
                .collect();
            page_of(call, values, (FILES_LIMIT_MAX, FILES_LIMIT_MAX), "desc")
        }
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::File, id)?.value)),
        (&Method::DELETE, [id]) => {
            store.remove(Kind::File, id)?;
            Ok(Reply::deleted(id, "file"))
        }
        (&Method::GET, [id, "content"]) => content(&store.get(Kind::File, id)?),
        _ => Err(call.unknown()),
    }
}

/// The bytes of a file, or why they are not here.
pub(crate) fn content(object: &Object) -> Result<Reply, Failure> {
    match &object.content {
        Some(content) => Ok(Reply::new("application/octet-stream", Script::bytes(content.clone()))),
        None => Err(not_kept(object)),
    }
}

fn not_kept(object: &Object) -> Failure {
    let message = format!(
        "The simulator kept only size ({} bytes) and SHA-256 ({}) of this file: its content is above the limit",
        object.value["bytes"],
        object.hidden["sha256"].as_str().unwrap_or_default()
    );
    Failure::conflict(message).with_code("sim_content_not_kept")
}

/// Content that an operation needs.
pub(crate) fn need_content(call: &Call<'_>, id: &str) -> Result<Bytes, Failure> {
    let object = call.instance.store.get(Kind::File, id)?;
    object.content.clone().ok_or_else(|| not_kept(&object))
}

fn upload(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = call.form()?;
    let purpose = form.field("purpose").ok_or_else(|| Failure::missing("purpose"))?;
    if !PURPOSES.contains(&purpose) {
        let message = format!("'{purpose}' is not one of {PURPOSES:?} - 'purpose'");
        return Err(Failure::bad_request(message).param("purpose"));
    }
    let file = form.file("file").ok_or_else(|| Failure::missing("file"))?;
    let new = NewFile {
        name: file.name.clone(),
        purpose: purpose.to_owned(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        content: file.content.clone(),
    };
    Ok(created(call, &keep(call, new)))
}

/// Azure answers 201 and a place to look; OpenAI 200.
pub(crate) fn created(call: &Call<'_>, value: &Value) -> Reply {
    let reply = Reply::json(value);
    if call.dialect() != Dialect::AzureDated {
        return reply;
    }
    let id = value["id"].as_str().unwrap_or_default();
    let place = format!(
        "https://{}/openai/{}/{id}?api-version={}",
        call.host,
        call.route.segments.join("/"),
        call.route.version
    );
    reply.status(StatusCode::CREATED).header("location", &place)
}

fn import(call: &Call<'_>) -> Result<Reply, Failure> {
    call.need_text("content_url")?;
    let new = NewFile {
        name: call.need_text("filename")?.to_owned(),
        purpose: call.need_text("purpose")?.to_owned(),
        bytes: 0,
        sha256: String::new(),
        content: None,
    };
    Ok(created(call, &keep(call, new)))
}

/// Keeps a file under a new id; what the API shows of it.
pub(crate) fn keep(call: &Call<'_>, file: NewFile) -> Value {
    let id = call.id(Kind::File);
    let mut value = json!({
        "id": id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": call.now,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    });
    if call.dialect() == Dialect::OpenAi {
        value["expires_at"] = Value::Null;
        value["status_details"] = Value::Null;
    }
    let object =
        Object::new(value.clone()).hiding(json!({"sha256": file.sha256})).holding(file.content);
    call.keep(Kind::File, &id, object);
    value
}

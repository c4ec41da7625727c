//! Files in parts.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::files::{self, NewFile};
use crate::store::{Kind, Object};

/// Largest file that may be announced.
const UPLOAD_BYTES_MAX: u64 = 9_663_676_416;
/// How long an upload stays open.
const EXPIRES_AFTER_S: i64 = 7200;
/// Most parts in one upload.
const PARTS_MAX: usize = 10_000;

/// `uploads...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    match (&call.method, rest) {
        (&Method::POST, []) => start(call),
        (&Method::POST, [id, "parts"]) => part(call, id),
        (&Method::POST, [id, "complete"]) => complete(call, id),
        (&Method::POST, [id, "cancel"]) => {
            pending(call, id)?;
            let value = call.instance.store.with(Kind::Upload, id, |object| {
                object.value["status"] = json!("cancelled");
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        _ => Err(call.unknown()),
    }
}

fn start(call: &Call<'_>) -> Result<Reply, Failure> {
    let bytes =
        call.number("bytes", 1, UPLOAD_BYTES_MAX)?.ok_or_else(|| Failure::missing("bytes"))?;
    let id = call.id(Kind::Upload);
    let value = json!({
        "id": id,
        "object": "upload",
        "bytes": bytes,
        "created_at": call.now,
        "filename": call.need_text("filename")?,
        "purpose": call.need_text("purpose")?,
        "mime_type": call.need_text("mime_type")?,
        "status": "pending",
        "expires_at": call.now + EXPIRES_AFTER_S,
        "file": null,
    });
    call.keep(Kind::Upload, &id, Object::new(value.clone()));
    Ok(files::created(call, &value))
}

fn pending(call: &Call<'_>, id: &str) -> Result<Value, Failure> {
    let upload = call.instance.store.get(Kind::Upload, id)?.value;
    if upload["status"] != "pending" {
        return Err(Failure::conflict(format!(
            "Upload '{id}' is {} and can no longer be changed.",
            upload["status"]
        )));
    }
    Ok(upload)
}

fn part(call: &Call<'_>, upload: &str) -> Result<Reply, Failure> {
    pending(call, upload)?;
    if call.instance.store.list(Kind::UploadPart, Some(upload)).len() >= PARTS_MAX {
        return Err(Failure::conflict("too many parts"));
    }
    let data = call.form()?.file("data").ok_or_else(|| Failure::missing("data"))?;
    let id = call.id(Kind::UploadPart);
    let value =
        json!({"id": id, "object": "upload.part", "created_at": call.now, "upload_id": upload});
    let hidden = json!({"bytes": data.bytes, "sha256": data.sha256});
    call.keep(
        Kind::UploadPart,
        &id,
        Object::new(value.clone()).under(upload).hiding(hidden).holding(data.content.clone()),
    );
    Ok(files::created(call, &value))
}

fn complete(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    let upload = pending(call, id)?;
    let ids = call
        .field("part_ids")
        .and_then(Value::as_array)
        .ok_or_else(|| Failure::missing("part_ids"))?;
    let store = &call.instance.store;
    let mut bytes = 0;
    let mut hasher = Sha256::new();
    let mut content = Some(Vec::new());
    for part in ids {
        let part = store.get_under(Kind::UploadPart, id, part.as_str().unwrap_or_default())?;
        bytes += part.hidden["bytes"].as_u64().unwrap_or_default();
        match part.content {
            Some(data) => {
                hasher.update(&data);
                if let Some(content) = &mut content {
                    content.extend_from_slice(&data);
                }
            }
            None => content = None,
        }
        let room = call.instance.config.file_bytes_kept_max;
        if content.as_ref().is_some_and(|content| content.len() as u64 > room) {
            content = None;
        }
    }
    if Some(bytes) != upload["bytes"].as_u64() {
        return Err(Failure::conflict(format!(
            "Expected {} bytes in all parts, got {bytes}.",
            upload["bytes"]
        )));
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let sha256 = if content.is_some() {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    } else {
        String::new()
    };
    let file = files::keep(
        call,
        NewFile {
            name: upload["filename"].as_str().unwrap_or_default().to_owned(),
            purpose: upload["purpose"].as_str().unwrap_or_default().to_owned(),
            bytes,
            sha256,
            content: content.map(Bytes::from),
        },
    );
    for part in ids {
        store.remove(Kind::UploadPart, part.as_str().unwrap_or_default())?;
    }
    let value = store.with(Kind::Upload, id, |object| {
        object.value["status"] = json!("completed");
        object.value["file"] = file;
        object.value.clone()
    })?;
    Ok(Reply::json(&value))
}

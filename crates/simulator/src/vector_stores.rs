//! Vector stores: their files, batches of files, and searching in them.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};
use crate::text::{hash, mix};

/// Most files in one batch.
const BATCH_FILES_MAX: usize = 500;
/// Longest chunk a search shows.
const CHUNK_CHARS: usize = 800;

/// `vector_stores...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => page(call, store.list(Kind::VectorStore, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&shown(call, id)?)),
        (&Method::POST, [id]) => {
            store.with(Kind::VectorStore, id, |object| {
                for name in ["name", "metadata", "expires_after"] {
                    if let Some(value) = call.field(name) {
                        object.value[name] = value.clone();
                    }
                }
            })?;
            Ok(Reply::json(&shown(call, id)?))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::VectorStore, id)?;
            Ok(Reply::deleted(id, "vector_store.deleted"))
        }
        (method, [id, "files", rest @ ..]) => {
            store.get(Kind::VectorStore, id)?;
            files(call, method, id, rest)
        }
        (method, [id, "file_batches", rest @ ..]) => {
            store.get(Kind::VectorStore, id)?;
            batches(call, method, id, rest)
        }
        (&Method::POST, [id, "search"]) => search(call, id),
        _ => Err(call.unknown()),
    }
}

fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = call.id(Kind::VectorStore);
    let value = json!({
        "id": id,
        "object": "vector_store",
        "created_at": call.now,
        "name": call.text("name"),
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_after": call.field("expires_after"),
        "expires_at": null,
        "last_active_at": call.now,
        "metadata": call.field("metadata").cloned().unwrap_or_else(|| json!({})),
    });
    let files = file_ids(call)?;
    call.keep(Kind::VectorStore, &id, Object::new(value));
    for file in files {
        attach(call, &id, &file, None)?;
    }
    Ok(Reply::json(&shown(call, &id)?))
}

fn file_ids(call: &Call<'_>) -> Result<Vec<String>, Failure> {
    let given = call.field("file_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    if given.len() > BATCH_FILES_MAX {
        return Err(Failure::invalid("file_ids", "expected at most 500"));
    }
    let ids: Vec<String> = given.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    for id in &ids {
        call.instance.store.get(Kind::File, id)?;
    }
    Ok(ids)
}

/// With its counts as they are now.
fn shown(call: &Call<'_>, id: &str) -> Result<Value, Failure> {
    let mut value = call.instance.store.get(Kind::VectorStore, id)?.value;
    let files = call.instance.store.list(Kind::VectorStoreFile, Some(id));
    let bytes: u64 = files.iter().filter_map(|file| file.value["usage_bytes"].as_u64()).sum();
    value["usage_bytes"] = json!(bytes);
    value["file_counts"]["completed"] = json!(files.len());
    value["file_counts"]["total"] = json!(files.len());
    Ok(value)
}

/// The same file may lie in several stores.
fn key(store: &str, file: &str) -> String {
    format!("{store}/{file}")
}

fn attach(call: &Call<'_>, store: &str, file: &str, batch: Option<&str>) -> Result<Value, Failure> {
    let object = call.instance.store.get(Kind::File, file)?;
    let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}});
    let value = json!({
        "id": file,
        "object": "vector_store.file",
        "usage_bytes": object.value["bytes"],
        "created_at": call.now,
        "vector_store_id": store,
        "status": "completed",
        "last_error": null,
        "chunking_strategy": strategy,
        "attributes": call.field("attributes").cloned().unwrap_or_else(|| json!({})),
    });
    let kept = Object::new(value.clone()).under(store).hiding(json!({"batch": batch}));
    call.keep(Kind::VectorStoreFile, &key(store, file), kept);
    Ok(value)
}

fn files(
    call: &Call<'_>,
    method: &Method,
    store_id: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (method, rest) {
        (&Method::POST, []) => {
            Ok(Reply::json(&attach(call, store_id, call.need_text("file_id")?, None)?))
        }
        (&Method::GET, []) => page(call, store.list(Kind::VectorStoreFile, Some(store_id))),
        (&Method::GET, [id]) => Ok(Reply::json(
            &store
                .get(Kind::VectorStoreFile, &key(store_id, id))
                .map_err(|_| Kind::VectorStoreFile.missing(id))?
                .value,
        )),
        (&Method::POST, [id]) => {
            let attributes =
                call.field("attributes").cloned().ok_or_else(|| Failure::missing("attributes"))?;
            let value = store.with(Kind::VectorStoreFile, &key(store_id, id), |object| {
                object.value["attributes"] = attributes;
                object.value.clone()
            });
            Ok(Reply::json(&value.map_err(|_| Kind::VectorStoreFile.missing(id))?))
        }
        (&Method::DELETE, [id]) => {
            store
                .remove(Kind::VectorStoreFile, &key(store_id, id))
                .map_err(|_| Kind::VectorStoreFile.missing(id))?;
            Ok(Reply::deleted(id, "vector_store.file.deleted"))
        }
        (&Method::GET, [id, "content"]) => {
            store
                .get(Kind::VectorStoreFile, &key(store_id, id))
                .map_err(|_| Kind::VectorStoreFile.missing(id))?;
            let text = text_of(call, id);
            let data = json!([{"type": "text", "text": text}]);
            Ok(Reply::json(
                &json!({"object": "vector_store.file_content.page", "data": data, "has_more": false, "next_page": null}),
            ))
        }
        _ => Err(call.unknown()),
    }
}

fn text_of(call: &Call<'_>, file: &str) -> String {
    let content = call.instance.store.get(Kind::File, file).ok().and_then(|object| object.content);
    content.map(|content| String::from_utf8_lossy(&content).into_owned()).unwrap_or_default()
}

fn batches(
    call: &Call<'_>,
    method: &Method,
    store_id: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (method, rest) {
        (&Method::POST, []) => {
            let files = file_ids(call)?;
            if files.is_empty() {
                return Err(Failure::missing("file_ids"));
            }
            let id = call.id(Kind::VectorStoreBatch);
            for file in &files {
                attach(call, store_id, file, Some(&id))?;
            }
            let counts = json!({"in_progress": files.len(), "completed": 0, "failed": 0, "cancelled": 0, "total": files.len()});
            let value = json!({"id": id, "object": "vector_store.files_batch", "created_at": call.now, "vector_store_id": store_id, "status": "in_progress", "file_counts": counts});
            call.keep(Kind::VectorStoreBatch, &id, Object::new(value.clone()).under(store_id));
            Ok(Reply::json(&value))
        }
        (&Method::GET, [id]) => {
            store.get_under(Kind::VectorStoreBatch, store_id, id)?;
            let value = store.with(Kind::VectorStoreBatch, id, |object| {
                if object.value["status"] == "in_progress" {
                    object.value["status"] = json!("completed");
                    object.value["file_counts"]["completed"] =
                        object.value["file_counts"]["total"].clone();
                    object.value["file_counts"]["in_progress"] = json!(0);
                }
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::POST, [id, "cancel"]) => {
            store.get_under(Kind::VectorStoreBatch, store_id, id)?;
            let value = store.with(Kind::VectorStoreBatch, id, |object| {
                if object.value["status"] == "in_progress" {
                    object.value["status"] = json!("cancelled");
                }
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::GET, [id, "files"]) => {
            store.get_under(Kind::VectorStoreBatch, store_id, id)?;
            let mut files = store.list(Kind::VectorStoreFile, Some(store_id));
            files.retain(|file| file.hidden["batch"] == *id);
            page(call, files)
        }
        _ => Err(call.unknown()),
    }
}

/// The start of every file, with a score that depends on the query.
fn search(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.instance.store.get(Kind::VectorStore, id)?;
    let query = match call.field("query") {
        Some(Value::String(query)) => json!([query]),
        Some(Value::Array(queries)) if !queries.is_empty() => json!(queries),
        _ => return Err(Failure::missing("query")),
    };
    let max = call.number("max_num_results", 1, 50)?.unwrap_or(10);
    let seed = hash(call.instance.config.seed, query.to_string().as_bytes());
    let mut found: Vec<(u64, Value)> = call
        .instance
        .store
        .list(Kind::VectorStoreFile, Some(id))
        .into_iter()
        .map(|object| {
            let file = object.value["id"].as_str().unwrap_or_default().to_owned();
            let score = mix(seed, hash(0, file.as_bytes())) % 1000;
            let name = call
                .instance
                .store
                .get(Kind::File, &file)
                .map_or(Value::Null, |file| file.value["filename"].clone());
            let text: String = text_of(call, &file).chars().take(CHUNK_CHARS).collect();
            let value = json!({
                "file_id": file,
                "filename": name,
                "score": score as f64 / 1000.0,
                "attributes": object.value["attributes"],
                "content": [{"type": "text", "text": text}],
            });
            (score, value)
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let data: Vec<Value> = found
        .into_iter()
        .map(|(_, value)| value)
        .take(usize::try_from(max).unwrap_or(50))
        .collect();
    Ok(Reply::json(&json!({
        "object": "vector_store.search_results.page",
        "search_query": query,
        "data": data,
        "has_more": false,
        "next_page": null,
    })))
}

//! The smaller families: stored completions, moderations, provenance, containers, evals.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::embeddings;
use crate::failure::Failure;
use crate::files;
use crate::models::{self, Task};
use crate::paging::{page, page_of};
use crate::store::{Kind, Object};
use crate::text::hash;

/// `chat/completions/{id}...` and the list of stored completions.
pub(crate) fn stored(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let mut list = store.list(Kind::Completion, None);
            if let Some(model) = call.query("model") {
                list.retain(|object| object.value["model"] == model);
            }
            let values = list.into_iter().map(|object| object.value).collect();
            page_of(call, values, (20, 100), "asc")
        }
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Completion, id)?.value)),
        (&Method::POST, [id]) => {
            let metadata =
                call.field("metadata").cloned().ok_or_else(|| Failure::missing("metadata"))?;
            let value = store.with(Kind::Completion, id, |object| {
                object.value["metadata"] = metadata;
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Completion, id)?;
            Ok(Reply::deleted(id, "chat.completion.deleted"))
        }
        (&Method::GET, [id, "messages"]) => {
            let messages =
                store.get(Kind::Completion, id)?.hidden.as_array().cloned().unwrap_or_default();
            page_of(call, messages, (20, 100), "asc")
        }
        _ => Err(call.unknown()),
    }
}

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "sexual",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm/intent",
    "self-harm/instructions",
    "self-harm",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// `POST moderations`: only the trigger `SIM-FILTER-PROMPT` is flagged.
pub(crate) fn moderate(call: &Call<'_>) -> Result<Reply, Failure> {
    let inputs = match call.field("input").ok_or_else(|| Failure::missing("input"))? {
        Value::Array(items) if items.iter().any(Value::is_string) => items.clone(),
        other => vec![other.clone()],
    };
    let result = |input: &Value| {
        let flagged = input.to_string().contains("SIM-FILTER-PROMPT");
        let (mut categories, mut scores, mut types) = (json!({}), json!({}), json!({}));
        for name in CATEGORIES {
            let hit = flagged && name == "violence";
            categories[name] = json!(hit);
            scores[name] = json!(if hit { 0.97 } else { 0.0001 });
            types[name] = json!(["text"]);
        }
        json!({"flagged": flagged, "categories": categories, "category_scores": scores, "category_applied_input_types": types})
    };
    let results: Vec<Value> = inputs.iter().map(result).collect();
    let model = call.text("model").unwrap_or("omni-moderation-latest");
    Ok(Reply::json(&json!({"id": call.instance.id("modr-"), "model": model, "results": results})))
}

/// `POST content_provenance_checks`: a file that carries a C2PA manifest is found by the manifest's label.
pub(crate) fn check_provenance(call: &Call<'_>) -> Result<Reply, Failure> {
    let file = call.form()?.file("file").ok_or_else(|| Failure::missing("file"))?;
    let content = file.content.as_deref().unwrap_or_default();
    let has_manifest = memchr::memmem::find(content, b"c2pa").is_some();
    let (outcome, state) =
        if has_manifest { ("detected", "valid") } else { ("not_detected", "not_present") };
    let manifest = json!({"type": "c2pa", "outcome": outcome, "validation_state": state, "issuer": null, "model": null, "generated_at": null});
    let mark =
        json!({"type": "synthid", "outcome": "not_detected", "model": null, "generated_at": null});
    Ok(Reply::json(
        &json!({"object": "content_provenance_check", "created_at": call.now, "results": [manifest, mark]}),
    ))
}

/// `POST /models/images/embeddings` of Azure AI inference.
pub(crate) fn image_embeddings(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Embedding)?;
    let inputs =
        call.field("input").and_then(Value::as_array).ok_or_else(|| Failure::missing("input"))?;
    let dimensions = call.number("dimensions", 1, 3072)?.unwrap_or(1536);
    let one = |(index, input): (usize, &Value)| {
        let vector = embeddings::vector(
            hash(call.instance.config.seed, input.to_string().as_bytes()),
            dimensions,
        );
        json!({"object": "embedding", "index": index, "embedding": vector})
    };
    let data: Vec<Value> = inputs.iter().enumerate().map(one).collect();
    let tokens = inputs.len() * 85;
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let value = json!({"id": call.instance.id("emb-"), "object": "list", "data": data, "model": model_label(&deployment), "usage": usage});
    models::charge(call, &deployment, tokens as u64, Reply::json(&value))
}

/// `containers...`
pub(crate) fn containers(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let id = call.id(Kind::Container);
            let expires = json!({"anchor": "last_active_at", "minutes": 20});
            let value = json!({"id": id, "object": "container", "created_at": call.now, "status": "running", "expires_after": expires, "last_active_at": call.now, "name": call.need_text("name")?});
            call.keep(Kind::Container, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::Container, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Container, id)?.value)),
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Container, id)?;
            Ok(Reply::deleted(id, "container.deleted"))
        }
        (method, [id, "files", rest @ ..]) => {
            store.get(Kind::Container, id)?;
            container_files(call, method, id, rest)
        }
        _ => Err(call.unknown()),
    }
}

fn container_files(
    call: &Call<'_>,
    method: &Method,
    container: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (method, rest) {
        (&Method::POST, []) => {
            let (name, bytes, content, sha256) = match call.text("file_id") {
                Some(file) => {
                    let file = store.get(Kind::File, file)?;
                    let name = file.value["filename"].as_str().unwrap_or_default().to_owned();
                    (name, file.value["bytes"].clone(), file.content, file.hidden["sha256"].clone())
                }
                None => {
                    let file = call.form()?.file("file").ok_or_else(|| Failure::missing("file"))?;
                    (file.name.clone(), json!(file.bytes), file.content.clone(), json!(file.sha256))
                }
            };
            let id = call.id(Kind::ContainerFile);
            let path = format!("/mnt/data/{name}");
            let value = json!({"id": id, "object": "container.file", "created_at": call.now, "bytes": bytes, "container_id": container, "path": path, "source": "user"});
            let object = Object::new(value.clone())
                .under(container)
                .hiding(json!({"sha256": sha256}))
                .holding(content);
            call.keep(Kind::ContainerFile, &id, object);
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::ContainerFile, Some(container))),
        (&Method::GET, [id]) => {
            Ok(Reply::json(&store.get_under(Kind::ContainerFile, container, id)?.value))
        }
        (&Method::GET, [id, "content"]) => {
            files::content(&store.get_under(Kind::ContainerFile, container, id)?)
        }
        (&Method::DELETE, [id]) => {
            store.get_under(Kind::ContainerFile, container, id)?;
            store.remove(Kind::ContainerFile, id)?;
            Ok(Reply::deleted(id, "container.file.deleted"))
        }
        _ => Err(call.unknown()),
    }
}

/// `evals...`
pub(crate) fn evals(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let source = call
                .field("data_source_config")
                .cloned()
                .ok_or_else(|| Failure::missing("data_source_config"))?;
            let criteria = call
                .field("testing_criteria")
                .cloned()
                .ok_or_else(|| Failure::missing("testing_criteria"))?;
            let id = call.id(Kind::Eval);
            let metadata = call.field("metadata").cloned().unwrap_or_else(|| json!({}));
            let value = json!({"id": id, "object": "eval", "created_at": call.now, "name": call.text("name").unwrap_or("eval"), "data_source_config": source, "testing_criteria": criteria, "metadata": metadata});
            call.keep(Kind::Eval, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::Eval, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Eval, id)?.value)),
        (&Method::POST, [id]) => {
            let value = store.with(Kind::Eval, id, |object| {
                for name in ["name", "metadata"] {
                    if let Some(value) = call.field(name) {
                        object.value[name] = value.clone();
                    }
                }
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Eval, id)?;
            Ok(Reply::json(&json!({"object": "eval.deleted", "deleted": true, "eval_id": id})))
        }
        (method, [id, "runs", rest @ ..]) => {
            store.get(Kind::Eval, id)?;
            eval_runs(call, method, id, rest)
        }
        _ => Err(call.unknown()),
    }
}

fn eval_runs(
    call: &Call<'_>,
    method: &Method,
    eval: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (method, rest) {
        (&Method::POST, []) => {
            let source = call
                .field("data_source")
                .cloned()
                .ok_or_else(|| Failure::missing("data_source"))?;
            let id = call.id(Kind::EvalRun);
            let counts = json!({"total": 0, "passed": 0, "failed": 0, "errored": 0});
            let mut value = json!({"id": id, "object": "eval.run", "created_at": call.now, "eval_id": eval, "status": "queued", "name": call.text("name").unwrap_or("run"), "data_source": source, "result_counts": counts});
            value["model"] = source.get("model").cloned().unwrap_or(json!(""));
            value["report_url"] = json!(format!("https://{}/evals/{eval}/{id}", call.host));
            for (name, empty) in [
                ("error", Value::Null),
                ("metadata", json!({})),
                ("per_model_usage", json!([])),
                ("per_testing_criteria_results", json!([])),
            ] {
                value[name] = empty;
            }
            keep_output_items(call, eval, &id, &source);
            call.keep(Kind::EvalRun, &id, Object::new(value.clone()).under(eval));
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::EvalRun, Some(eval))),
        (&Method::GET, [id]) => {
            store.get_under(Kind::EvalRun, eval, id)?;
            let items = store.list(Kind::EvalOutputItem, Some(id)).len();
            let value = store.with(Kind::EvalRun, id, |object| {
                object.value["status"] = match object.value["status"].as_str().unwrap_or_default() {
                    "queued" => json!("in_progress"),
                    "in_progress" => {
                        object.value["result_counts"] =
                            json!({"total": items, "passed": items, "failed": 0, "errored": 0});
                        json!("completed")
                    }
                    other => json!(other),
                };
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::POST, [id] | [id, "cancel"]) => {
            store.get_under(Kind::EvalRun, eval, id)?;
            let value = store.with(Kind::EvalRun, id, |object| {
                object.value["status"] = json!("canceled");
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.get_under(Kind::EvalRun, eval, id)?;
            store.remove(Kind::EvalRun, id)?;
            Ok(Reply::json(&json!({"object": "eval.run.deleted", "deleted": true, "run_id": id})))
        }
        (&Method::GET, [id, "output_items"]) => {
            store.get_under(Kind::EvalRun, eval, id)?;
            page(call, store.list(Kind::EvalOutputItem, Some(id)))
        }
        (&Method::GET, [id, "output_items", item]) => {
            store.get_under(Kind::EvalRun, eval, id)?;
            Ok(Reply::json(&store.get_under(Kind::EvalOutputItem, id, item)?.value))
        }
        _ => Err(call.unknown()),
    }
}

/// One item for each line of the data source, if it stands in the request; all pass.
fn keep_output_items(call: &Call<'_>, eval: &str, run: &str, source: &Value) {
    let lines = source.pointer("/source/content").and_then(Value::as_array);
    for (index, line) in lines.into_iter().flatten().enumerate() {
        let id = call.id(Kind::EvalOutputItem);
        let sample = line.get("sample").cloned().unwrap_or(Value::Null);
        let value = json!({"id": id, "object": "eval.run.output_item", "created_at": call.now, "run_id": run, "eval_id": eval, "status": "pass", "datasource_item_id": index, "datasource_item": line["item"], "results": [], "sample": sample});
        call.keep(Kind::EvalOutputItem, &id, Object::new(value).under(run));
    }
}

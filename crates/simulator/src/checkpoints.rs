//! Checkpoints of fine-tuned models: who else may use one, and copies to another resource.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::paging::page;
use crate::store::{Kind, Object};
use crate::text::{hash, hex};

/// Steps of a finished job.
const STEPS: u64 = 30;

/// `fine_tuning/checkpoints/{checkpoint}/permissions...`
pub(crate) fn permissions(
    call: &Call<'_>,
    checkpoint: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let model = checkpoint.split(":ckpt-step-").next().unwrap_or_default();
    store.get(Kind::FineTunedModel, model)?;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let projects = call.field("project_ids").and_then(Value::as_array);
            let projects = projects.ok_or_else(|| Failure::missing("project_ids"))?;
            let grant = |project: &Value| {
                let id = call.id(Kind::CheckpointPermission);
                let value = json!({"id": id, "object": "checkpoint.permission", "created_at": call.now, "project_id": project});
                let object = Object::new(value.clone()).under(checkpoint);
                call.keep(Kind::CheckpointPermission, &id, object);
                value
            };
            let data: Vec<Value> = projects.iter().map(grant).collect();
            let id = |value: Option<&Value>| value.map_or(Value::Null, |value| value["id"].clone());
            let (first, last) = (id(data.first()), id(data.last()));
            Ok(Reply::json(
                &json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false}),
            ))
        }
        (&Method::GET, []) => page(call, store.list(Kind::CheckpointPermission, Some(checkpoint))),
        (&Method::DELETE, [id]) => {
            store.get_under(Kind::CheckpointPermission, checkpoint, id)?;
            store.remove(Kind::CheckpointPermission, id)?;
            Ok(Reply::deleted(id, "checkpoint.permission"))
        }
        _ => Err(call.unknown()),
    }
}

/// `fine_tuning/jobs/{job}/checkpoints/{checkpoint}/copy`, on Azure only; done at the second look.
pub(crate) fn copy(call: &Call<'_>, job: &str, checkpoint: &str) -> Result<Reply, Failure> {
    if call.dialect() != Dialect::AzureV1 {
        return Err(call.unknown());
    }
    if call.headers.get("aoai-copy-ft-checkpoints").is_none_or(|value| value != "preview") {
        return Err(Failure::bad_request(
            "The header aoai-copy-ft-checkpoints: preview is required for this operation.",
        ));
    }
    let store = &call.instance.store;
    let found = checkpoints(&store.get(Kind::FineTune, job)?.value);
    let named = |value: &&Value| {
        value["id"] == checkpoint || value["fine_tuned_model_checkpoint"] == checkpoint
    };
    let found = found.iter().find(named).ok_or_else(Failure::resource_not_found)?;
    let name = &found["fine_tuned_model_checkpoint"];
    if call.method == Method::POST {
        call.need_text("destinationResourceId")?;
        call.need_text("region")?;
        let value =
            json!({"checkpointedModelName": name, "fineTuningJobId": job, "status": "InProgress"});
        call.keep(Kind::CheckpointCopy, checkpoint, Object::new(value.clone()).under(job));
        return Ok(Reply::json(&value));
    }
    store.get_under(Kind::CheckpointCopy, job, checkpoint)?;
    let value = store.with(Kind::CheckpointCopy, checkpoint, |object| {
        let before = object.value.clone();
        object.value["status"] = json!("Completed");
        before
    })?;
    Ok(Reply::json(&value))
}

/// Those of a job: three once it is finished.
pub(crate) fn checkpoints(job: &Value) -> Vec<Value> {
    let Some(model) = job["fine_tuned_model"].as_str() else { return Vec::new() };
    let id = job["id"].as_str().unwrap_or_default();
    (1..=3u64)
        .map(|epoch| {
            let step = STEPS / 3 * epoch;
            json!({
                "object": "fine_tuning.job.checkpoint",
                "id": format!("ftckpt_{}", hex(hash(epoch, id.as_bytes()), 24)),
                "created_at": job["created_at"],
                "fine_tuned_model_checkpoint": format!("{model}:ckpt-step-{step}"),
                "fine_tuning_job_id": id,
                "metrics": {"step": step, "train_loss": 1.0 / step as f64, "train_mean_token_accuracy": 0.9},
                "step_number": step,
            })
        })
        .collect()
}

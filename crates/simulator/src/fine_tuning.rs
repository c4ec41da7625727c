//! Fine-tuning jobs: each look moves one on; a finished one leaves a model that only this instance serves.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::checkpoints::{checkpoints, copy};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::files;
use crate::paging::{page, page_of};
use crate::script::Script;
use crate::store::{Kind, Object};
use crate::text::{hash, hex};

/// `fine_tuning/jobs...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => Ok(files::created(call, &create(call)?)),
        (&Method::GET, []) => page(call, store.list(Kind::FineTune, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&advance(call, id)?)),
        (&Method::DELETE, [id]) if call.dialect() == Dialect::AzureDated => {
            store.remove(Kind::FineTune, id)?;
            Ok(Reply::json(&json!({})).status(StatusCode::NO_CONTENT))
        }
        (&Method::POST, [id, "cancel"]) => change(
            call,
            id,
            &["validating_files", "queued", "running", "paused", "pending"],
            "cancelled",
        ),
        (&Method::POST, [id, "pause"]) => change(call, id, &["running"], "paused"),
        (&Method::POST, [id, "resume"]) => change(call, id, &["paused"], "running"),
        (&Method::GET, [id, "events"]) => {
            let job = store.get(Kind::FineTune, id)?;
            page_of(call, events(&job), (20, 100), "desc")
        }
        (&Method::GET, [id, "checkpoints"]) => {
            let job = store.get(Kind::FineTune, id)?;
            page_of(call, checkpoints(&job.value), (10, 100), "desc")
        }
        (_, [id, "checkpoints", checkpoint, "copy"]) => copy(call, id, checkpoint),
        _ => Err(call.unknown()),
    }
}

/// `fine-tunes...`: the same jobs in their oldest shape.
pub(crate) fn legacy(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => Ok(files::created(call, &old(&Object::new(create(call)?)))),
        (&Method::GET, []) => {
            let data: Vec<Value> = store.list(Kind::FineTune, None).iter().map(old).collect();
            Ok(Reply::json(&json!({"object": "list", "data": data})))
        }
        (&Method::GET, [id]) => Ok(Reply::json(&old(&Object::new(advance(call, id)?)))),
        (&Method::GET, [id, "events"]) => {
            let events = events(&store.get(Kind::FineTune, id)?);
            if !call.wants_stream_by_query() {
                return Ok(Reply::json(&json!({"object": "list", "data": events})));
            }
            let mut script = Script::default();
            events.iter().for_each(|event| script.event(None, event));
            script.push_bytes("data: [DONE]\n\n");
            Ok(Reply::stream(script))
        }
        (&Method::POST, [id, "cancel"]) => {
            perform(call, rest)?;
            Ok(Reply::json(&old(&store.get(Kind::FineTune, id)?)))
        }
        (&Method::DELETE, [_]) => perform(call, rest),
        _ => Err(call.unknown()),
    }
}

fn old(job: &Object) -> Value {
    let value = &job.value;
    let files = |name: &str| -> Vec<Value> {
        let named = match &value[name] {
            Value::Array(ids) => ids.as_slice(),
            id => std::slice::from_ref(id),
        };
        let named = named.iter().filter(|id| id.is_string());
        named.map(|id| json!({"id": id, "object": "file"})).collect()
    };
    json!({
        "id": value["id"],
        "object": "fine-tune",
        "model": value["model"],
        "status": value["status"],
        "created_at": value["created_at"],
        "updated_at": value["created_at"],
        "fine_tuned_model": value["fine_tuned_model"],
        "organisation_id": value["organization_id"],
        "hyperparams": value["hyperparameters"],
        "training_files": files("training_file"),
        "validation_files": files("validation_file"),
        "result_files": files("result_files"),
        "events": events(job),
    })
}

fn create(call: &Call<'_>) -> Result<Value, Failure> {
    let training = call.need_text("training_file")?;
    call.instance.store.get(Kind::File, training)?;
    if let Some(validation) = call.text("validation_file") {
        call.instance.store.get(Kind::File, validation)?;
    }
    let model = call.need_text("model")?;
    let id = call.id(Kind::FineTune);
    let epochs = call.body().pointer("/hyperparameters/n_epochs").cloned().unwrap_or(json!(3));
    let hyperparameters =
        json!({"n_epochs": epochs, "batch_size": 1, "learning_rate_multiplier": 1.0});
    let value = json!({
        "object": "fine_tuning.job",
        "id": id,
        "model": model,
        "created_at": call.now,
        "estimated_finish": null,
        "finished_at": null,
        "fine_tuned_model": null,
        "organization_id": "org-simulator",
        "result_files": [],
        "status": "validating_files",
        "validation_file": call.text("validation_file"),
        "training_file": training,
        "hyperparameters": hyperparameters,
        "trained_tokens": null,
        "error": null,
        "user_provided_suffix": call.text("suffix"),
        "seed": call.field("seed").cloned().unwrap_or(json!(42)),
        "integrations": [],
        "metadata": call.field("metadata").cloned(),
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
    });
    call.keep(Kind::FineTune, &id, Object::new(value.clone()));
    Ok(value)
}

fn advance(call: &Call<'_>, id: &str) -> Result<Value, Failure> {
    let (value, done) = call.instance.store.with(Kind::FineTune, id, |object| {
        object.polls += 1;
        let next = match object.value["status"].as_str().unwrap_or_default() {
            "validating_files" => Some("queued"),
            "queued" => Some("running"),
            "running" => Some("succeeded"),
            _ => None,
        };
        if let Some(next) = next {
            object.value["status"] = json!(next);
        }
        (object.value.clone(), next == Some("succeeded"))
    })?;
    if !done {
        return Ok(value);
    }
    let results = files::keep(
        call,
        files::NewFile {
            name: "step_metrics.csv".to_owned(),
            purpose: "fine-tune-results".to_owned(),
            bytes: METRICS.len() as u64,
            sha256: String::new(),
            content: Some(METRICS.into()),
        },
    );
    let base = value["model"].as_str().unwrap_or_default();
    let suffix = value["user_provided_suffix"].as_str().unwrap_or_default();
    let name = format!("ft:{base}:org-simulator:{suffix}:{}", hex(hash(1, id.as_bytes()), 8));
    let model =
        json!({"id": name, "object": "model", "created": call.now, "owned_by": "org-simulator"});
    call.keep(Kind::FineTunedModel, &name, Object::new(json!({"base": base, "model": model})));
    call.instance.store.with(Kind::FineTune, id, |object| {
        object.value["fine_tuned_model"] = json!(name);
        object.value["finished_at"] = json!(call.now);
        object.value["trained_tokens"] = json!(4_096);
        object.value["result_files"] = json!([results["id"]]);
        object.value.clone()
    })
}

const METRICS: &str = "step,train_loss,train_accuracy\n10,0.91,0.71\n20,0.48,0.83\n30,0.27,0.92\n";

fn change(call: &Call<'_>, id: &str, from: &[&str], to: &str) -> Result<Reply, Failure> {
    let changed = call.instance.store.with(Kind::FineTune, id, |object| {
        let status = object.value["status"].as_str().unwrap_or_default().to_owned();
        if !from.contains(&status.as_str()) {
            return Err(Failure::conflict(format!("Job {id} is {status} and cannot become {to}.")));
        }
        object.value["status"] = json!(to);
        Ok(object.value.clone())
    })??;
    Ok(Reply::json(&changed))
}

/// What has happened so far, oldest first.
fn events(job: &Object) -> Vec<Value> {
    let id = job.value["id"].as_str().unwrap_or_default();
    let reached = match job.value["status"].as_str().unwrap_or_default() {
        "validating_files" => 1,
        "queued" => 2,
        "running" | "paused" => 3,
        "succeeded" => 4,
        _ => 2,
    };
    let messages = [
        "Created fine-tuning job",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        "The job has successfully completed",
    ];
    messages
        .iter()
        .take(reached)
        .enumerate()
        .map(|(index, message)| {
            json!({
                "object": "fine_tuning.job.event",
                "id": format!("ftevent-{}", hex(hash(index as u64, id.as_bytes()), 24)),
                "created_at": job.value["created_at"],
                "level": "info",
                "message": message,
                "data": {},
                "type": "message",
            })
        })
        .collect()
}

//! Ingestion jobs of Azure: each look at a run moves it on.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::store::{Kind, Object};

/// `ingestion/jobs...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let list = |kind, parent| {
        let values: Vec<Value> =
            store.list(kind, parent).into_iter().map(|object| object.value).collect();
        Reply::json(&json!({"value": values}))
    };
    match (&call.method, rest) {
        (&Method::GET, []) => Ok(list(Kind::IngestionJob, None)),
        (&Method::PUT, [id]) => {
            call.need_text("kind")?;
            let mut value = call.body().clone();
            value["jobId"] = json!(id);
            call.keep(Kind::IngestionJob, id, Object::new(value.clone()));
            let run = call.id(Kind::IngestionRun);
            let state = json!({"jobId": id, "runId": run, "status": "notRunning"});
            call.keep(Kind::IngestionRun, &run, Object::new(state).under(id));
            Ok(Reply::json(&value))
        }
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::IngestionJob, id)?.value)),
        (&Method::GET, [id, "runs"]) => {
            store.get(Kind::IngestionJob, id)?;
            Ok(list(Kind::IngestionRun, Some(id)))
        }
        (&Method::GET, [id, "runs", run]) => {
            store.get_under(Kind::IngestionRun, id, run)?;
            let value = store.with(Kind::IngestionRun, run, |object| {
                object.value["status"] = match object.value["status"].as_str().unwrap_or_default() {
                    "notRunning" => json!("running"),
                    _ => json!("succeeded"),
                };
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        _ => Err(call.unknown()),
    }
}

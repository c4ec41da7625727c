//! What jobs put on record: what content they read, and what somebody has to mend.

use event::{AdminAction, ContentRead, InteractionId, Json, Note, Record, Timestamp};
use serde_json::json;

use crate::batch::Failure;
use crate::config::StreamJobConfig;
use crate::parts::StreamJobsParts;

/// A look at content, before it goes anywhere.
pub(crate) async fn read(
    parts: &StreamJobsParts,
    job: &StreamJobConfig,
    columns: &[String],
) -> Result<(), Failure> {
    if columns.is_empty() {
        return Ok(());
    }
    let now = (parts.now)();
    let note = ContentRead {
        time_generated: now,
        principal_id: job.identity(),
        principal_name: job.id.clone(),
        principal_kind: "system".into(),
        via: "job".into(),
        purpose: job.purpose.trim().to_owned(),
        query: format!("{} {}", job.table, job.query).trim().to_owned(),
        columns: Json(json!(columns).to_string()),
        ..ContentRead::default()
    };
    append(parts, Note::ContentRead(note), now).await
}

/// Something that stays wrong until somebody acts. Only when it begins: a job may deliver this very table.
pub(crate) async fn trouble(parts: &StreamJobsParts, job: &StreamJobConfig, why: &str) {
    tracing::error!(job = job.id, why, "a stream job needs somebody to act");
    let now = (parts.now)();
    let row = AdminAction {
        time_generated: now,
        operation_name: "stream-jobs/deliver".into(),
        target_kind: "stream-job".into(),
        target_id: job.id.clone(),
        outcome: "failed".into(),
        principal_id: job.identity(),
        principal_name: job.id.clone(),
        principal_kind: "system".into(),
        roles: Json("[]".into()),
        via: "job".into(),
        before: Json("null".into()),
        after: Json("null".into()),
        message: why.to_owned(),
        ..AdminAction::default()
    };
    if let Err(failure) = append(parts, Note::AdminAction(row), now).await {
        tracing::warn!(error = failure.why, "the failure of a stream job is not on record");
    }
}

async fn append(parts: &StreamJobsParts, note: Note, now: Timestamp) -> Result<(), Failure> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| Failure::again(error.to_string()))?;
    let frame = Record::Note(Box::new(note)).encode(InteractionId::mint(now, random));
    let kept = match parts.ledger.append([frame]).await {
        Ok(commit) => commit.durable().await,
        Err(error) => Err(error),
    };
    kept.map(drop).map_err(|error| Failure::again(format!("the ledger takes no record: {error}")))
}

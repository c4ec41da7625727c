//! Every change is a record in the ledger before it is answered.

use std::fmt;
use std::time::SystemTime;

use event::{AdminAction, Frame, InteractionId, Json, Note, Record, Timestamp};
use ledger::Ledger;
use policy::Principal;
use serde_json::Value;

use crate::diff::Change;
use crate::error::{Error, ErrorKind};

/// Records appended at once: 16 MiB is the most that the ledger takes.
const BATCH: usize = 64;

/// Who changes something, from where and through what.
#[derive(Clone, Debug, Default)]
pub struct Author {
    /// Who.
    pub principal: Principal,
    /// Address it comes from; empty if from the machine itself.
    pub address: String,
    /// `api`, `portal`, `cli`, `scim`, `file` or `schedule`.
    pub via: &'static str,
    /// Ties records of one request together.
    pub correlation_id: String,
}

/// What is done, to what.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// Noun and verb, such as `subscriptions/suspend`.
    pub operation: &'static str,
    /// Kind of what it is done to, such as `subscription`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Why, in the words of who does it, or why it failed.
    pub message: String,
}

/// Records what becomes of the state: a row for each thing that changes.
pub(crate) async fn changes(
    ledger: &Ledger,
    (author, action): (&Author, &Action),
    changes: &[Change],
    version: Option<i64>,
) -> Result<(), Error> {
    for batch in changes.chunks(BATCH) {
        let frames = batch.iter().map(|change| {
            let mut row = row(author, action, "succeeded");
            row.target_kind = change.kind.to_owned();
            row.target_id.clone_from(&change.id);
            row.before = Json(change.before.to_string());
            row.after = Json(change.after.to_string());
            row.version = version;
            frame(row)
        });
        append(ledger, frames.collect::<Result<_, _>>()?).await?;
    }
    Ok(())
}

/// Records an action that changes no state, or one that was denied or failed.
pub(crate) async fn action(
    ledger: &Ledger,
    author: &Author,
    action: &Action,
    outcome: &'static str,
) -> Result<(), Error> {
    append(ledger, vec![frame(row(author, action, outcome))?]).await
}

fn row(author: &Author, action: &Action, outcome: &str) -> AdminAction {
    let principal = &author.principal;
    let roles: Vec<&str> = principal.roles.iter().map(|role| role.name()).collect();
    AdminAction {
        time_generated: now(),
        operation_name: action.operation.to_owned(),
        target_kind: action.kind.to_owned(),
        target_id: action.id.clone(),
        outcome: outcome.to_owned(),
        principal_id: principal.id.clone(),
        principal_name: principal.name.clone(),
        principal_kind: principal.kind.name().to_owned(),
        roles: Json(Value::from(roles).to_string()),
        caller_ip_address: author.address.clone(),
        via: author.via.to_owned(),
        before: Json("null".to_owned()),
        after: Json("null".to_owned()),
        message: action.message.clone(),
        version: None,
        correlation_id: author.correlation_id.clone(),
        ledger_sequence: 0,
    }
}

fn frame(row: AdminAction) -> Result<Frame, Error> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| unrecorded(&error))?;
    let id = InteractionId::mint(row.time_generated, random);
    Ok(Record::Note(Box::new(Note::AdminAction(row))).encode(id))
}

async fn append(ledger: &Ledger, frames: Vec<Frame>) -> Result<(), Error> {
    let commit = ledger.append(frames).await.map_err(|error| unrecorded(&error))?;
    commit.durable().await.map_err(|error| unrecorded(&error))?;
    Ok(())
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn unrecorded(error: &dyn fmt::Display) -> Error {
    let text = format!("the ledger takes no record of it: {error}");
    Error::new(ErrorKind::Unavailable, text)
}

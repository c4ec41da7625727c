//! Orders to erase what interactions said, and how far they are carried out.
//!
//! An order is a row of `Erasures` for each interaction, on disk before anything is erased. It takes an
//! administrator and, where reading content takes another person's approval, another administrator's for erasing.

use std::collections::BTreeSet;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::Json;
use event::{Erasure, InteractionId, Timestamp};
use kql::{Access, Options, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::Caller;
use crate::clock::unix_seconds;
use crate::extract::Document;
use crate::inner::Portal;
use crate::leave::{Leave, PURPOSE_CHARS_MAX, leave_to_erase};
use crate::operations::ErasureState;
use crate::problem::Problem;
use crate::state::action;

/// Most interactions of one order.
const INTERACTIONS_MAX: usize = 10_000;
/// Interactions that one query looks for.
const LOOKED_FOR_AT_ONCE: usize = 1_000;
/// Unknown interactions that are named; the others are counted.
const NAMED_MAX: usize = 100;
const MISSING: &str = "erasing prompts and answers takes the approval of another administrator here: ask for it \
    with `gatehouse approval request \"erase: PURPOSE\"`, in the portal, or by POST /admin/v1/approvals with that \
    purpose, and erase for PURPOSE once it is given";

/// What is to be erased.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureBody {
    /// Interactions, by the column `CorrelationId`: 1 to 10,000.
    correlation_ids: BTreeSet<String>,
    /// Why, in 1 to 1,000 characters.
    purpose: String,
    /// Only tell what would be erased.
    #[serde(default)]
    dry_run: bool,
}

/// What became of an order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErasureReport {
    /// Id of the order, as in the table `Erasures`; empty of a dry run.
    erasure_id: String,
    /// Interactions that it names.
    interactions: usize,
    /// How many of them are in the tables.
    found: usize,
    /// Those that are not, the first 100 of them. What the ledger has of them is erased all the same.
    unknown: Vec<String>,
    /// Whether their content is gone. If not, `state` says what it waits for.
    is_done: bool,
    /// How far orders are carried out.
    state: ErasureState,
}

/// How far orders are carried out.
pub(crate) async fn state(State(portal): State<Portal>) -> Json<ErasureState> {
    Json(portal.operations.erasures())
}

/// Takes an order, and waits a while until it is carried out.
pub(crate) async fn order(
    State(portal): State<Portal>,
    caller: Caller,
    Document(body): Document<ErasureBody>,
) -> Result<Json<ErasureReport>, Problem> {
    let interactions = read(&body)?;
    let leave = match body.dry_run {
        true => Leave::Free,
        false => portal.leave_to_erase(&caller, &body.purpose).await?,
    };
    let unknown = portal.unknown(&interactions).await?;
    let (count, found) = (interactions.len(), interactions.len() - unknown.len());
    let mut report = ErasureReport {
        erasure_id: String::new(),
        interactions: count,
        found,
        unknown: unknown.iter().take(NAMED_MAX).map(InteractionId::to_string).collect(),
        is_done: false,
        state: portal.operations.erasures(),
    };
    if body.dry_run {
        return Ok(Json(report));
    }
    report.erasure_id = Uuid::now_v7().to_string();
    let purpose = body.purpose.trim();
    let orders = orders(&interactions, &caller, (&report.erasure_id, purpose), leave.approver());
    (report.is_done, report.state) = portal.operations.erase(orders).await?;
    let message = format!("{count} interactions for: {purpose}");
    let action = action("interactions/erase", "erasure", &report.erasure_id, message);
    portal.control.record(&caller.author(), &action, "succeeded").await?;
    Ok(Json(report))
}

fn read(body: &ErasureBody) -> Result<Vec<InteractionId>, Problem> {
    let count = body.correlation_ids.len();
    if count == 0 || count > INTERACTIONS_MAX {
        let text = format!(
            "`correlation_ids` names {count} interactions: name 1 to {INTERACTIONS_MAX}, more in further orders"
        );
        return Err(Problem::new(422, text));
    }
    let purpose = body.purpose.trim();
    if purpose.is_empty() || purpose.chars().count() > PURPOSE_CHARS_MAX {
        let text = format!("say in `purpose` why, in 1 to {PURPOSE_CHARS_MAX} characters");
        return Err(Problem::new(422, text));
    }
    let parse = |id: &String| {
        let wrong = || format!("`{id}` is no id of an interaction: see the column CorrelationId");
        id.parse().map_err(|_| Problem::new(422, wrong()))
    };
    body.correlation_ids.iter().map(parse).collect()
}

fn orders(
    interactions: &[InteractionId],
    caller: &Caller,
    (erasure_id, purpose): (&str, &str),
    approver: &str,
) -> Vec<Erasure> {
    let Caller { principal, address, via, .. } = caller;
    let time_generated = Timestamp::from(SystemTime::now());
    let order = |interaction: &InteractionId| Erasure {
        time_generated,
        erasure_id: erasure_id.into(),
        correlation_id: interaction.to_string(),
        principal_id: principal.id.clone(),
        principal_name: principal.name.clone(),
        principal_kind: principal.kind.name().into(),
        caller_ip_address: address.clone(),
        via: (*via).into(),
        purpose: purpose.into(),
        approver_id: approver.into(),
        ledger_sequence: 0,
    };
    interactions.iter().map(order).collect()
}

impl Portal {
    /// Another person's approval, where reading content takes one; a refusal is on record.
    async fn leave_to_erase(&self, caller: &Caller, purpose: &str) -> Result<Leave, Problem> {
        if !self.approvals.is_needed() {
            return Ok(Leave::Free);
        }
        let kept = self.control.approvals(unix_seconds()).await?;
        match leave_to_erase(&kept, &caller.principal, purpose) {
            Leave::Missing => {
                let action = action("interactions/erase", "erasure", "", MISSING.to_owned());
                self.control.record(&caller.author(), &action, "denied").await?;
                Err(Problem::new(403, MISSING))
            }
            leave => Ok(leave),
        }
    }

    /// Which of them are not in the tables.
    async fn unknown(&self, interactions: &[InteractionId]) -> Result<Vec<InteractionId>, Problem> {
        let mut unknown: BTreeSet<InteractionId> = interactions.iter().copied().collect();
        let options = Options { access: Access::everything(), ..Options::default() };
        for some in interactions.chunks(LOOKED_FOR_AT_ONCE) {
            let listed: Vec<String> = some.iter().map(|id| format!("'{id}'")).collect();
            let listed = listed.join(", ");
            let query =
                format!("Interactions | where CorrelationId in ({listed}) | project CorrelationId");
            let frame = self.engine.run(&query, &options).await;
            let frame = frame.map_err(|error| Problem::new(503, error.message()))?;
            for row in frame.rows {
                if let Some(Value::String(id)) = row.first()
                    && let Ok(id) = id.parse()
                {
                    unknown.remove(&id);
                }
            }
        }
        Ok(unknown.into_iter().collect())
    }
}

//! The second approver: content is read, or erased, once another person has agreed, for the stated purpose and
//! for a while. Off unless `admin.second_approver` is given.
//!
//! Each step is a row of `AdminActions` before it counts. What was asked and decided is kept in the database of
//! the desired state.

use axum::extract::State;
use axum::response::Json;
use control::Approval;
use policy::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::clock::unix_seconds;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::problem::Problem;
use crate::state::{ChangeQuery, action};

/// Who asks for an approval.
pub(crate) const REQUESTERS: &[Role] = &[Role::Administrator, Role::ContentReader];
/// Who may give it to somebody else.
pub(crate) const APPROVERS: &[Role] = &[Role::Administrator, Role::ContentReader];

/// What content is to be read for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalBody {
    /// In words; a read states the same.
    purpose: String,
}

/// Approvals.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ApprovalList {
    /// Whether reading content takes an approval.
    is_needed: bool,
    /// Newest first.
    items: Vec<Approval>,
}

/// All of them for whoever may decide.
pub(crate) async fn list(State(portal): State<Portal>) -> Result<Json<ApprovalList>, Problem> {
    let items = portal.control.approvals(unix_seconds()).await?;
    Ok(Json(ApprovalList { is_needed: portal.approvals.is_needed(), items }))
}

pub(crate) async fn request(
    State(portal): State<Portal>,
    caller: Caller,
    Document(body): Document<ApprovalBody>,
) -> Result<Json<Approval>, Problem> {
    let (approvals, now_s) = (&portal.approvals, unix_seconds());
    let _turn = approvals.turn().await;
    let kept = portal.control.approvals(now_s).await?;
    let approval = approvals.request(&kept, &caller.principal, &body.purpose, now_s)?;
    let action = action("approvals/request", "approval", &approval.id, approval.purpose.clone());
    portal.control.keep_approval(&caller.author(), &action, &approval).await?;
    Ok(Json(approval))
}

pub(crate) async fn approve(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    query: Parameters<ChangeQuery>,
) -> Result<Json<Approval>, Problem> {
    decide(state, caller, id, query, ("approvals/approve", true)).await
}

pub(crate) async fn deny(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    query: Parameters<ChangeQuery>,
) -> Result<Json<Approval>, Problem> {
    decide(state, caller, id, query, ("approvals/deny", false)).await
}

async fn decide(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    Parameters(query): Parameters<ChangeQuery>,
    (operation, is_approved): (&'static str, bool),
) -> Result<Json<Approval>, Problem> {
    let now_s = unix_seconds();
    let author = caller.author();
    let kept = portal.control.approvals(now_s).await?;
    let found = kept.into_iter().find(|approval| approval.id == id);
    let decided = match portal.approvals.decided(found, &caller.principal, is_approved, now_s) {
        Ok(decided) => decided,
        Err(problem) => {
            let action = action(operation, "approval", &id, problem.detail.clone());
            portal.control.record(&author, &action, "denied").await?;
            return Err(problem);
        }
    };
    let Approval { requester_id, purpose, .. } = &decided;
    let reason =
        if query.reason.is_empty() { String::new() } else { format!("; {}", query.reason) };
    let message = format!("{requester_id} for: {purpose}{reason}");
    let action = action(operation, "approval", &id, message);
    portal.control.keep_approval(&author, &action, &decided).await?;
    Ok(Json(decided))
}

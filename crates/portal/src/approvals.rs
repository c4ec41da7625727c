//! The second approver: content is read once another person has agreed, for the stated purpose and for a
//! while. Off unless `admin.second_approver` is given.
//!
//! Each step is a row of `AdminActions` before it counts. Approvals live in memory, as sessions do: a
//! restart forgets them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::Json;
use policy::{Principal, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::Caller;
use crate::bearer::unix_seconds;
use crate::config::SecondApproverConfig;
use crate::extract::{Document, Parameters, Segment};
use crate::problem::Problem;
use crate::reading::{PURPOSE_CHARS_MAX, sees_content};
use crate::server::Portal;
use crate::state::{ChangeQuery, action};

/// Who asks for an approval.
pub(crate) const REQUESTERS: &[Role] = &[Role::ContentReader];
/// Who may give it to somebody else.
pub(crate) const APPROVERS: &[Role] = &[Role::Administrator, Role::ContentReader];
/// Approvals remembered; the oldest gives way.
const KEPT_MAX: usize = 1_024;
/// Requests of one person that may wait at once.
const WAITING_MAX: usize = 16;
/// Seconds for which a request waits.
const WAITING_S: i64 = 86_400;

/// What has been asked for, and what became of it; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Approvals(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Seconds for which an approval holds; none if nobody has to approve.
    holds_s: Option<i64>,
    /// Oldest first.
    kept: Mutex<VecDeque<Approval>>,
    /// Held from the check of a step until it counts: its record comes between.
    turn: tokio::sync::Mutex<()>,
}

/// How an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApprovalState {
    /// Nobody has decided yet.
    Waiting,
    /// Content may be read for its purpose until `ends_at_s`.
    Approved,
    /// Somebody said no.
    Denied,
    /// Its time is over.
    Ended,
}

/// Somebody asks to read prompts and answers for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Approval {
    /// Its id.
    id: String,
    /// How it stands.
    state: ApprovalState,
    /// What content is to be read for; a read states the same words.
    purpose: String,
    /// Id of who asks.
    requester_id: String,
    /// Name of who asks.
    requester_name: String,
    /// When it was asked for, in seconds since 1970.
    requested_at_s: i64,
    /// Id of who decided; empty while it waits.
    approver_id: String,
    /// Name of who decided.
    approver_name: String,
    /// When it ends, in seconds since 1970: the wait, or what was approved.
    ends_at_s: i64,
}

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

/// Whether somebody may read content for a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Nobody has to approve.
    Free,
    /// This person approved.
    Given(String),
    /// Nobody has approved.
    Missing,
}

impl Leave {
    /// Who approved, for the record.
    pub(crate) fn approver(&self) -> &str {
        if let Self::Given(approver) = self { approver } else { "" }
    }
}

impl Approvals {
    pub(crate) fn new(config: Option<&SecondApproverConfig>) -> Self {
        let holds_s = config.map(|config| i64::from(config.holds_minutes.get()) * 60);
        Self(Arc::new(Inner { holds_s, ..Inner::default() }))
    }

    /// Whether this person may read content for this purpose now.
    pub(crate) fn leave(&self, principal: &Principal, purpose: &str, now_s: i64) -> Leave {
        if self.0.holds_s.is_none() {
            return Leave::Free;
        }
        let kept = self.kept(now_s);
        let given = kept.iter().rev().find(|one| {
            one.state == ApprovalState::Approved
                && one.requester_id == principal.id
                && one.purpose == purpose.trim()
        });
        given.map_or(Leave::Missing, |one| Leave::Given(one.approver_id.clone()))
    }

    /// A new request; it counts once it is [added](Self::add).
    fn request(
        &self,
        principal: &Principal,
        purpose: &str,
        now_s: i64,
    ) -> Result<Approval, Problem> {
        if self.0.holds_s.is_none() {
            let text = "nobody has to approve here: state the purpose and read";
            return Err(Problem::new(409, text));
        }
        let purpose = purpose.trim();
        if purpose.is_empty() || purpose.chars().count() > PURPOSE_CHARS_MAX {
            let text = format!("`purpose` has 1 to {PURPOSE_CHARS_MAX} characters");
            return Err(Problem::new(422, text));
        }
        let kept = self.kept(now_s);
        let waiting = kept
            .iter()
            .filter(|one| one.requester_id == principal.id && one.state == ApprovalState::Waiting);
        if waiting.count() >= WAITING_MAX {
            let text = format!("{WAITING_MAX} of your requests wait: have them decided first");
            return Err(Problem::new(429, text));
        }
        Ok(Approval {
            id: Uuid::now_v7().to_string(),
            state: ApprovalState::Waiting,
            purpose: purpose.to_owned(),
            requester_id: principal.id.clone(),
            requester_name: principal.name.clone(),
            requested_at_s: now_s,
            approver_id: String::new(),
            approver_name: String::new(),
            ends_at_s: now_s.saturating_add(WAITING_S),
        })
    }

    fn add(&self, approval: Approval) {
        let mut kept = self.kept(approval.requested_at_s);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(approval);
    }

    /// A waiting request as somebody decides it; it counts once it is [settled](Self::settle).
    fn decided(
        &self,
        id: &str,
        principal: &Principal,
        is_approved: bool,
        now_s: i64,
    ) -> Result<Approval, Problem> {
        let kept = self.kept(now_s);
        let found = kept.iter().find(|one| one.id == id);
        let mut approval = found
            .cloned()
            .ok_or_else(|| Problem::new(404, "there is no such approval: it may be too old"))?;
        if approval.requester_id == principal.id {
            let text = "you asked for it yourself: it takes another person";
            return Err(Problem::new(403, text));
        }
        if approval.state != ApprovalState::Waiting {
            let text = "it does not wait any more: GET /admin/v1/approvals shows how it stands";
            return Err(Problem::new(409, text));
        }
        approval.approver_id.clone_from(&principal.id);
        approval.approver_name.clone_from(&principal.name);
        if is_approved {
            approval.state = ApprovalState::Approved;
            approval.ends_at_s = now_s.saturating_add(self.0.holds_s.unwrap_or(0));
        } else {
            approval.state = ApprovalState::Denied;
            approval.ends_at_s = now_s;
        }
        Ok(approval)
    }

    fn settle(&self, decided: &Approval, now_s: i64) {
        for one in self.kept(now_s).iter_mut().filter(|one| one.id == decided.id) {
            one.clone_from(decided);
        }
    }

    /// All, as they stand at this time.
    fn kept(&self, now_s: i64) -> MutexGuard<'_, VecDeque<Approval>> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for one in kept.iter_mut() {
            let may_end = [ApprovalState::Waiting, ApprovalState::Approved].contains(&one.state);
            if may_end && one.ends_at_s <= now_s {
                one.state = ApprovalState::Ended;
            }
        }
        kept
    }
}

/// All of them for whoever may decide.
pub(crate) async fn list(State(portal): State<Portal>) -> Json<ApprovalList> {
    let approvals = &portal.approvals;
    let items = approvals.kept(unix_seconds()).iter().rev().cloned().collect();
    Json(ApprovalList { is_needed: approvals.0.holds_s.is_some(), items })
}

pub(crate) async fn request(
    State(portal): State<Portal>,
    caller: Caller,
    Document(body): Document<ApprovalBody>,
) -> Result<Json<Approval>, Problem> {
    let approvals = &portal.approvals;
    let _turn = approvals.0.turn.lock().await;
    let approval = approvals.request(&caller.principal, &body.purpose, unix_seconds())?;
    let action = action("approvals/request", "approval", &approval.id, approval.purpose.clone());
    portal.control.record(&caller.author(), &action, "succeeded").await?;
    approvals.add(approval.clone());
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
    let (approvals, now_s) = (&portal.approvals, unix_seconds());
    let _turn = approvals.0.turn.lock().await;
    let author = caller.author();
    let decided = match approvals.decided(&id, &caller.principal, is_approved, now_s) {
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
    portal.control.record(&author, &action, "succeeded").await?;
    approvals.settle(&decided, now_s);
    Ok(Json(decided))
}

impl Portal {
    /// Whether this person may read content for this purpose now.
    pub(crate) fn leave(&self, principal: &Principal, purpose: &str) -> Leave {
        if !sees_content(principal) || purpose.trim().is_empty() {
            return Leave::Free;
        }
        self.approvals.leave(principal, purpose, unix_seconds())
    }
}

/// What somebody is told who has no approval.
pub(crate) const MISSING: &str = "reading prompts and answers takes the approval of another person here: ask \
    for it with `gatehouse approval request`, in the portal, or by POST /admin/v1/approvals, and read for the \
    same purpose once it is given";

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    fn person(id: &str) -> Principal {
        Principal { id: id.into(), ..Principal::default() }
    }

    fn needed() -> Approvals {
        let minutes = NonZero::new(10).expect("more than none");
        Approvals::new(Some(&SecondApproverConfig { holds_minutes: minutes }))
    }

    #[test]
    fn another_person_approves_for_a_purpose_and_for_a_while() {
        let (ada, bob) = (person("ada"), person("bob"));
        let approvals = needed();
        assert_eq!(approvals.leave(&ada, "case 7", 0), Leave::Missing);
        let asked = approvals.request(&ada, " case 7 ", 0).expect("it may be asked for");
        approvals.add(asked.clone());
        assert_eq!(approvals.leave(&ada, "case 7", 0), Leave::Missing, "nobody has decided");
        let own = approvals.decided(&asked.id, &ada, true, 1).expect_err("her own");
        assert_eq!(own.status, 403);
        let decided = approvals.decided(&asked.id, &bob, true, 1).expect("he may");
        assert_eq!(approvals.leave(&ada, "case 7", 1), Leave::Missing, "it is not on record");
        approvals.settle(&decided, 1);
        assert_eq!(approvals.leave(&ada, "case 7 ", 600), Leave::Given("bob".into()));
        assert_eq!(approvals.leave(&ada, "case 8", 600), Leave::Missing, "another purpose");
        assert_eq!(approvals.leave(&bob, "case 7", 600), Leave::Missing, "another person");
        assert_eq!(approvals.leave(&ada, "case 7", 601), Leave::Missing, "its time is over");
        let again = approvals.decided(&asked.id, &bob, true, 602).expect_err("it has ended");
        assert_eq!(again.status, 409);
    }

    #[test]
    fn what_was_denied_or_waited_too_long_gives_no_leave() {
        let (ada, bob) = (person("ada"), person("bob"));
        let approvals = needed();
        let asked = approvals.request(&ada, "case 7", 0).expect("it may be asked for");
        approvals.add(asked.clone());
        let denied = approvals.decided(&asked.id, &bob, false, 1).expect("he may");
        approvals.settle(&denied, 1);
        assert_eq!(approvals.leave(&ada, "case 7", 2), Leave::Missing);
        assert_eq!(approvals.decided(&asked.id, &bob, true, 2).expect_err("decided").status, 409);
        let asked = approvals.request(&ada, "case 7", 0).expect("once more");
        approvals.add(asked.clone());
        let late = approvals.decided(&asked.id, &bob, true, WAITING_S).expect_err("too late");
        assert_eq!(late.status, 409);
        assert_eq!(approvals.decided("x", &bob, true, 2).expect_err("none").status, 404);
    }

    #[test]
    fn requests_are_bounded_and_none_is_taken_where_nobody_has_to_approve() {
        let approvals = needed();
        for number in 0..KEPT_MAX + 50 {
            let person = person(&(number / WAITING_MAX).to_string());
            approvals.add(approvals.request(&person, "case", 0).expect("there is room"));
        }
        assert_eq!(approvals.kept(0).len(), KEPT_MAX);
        let ada = person("ada");
        for _ in 0..WAITING_MAX {
            approvals.add(approvals.request(&ada, "case", 0).expect("there is room"));
        }
        assert_eq!(approvals.request(&ada, "case", 0).expect_err("too many").status, 429);
        assert_eq!(approvals.request(&person("x"), " ", 0).expect_err("for nothing").status, 422);
        let free = Approvals::new(None);
        assert_eq!(free.leave(&ada, "case", 0), Leave::Free);
        assert_eq!(free.request(&ada, "case", 0).expect_err("not needed").status, 409);
    }
}

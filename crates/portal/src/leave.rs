//! Leave to read content: another person's approval, where that is asked for.

use std::sync::Arc;

use control::{Approval, ApprovalState};
use policy::{Principal, Role};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::config::SecondApproverConfig;
use crate::problem::Problem;

/// Longest purpose, in characters.
pub(crate) const PURPOSE_CHARS_MAX: usize = 1_000;
/// What somebody is told who has no approval.
pub(crate) const MISSING: &str = "reading prompts and answers takes the approval of another person here: ask \
    for it with `gatehouse approval request`, in the portal, or by POST /admin/v1/approvals, and read for the \
    same purpose once it is given";
/// What the purpose of an approval begins with that is given for erasing; such a one gives no leave to read.
pub(crate) const ERASING: &str = "erase: ";
/// Requests of one person that may wait at once.
const WAITING_MAX: usize = 16;
/// Seconds for which a request waits.
const WAITING_S: i64 = 86_400;

/// Whether somebody has to approve, and for how long it holds; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Approvals {
    /// Seconds for which an approval holds; none if nobody has to approve.
    holds_s: Option<i64>,
    /// Held from the count of those that wait until one more does.
    turn: Arc<Mutex<()>>,
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
        Self { holds_s, ..Self::default() }
    }

    /// Whether reading content takes an approval.
    pub(crate) fn is_needed(&self) -> bool {
        self.holds_s.is_some()
    }

    /// Held by whoever makes a request, from the count of those that wait until there is one more.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A new request beside those that are kept.
    pub(crate) fn request(
        &self,
        kept: &[Approval],
        principal: &Principal,
        purpose: &str,
        now_s: i64,
    ) -> Result<Approval, Problem> {
        if self.holds_s.is_none() {
            let text = "nobody has to approve here: state the purpose and read";
            return Err(Problem::new(409, text));
        }
        let purpose = purpose.trim();
        if purpose.is_empty() || purpose.chars().count() > PURPOSE_CHARS_MAX {
            let text = format!("`purpose` has 1 to {PURPOSE_CHARS_MAX} characters");
            return Err(Problem::new(422, text));
        }
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

    /// One of those that are kept, as somebody decides it.
    pub(crate) fn decided(
        &self,
        approval: Option<Approval>,
        principal: &Principal,
        is_approved: bool,
        now_s: i64,
    ) -> Result<Approval, Problem> {
        let mut approval = approval.ok_or_else(|| {
            Problem::new(404, "there is no such approval, or it is too old: list those that wait")
        })?;
        if approval.requester_id == principal.id {
            let text = "you asked for it yourself: it takes another person";
            return Err(Problem::new(403, text));
        }
        if approval.purpose.starts_with(ERASING) && !principal.has(Role::Administrator) {
            let text = "it is about erasing, so it takes another administrator";
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
            approval.ends_at_s = now_s.saturating_add(self.holds_s.unwrap_or(0));
        } else {
            approval.state = ApprovalState::Denied;
            approval.ends_at_s = now_s;
        }
        Ok(approval)
    }
}

/// Whether this person may erase for this purpose, by those that are kept.
pub(crate) fn leave_to_erase(kept: &[Approval], principal: &Principal, purpose: &str) -> Leave {
    given(kept, principal, &format!("{ERASING}{}", purpose.trim()))
}

/// Whether this person may read content for this purpose, by those that are kept.
pub(crate) fn leave(kept: &[Approval], principal: &Principal, purpose: &str) -> Leave {
    match purpose.trim() {
        erasing if erasing.starts_with(ERASING) => Leave::Missing,
        reading => given(kept, principal, reading),
    }
}

fn given(kept: &[Approval], principal: &Principal, purpose: &str) -> Leave {
    let given = kept.iter().find(|one| {
        one.state == ApprovalState::Approved
            && one.requester_id == principal.id
            && one.purpose == purpose
    });
    given.map_or(Leave::Missing, |one| Leave::Given(one.approver_id.clone()))
}

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

    fn at(approval: &Approval, now_s: i64) -> [Approval; 1] {
        [approval.clone().at(now_s)]
    }

    #[test]
    fn another_person_approves_for_a_purpose_and_for_a_while() {
        let (ada, bob) = (person("ada"), person("bob"));
        let approvals = needed();
        assert_eq!(leave(&[], &ada, "case 7"), Leave::Missing);
        let asked = approvals.request(&[], &ada, " case 7 ", 0).expect("it may be asked for");
        assert_eq!(leave(&at(&asked, 0), &ada, "case 7"), Leave::Missing, "nobody has decided");
        let decide = |approval: &Approval, who: &Principal, now_s| {
            approvals.decided(Some(approval.clone().at(now_s)), who, true, now_s)
        };
        assert_eq!(decide(&asked, &ada, 1).expect_err("her own").status, 403);
        let decided = decide(&asked, &bob, 1).expect("he may");
        let given = Leave::Given("bob".into());
        assert_eq!(leave(&at(&decided, 600), &ada, "case 7 "), given);
        assert_eq!(leave(&at(&decided, 600), &ada, "case 8"), Leave::Missing, "another purpose");
        assert_eq!(leave(&at(&decided, 600), &bob, "case 7"), Leave::Missing, "another person");
        assert_eq!(leave(&at(&decided, 601), &ada, "case 7"), Leave::Missing, "its time is over");
        assert_eq!(decide(&decided, &bob, 602).expect_err("it has ended").status, 409);
    }

    #[test]
    fn an_approval_to_erase_is_another_administrators_and_none_to_read() {
        let (ada, bob) = (person("ada"), person("bob"));
        let admin = Principal { roles: [Role::Administrator].into(), ..person("cleo") };
        let approvals = needed();
        let asked = approvals.request(&[], &ada, "erase: case 7", 0).expect("it may be asked for");
        let by = |who| approvals.decided(Some(asked.clone()), who, true, 1);
        assert_eq!(by(&bob).expect_err("no administrator").status, 403);
        let kept = at(&by(&admin).expect("she may"), 2);
        assert_eq!(leave_to_erase(&kept, &ada, " case 7"), Leave::Given("cleo".into()));
        assert_eq!(leave_to_erase(&kept, &ada, "case 8"), Leave::Missing);
        for purpose in ["case 7", "erase: case 7"] {
            assert_eq!(leave(&kept, &ada, purpose), Leave::Missing, "{purpose}");
        }
    }

    #[test]
    fn what_was_denied_or_waited_too_long_gives_no_leave() {
        let (ada, bob) = (person("ada"), person("bob"));
        let approvals = needed();
        let asked = approvals.request(&[], &ada, "case 7", 0).expect("it may be asked for");
        let denied = approvals.decided(Some(asked.clone()), &bob, false, 1).expect("he may");
        assert_eq!(leave(&at(&denied, 2), &ada, "case 7"), Leave::Missing);
        let again = approvals.decided(Some(denied), &bob, true, 2);
        assert_eq!(again.expect_err("decided").status, 409);
        let late = approvals.decided(Some(asked.at(WAITING_S)), &bob, true, WAITING_S);
        assert_eq!(late.expect_err("too late").status, 409);
        assert_eq!(approvals.decided(None, &bob, true, 2).expect_err("none").status, 404);
    }

    #[test]
    fn requests_are_bounded_and_none_is_taken_where_nobody_has_to_approve() {
        let approvals = needed();
        let ada = person("ada");
        let mut kept = Vec::new();
        for _ in 0..WAITING_MAX {
            kept.push(approvals.request(&kept, &ada, "case", 0).expect("there is room"));
        }
        let too_many = approvals.request(&kept, &ada, "case", 0);
        assert_eq!(too_many.expect_err("too many").status, 429);
        let other = approvals.request(&kept, &person("x"), "case", 0);
        assert_eq!(other.expect("another person").requester_id, "x");
        let ended: Vec<_> = kept.into_iter().map(|one| one.at(WAITING_S)).collect();
        assert!(approvals.request(&ended, &ada, "case", WAITING_S).is_ok(), "none waits any more");
        let nothing = approvals.request(&[], &ada, " ", 0);
        assert_eq!(nothing.expect_err("for nothing").status, 422);
        let free = Approvals::new(None).request(&[], &ada, "case", 0);
        assert_eq!(free.expect_err("not needed").status, 409);
    }
}

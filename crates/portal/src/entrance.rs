//! The door of this listener: who has proved who they are comes in, if they may; whatever happens is
//! on record.

use control::{Action, Author, Decree, Error};
use event::SecurityEvent;
use policy::{Principal, PrincipalKind, Role};
use uuid::Uuid;

use crate::clock::unix_seconds;
use crate::inner::Portal;
use crate::problem::Problem;
use crate::sign_in::{Arrived, Onward};
use crate::visit::{Refusal, Visit};

impl Portal {
    /// Lets in who has arrived, or not; either is an event.
    pub(crate) async fn enter(
        &self,
        mut visit: Visit,
        arrived: Result<Arrived, (Refusal, String)>,
    ) -> Result<Onward, Problem> {
        let entered = match arrived {
            Ok(arrived) => {
                visit.target.clone_from(&arrived.target);
                self.let_in(&visit, arrived).await
            }
            Err((refusal, target)) => {
                visit.target = target;
                Err(refusal)
            }
        };
        match entered {
            Ok((principal, onward)) => {
                tracing::info!(principal = principal.id, target = visit.target, "signed in");
                let event = visit.event("sign_in", "informational", "");
                (self.watch)(SecurityEvent { principal_id: principal.id, ..event });
                Ok(onward)
            }
            Err(Refusal { reason, problem }) => {
                let event = visit.event("sign_in_failed", "warning", reason);
                (self.watch)(SecurityEvent { message: problem.detail.clone(), ..event });
                Err(problem)
            }
        }
    }

    async fn let_in(
        &self,
        visit: &Visit,
        arrived: Arrived,
    ) -> Result<(Principal, Onward), Refusal> {
        let mut principal = self.sign_in.principal(&arrived.who)?;
        if !arrived.set_up.is_empty() {
            self.set_up(visit, &principal, &arrived.set_up).await?;
        }
        self.control.live().decree.complete(&mut principal);
        if principal.roles.is_empty() {
            let detail = format!(
                "{} ({}) holds no role here: have an administrator map one of your groups or app roles \
                 under `admin.roles`, or give you one with `gatehouse role set`",
                principal.name, principal.id
            );
            return Err(Refusal::new("no_role", Problem::new(403, detail)));
        }
        if principal.kind == PrincipalKind::Local {
            let action = action("break_glass/sign_in", "account", &principal.id);
            self.control.record(&author(visit, &principal), &action, "succeeded").await?;
        }
        Ok((principal, self.sign_in.begin_session(arrived)))
    }

    /// The set-up link makes somebody the first administrator.
    async fn set_up(
        &self,
        visit: &Visit,
        principal: &Principal,
        token: &str,
    ) -> Result<(), Refusal> {
        if !self.sign_in.set_up().holds(token, unix_seconds()) {
            let text = "this set-up link is used up, too old or was replaced: `gatehouse set-up` makes \
                        another, or sign in without it";
            return Err(Refusal::new("set_up_invalid", Problem::new(403, text)));
        }
        let id = principal.id.clone();
        let has_one = self.sign_in.has_administrator();
        let edit = move |decree: &mut Decree| {
            if has_one || decree.has_administrator() {
                return Err(Error::conflict(
                    "somebody is administrator already: sign in without the set-up link",
                ));
            }
            decree.add_to_role(Role::Administrator, &id);
            Ok(())
        };
        let mut action = action("set_up/complete", "role", Role::Administrator.name());
        action.message = "by the set-up link".to_owned();
        self.control
            .change(&author(visit, principal), &action, edit)
            .await
            .map_err(|error| Refusal::new("set_up_refused", error.into()))?;
        if let Err(error) = self.sign_in.set_up().end() {
            // It does nothing any more: there is an administrator.
            tracing::warn!(%error, "the file of the set-up link is still there");
        }
        let event = visit.event("set_up", "warning", "");
        (self.watch)(SecurityEvent { principal_id: principal.id.clone(), ..event });
        Ok(())
    }
}

fn action(operation: &'static str, kind: &'static str, id: &str) -> Action {
    Action { operation, kind, id: id.to_owned(), ..Action::default() }
}

fn author(visit: &Visit, principal: &Principal) -> Author {
    Author {
        principal: principal.clone(),
        address: visit.address.clone(),
        via: "portal",
        correlation_id: Uuid::now_v7().to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Approvals of reading content: who asked, who decided, until when. They are rows of the database, so a restart
//! forgets none and gateways share them. Who may ask and who may decide is not said here.

use schemars::JsonSchema;
use serde::Serialize;

use crate::control::{Author, Control, within};
use crate::database::{APPROVALS_MAX, Database};
use crate::error::Error;
use crate::record::{self, Action};

/// How an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
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
pub struct Approval {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: ApprovalState,
    /// What content is to be read for; a read states the same words.
    pub purpose: String,
    /// Id of who asks.
    pub requester_id: String,
    /// Name of who asks.
    pub requester_name: String,
    /// When it was asked for, in seconds since 1970.
    pub requested_at_s: i64,
    /// Id of who decided; empty while it waits.
    pub approver_id: String,
    /// Name of who decided.
    pub approver_name: String,
    /// When it ends, in seconds since 1970: the wait, or what was approved.
    pub ends_at_s: i64,
}

impl ApprovalState {
    /// As it is kept.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Ended => "ended",
        }
    }

    /// As it was kept. A word that is not known gives no leave.
    pub(crate) fn of_word(word: &str) -> Self {
        let known = [Self::Waiting, Self::Approved, Self::Denied];
        known.into_iter().find(|state| state.word() == word).unwrap_or(Self::Ended)
    }
}

impl Approval {
    /// As it stands at this time.
    #[must_use]
    pub fn at(mut self, now_s: i64) -> Self {
        let may_end = [ApprovalState::Waiting, ApprovalState::Approved].contains(&self.state);
        if may_end && self.ends_at_s <= now_s {
            self.state = ApprovalState::Ended;
        }
        self
    }
}

impl Control {
    /// Approvals as they stand at a time, newest first.
    pub async fn approvals(&self, now_s: i64) -> Result<Vec<Approval>, Error> {
        let kept = within(self.approvals_database().await?.approvals()).await?;
        Ok(kept.into_iter().map(|approval| approval.at(now_s)).collect())
    }

    /// Keeps a new request, or what somebody decided about one that waits. The record of it comes first.
    pub async fn keep_approval(
        &self,
        author: &Author,
        action: &Action,
        approval: &Approval,
    ) -> Result<(), Error> {
        let ledger = &self.0.ledger;
        let record = record::action(ledger, author, action, "succeeded");
        let kept = async {
            let database = self.approvals_database().await?;
            within(database.keep_approval(approval, APPROVALS_MAX, Box::pin(record))).await
        };
        let kept = kept.await;
        if let Err(error) = &kept {
            let failed = Action { message: error.to_string(), ..action.clone() };
            record::action(ledger, author, &failed, "failed").await?;
        }
        kept
    }

    /// The database that keeps them, its table made.
    async fn approvals_database(&self) -> Result<&dyn Database, Error> {
        let inner = &*self.0;
        let database = &*inner.approvals;
        inner.approvals_prepared.get_or_try_init(|| within(database.prepare())).await?;
        Ok(database)
    }
}

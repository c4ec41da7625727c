//! Approvals of reading content are rows of the database, so a restart forgets none and gateways share them. Who may
//! ask and who may decide is not said here.

use crate::approval::Approval;
use crate::control::{Control, within};
use crate::database::{APPROVALS_MAX, Database};
use crate::error::Error;
use crate::record::{self, Action, Author};

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

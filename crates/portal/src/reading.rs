//! A query of the record by somebody: what they may see of it, and the record of the look itself.
//!
//! Every way to rows goes through [`Portal::ask`]. What a run may see follows from roles alone; a read of
//! prompts or answers is on record, durable, before anything of the result leaves this function.

use std::time::SystemTime;

use event::{ContentRead, Json, Note, Timestamp};
use kql::{Access, Content, Export, FileFormat, Frame, Options, QueryError, QueryErrorKind, Rows};
use policy::{Principal, Role};
use tokio::sync::OwnedSemaphorePermit;

use crate::access::Caller;
use crate::clock::unix_seconds;
use crate::inner::Portal;
use crate::leave::{Leave, MISSING, PURPOSE_CHARS_MAX, leave};

/// The header, and the request property, that says what content is read for.
pub(crate) const PURPOSE: &str = "x-gatehouse-purpose";

/// A query and what it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// KQL.
    pub(crate) query: &'a str,
    /// What content is read for, in the reader's words; empty if nothing was stated.
    pub(crate) purpose: &'a str,
    /// Through what, where it is not what the caller came through.
    pub(crate) via: Option<&'static str>,
}

impl Portal {
    /// Runs a query as far as its caller may see, and records the read of content, if it was one.
    pub(crate) async fn ask(
        &self,
        asked: &Asked<'_>,
        options: Options,
    ) -> Result<Frame, QueryError> {
        let _running = self.begin(asked)?;
        let leave = self.leave_of(asked).await?;
        let options = entitled(asked, &leave, options);
        let result = self.engine.run(asked.query, &options).await;
        let result = result.map_err(|error| told(error, &leave));
        let read = match &result {
            Ok(frame) => &frame.content_columns[..],
            Err(error) => error.content_columns(),
        };
        self.note_read(asked, &leave, read).await?;
        result
    }

    /// Begins a file of what a query answers, as far as its caller may see, and records the read of content,
    /// if it is one. The place among the running queries is to be held until the file ends.
    pub(crate) async fn ask_file(
        &self,
        asked: &Asked<'_>,
        options: Options,
        format: FileFormat,
    ) -> Result<(Export, OwnedSemaphorePermit), QueryError> {
        let running = self.begin(asked)?;
        let leave = self.leave_of(asked).await?;
        let options = entitled(asked, &leave, options);
        let result = self.engine.export(asked.query, &options, format).await;
        let result = result.map_err(|error| told(error, &leave));
        let read = match &result {
            Ok(export) => &export.content_columns[..],
            Err(error) => error.content_columns(),
        };
        self.note_read(asked, &leave, read).await?;
        Ok((result?, running))
    }

    /// Whether this person may read content for this purpose now.
    pub(crate) async fn leave(
        &self,
        principal: &Principal,
        purpose: &str,
    ) -> Result<Leave, control::Error> {
        let is_free = !self.approvals.is_needed();
        if is_free || !sees_content(principal) || purpose.trim().is_empty() {
            return Ok(Leave::Free);
        }
        Ok(leave(&self.control.approvals(unix_seconds()).await?, principal, purpose))
    }

    /// Whether its content may be read, where that takes an approval.
    async fn leave_of(&self, asked: &Asked<'_>) -> Result<Leave, QueryError> {
        let leave = self.leave(&asked.caller.principal, asked.purpose).await;
        leave.map_err(|error| {
            let text = format!("whether somebody approved of it cannot be looked up: {error}");
            QueryError::new(QueryErrorKind::Internal, text)
        })
    }

    /// A place among the queries that may run at once.
    fn begin(&self, asked: &Asked<'_>) -> Result<OwnedSemaphorePermit, QueryError> {
        if asked.purpose.chars().count() > PURPOSE_CHARS_MAX {
            let text = format!("a purpose has at most {PURPOSE_CHARS_MAX} characters");
            return Err(QueryError::new(QueryErrorKind::Forbidden, text));
        }
        self.running.clone().try_acquire_owned().map_err(|_| {
            let text = "too many queries are running: try again when one has ended";
            QueryError::new(QueryErrorKind::Throttled, text)
        })
    }

    /// Returns when the read of these columns is on record; there is none without a column.
    async fn note_read(
        &self,
        asked: &Asked<'_>,
        leave: &Leave,
        columns: &[String],
    ) -> Result<(), QueryError> {
        if columns.is_empty() {
            return Ok(());
        }
        let Caller { principal, address, via, correlation_id } = asked.caller;
        let note = ContentRead {
            time_generated: Timestamp::from(SystemTime::now()),
            principal_id: principal.id.clone(),
            principal_name: principal.name.clone(),
            principal_kind: principal.kind.name().into(),
            caller_ip_address: address.clone(),
            via: asked.via.unwrap_or(via).into(),
            purpose: asked.purpose.trim().into(),
            approver_id: leave.approver().into(),
            query: asked.query.into(),
            columns: Json(serde_json::json!(columns).to_string()),
            correlation_id: correlation_id.clone(),
            ..ContentRead::default()
        };
        let kept = self.record.keep(Note::ContentRead(note)).await;
        kept.map_err(|reason| {
            tracing::error!(reason, "a read of content could not be recorded and was not shown");
            let text = "the read could not be recorded, so nothing is shown: see /readyz?verbose";
            QueryError::new(QueryErrorKind::Internal, text)
        })
    }
}

/// The options of a run, with what its caller may see.
fn entitled(asked: &Asked<'_>, leave: &Leave, options: Options) -> Options {
    let principal = &asked.caller.principal;
    // Without an approval the purpose counts as not stated.
    let purpose = if *leave == Leave::Missing { "" } else { asked.purpose };
    Options {
        access: access(principal, purpose),
        principal: Some(name(principal).to_owned()),
        ..options
    }
}

/// Who lacks an approval only is told so.
fn told(error: QueryError, leave: &Leave) -> QueryError {
    let is_missing = *leave == Leave::Missing && error.kind() == QueryErrorKind::Forbidden;
    if is_missing { QueryError::new(error.kind(), MISSING) } else { error }
}

/// Content may be shown to this person at all.
pub(crate) fn sees_content(principal: &Principal) -> bool {
    principal.has(Role::ContentReader)
}

/// What the queries of a principal may see. A content reader who states no purpose may see all but
/// content, and is refused what would show it.
pub(crate) fn access(principal: &Principal, purpose: &str) -> Access {
    if sees_content(principal) {
        let content = match purpose.trim() {
            "" => Content::WithoutPurpose,
            _ => Content::Readable,
        };
        return Access { rows: Rows::All, content };
    }
    let sees_all = [Role::Administrator, Role::Operator, Role::UsageReader];
    if sees_all.into_iter().any(|role| principal.has(role)) {
        return Access::without_content();
    }
    if principal.has(Role::Subscriber) {
        return Access::of_subscriptions(principal.subscriptions.iter().cloned());
    }
    Access::default()
}

/// What `current_principal()` answers.
fn name(principal: &Principal) -> &str {
    if principal.name.is_empty() { &principal.id } else { &principal.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(roles: &[Role]) -> Principal {
        Principal {
            roles: roles.iter().copied().collect(),
            subscriptions: vec!["mine".into(), String::new()],
            ..Principal::default()
        }
    }

    #[test]
    fn roles_decide_what_is_seen_and_none_sees_nothing() {
        assert_eq!(access(&with(&[]), "audit"), Access::default());
        for role in [Role::Administrator, Role::Operator, Role::UsageReader] {
            assert_eq!(access(&with(&[role]), "audit"), Access::without_content(), "{role}");
        }
        let own = Access::of_subscriptions(["mine".to_owned()]);
        assert_eq!(access(&with(&[Role::Subscriber]), "audit"), own);
        assert_eq!(
            access(&with(&[Role::Subscriber, Role::UsageReader]), ""),
            Access::without_content()
        );
        assert_eq!(access(&with(&[Role::ContentReader]), "audit"), Access::everything());
        assert_eq!(access(&with(&[Role::ContentReader]), " ").content, Content::WithoutPurpose);
    }
}

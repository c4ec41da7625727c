//! An approval of reading content: who asked, who decided, until when.

use schemars::JsonSchema;
use serde::Serialize;

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

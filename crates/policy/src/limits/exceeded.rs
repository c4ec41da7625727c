//! A limit that a call does not fit into, in API Management's words.

use std::sync::Arc;
use std::time::Duration;

use super::{Limit, Measure, Window};

/// A call does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Name of the counter.
    pub counter: String,
    /// The limit on it.
    pub limit: Arc<Limit>,
    /// When to come back; none if the call can never fit, because its firm part is above the limit.
    pub wait: Option<Duration>,
}

impl Exceeded {
    /// 429 for rates, 403 for quotas.
    pub fn status(&self) -> u16 {
        if self.is_quota() { 403 } else { 429 }
    }

    /// The reason as API Management names it.
    pub fn reason(&self) -> &'static str {
        match (self.limit.measure, self.limit.window) {
            (Measure::Tokens, _) => "OpenAITokenLimitExceeded",
            (_, Window::Fixed(_)) => "QuotaExceeded",
            (_, Window::Sliding(_) | Window::InFlight) => "RateLimitExceeded",
        }
    }

    /// It counts over a calendar period: coming back soon does not help.
    pub fn is_quota(&self) -> bool {
        matches!(self.limit.window, Window::Fixed(_))
    }

    /// What to tell the caller.
    pub fn message(&self) -> String {
        let seconds = self.seconds();
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
        let Limit { measure, window, amount, .. } = &*self.limit;
        if self.wait.is_none() {
            return match measure {
                Measure::Tokens => format!(
                    "Token limit is exceeded. The prompt alone has more tokens than the limit of {amount}: shorten it."
                ),
                _ => "Out of cost quota. The prompt alone costs more than the quota: shorten it."
                    .into(),
            };
        }
        match (measure, window) {
            (Measure::Calls, Window::InFlight) => format!(
                "Concurrency limit is exceeded: {amount} calls are in flight. Try again in {seconds} seconds."
            ),
            (Measure::Calls, Window::Sliding(_)) => {
                format!("Rate limit is exceeded. Try again in {seconds} seconds.")
            }
            (Measure::Tokens, Window::Sliding(_) | Window::InFlight) => {
                format!("Token limit is exceeded. Try again in {seconds} seconds.")
            }
            (Measure::Tokens, Window::Fixed(_)) => format!(
                "Token quota is exceeded. Try again in {} minutes and {} seconds.",
                seconds / 60,
                seconds % 60
            ),
            (Measure::Calls, Window::Fixed(_)) => {
                format!("Out of call volume quota. Quota will be replenished in {clock}.")
            }
            (Measure::Money, _) => {
                format!("Out of cost quota. Quota will be replenished in {clock}.")
            }
        }
    }

    /// Whole seconds to wait, at least one.
    pub fn seconds(&self) -> u64 {
        let wait = self.wait.unwrap_or_default();
        (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
    }
}

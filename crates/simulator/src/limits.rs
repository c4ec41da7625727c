//! Tokens and requests per minute, as Azure counts them: estimated at arrival, not from the bill.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Deployment;

const TOKEN_WINDOW: Duration = Duration::from_secs(60);
const REQUEST_WINDOW: Duration = Duration::from_secs(10);

/// Requests per minute that come with so many tokens per minute.
pub(crate) fn requests_limit(tpm: u64) -> u64 {
    (tpm / 1000 * 6).max(6)
}

/// What is left after a request was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) tokens_limit: u64,
    pub(crate) tokens_left: u64,
    pub(crate) requests_limit: u64,
    pub(crate) requests_left: u64,
}

/// Why a request came too early.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooMany {
    /// Whether tokens ran out; else requests did.
    pub(crate) tokens: bool,
    pub(crate) limit: u64,
    pub(crate) wait: Duration,
}

struct Windows {
    tokens_since: Instant,
    tokens: u64,
    requests_since: Instant,
    requests: u64,
}

/// The windows of each deployment; there are as many as deployments.
#[derive(Default)]
pub(crate) struct Limits {
    windows: Mutex<HashMap<String, Windows>>,
}

impl Limits {
    /// Counts a request of an estimated number of tokens.
    pub(crate) fn take(
        &self,
        deployment: &Deployment,
        tokens: u64,
        now: Instant,
    ) -> Result<Allowance, TooMany> {
        let tokens_limit = deployment.tpm;
        let requests_limit = requests_limit(deployment.tpm);
        let in_window = deployment.tpm.div_ceil(1000).max(1);
        let mut windows = self.windows.lock().expect("no holder of this lock panics");
        if !windows.contains_key(&deployment.name) {
            let fresh = Windows { tokens_since: now, tokens: 0, requests_since: now, requests: 0 };
            windows.insert(deployment.name.clone(), fresh);
        }
        let window = windows.get_mut(&deployment.name).expect("it was just inserted");
        if now.duration_since(window.tokens_since) >= TOKEN_WINDOW {
            (window.tokens_since, window.tokens) = (now, 0);
        }
        if now.duration_since(window.requests_since) >= REQUEST_WINDOW {
            (window.requests_since, window.requests) = (now, 0);
        }
        if window.tokens + tokens > tokens_limit {
            let wait = TOKEN_WINDOW - now.duration_since(window.tokens_since);
            return Err(TooMany { tokens: true, limit: tokens_limit, wait });
        }
        if window.requests >= in_window {
            let wait = REQUEST_WINDOW - now.duration_since(window.requests_since);
            return Err(TooMany { tokens: false, limit: requests_limit, wait });
        }
        window.tokens += tokens;
        window.requests += 1;
        Ok(Allowance {
            tokens_limit,
            tokens_left: tokens_limit - window.tokens,
            requests_limit,
            requests_left: requests_limit.saturating_sub(window.requests),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_requests_run_out_and_come_back() {
        let limits = Limits::default();
        let deployment = Deployment { tpm: 2000, ..Deployment::default() };
        let now = Instant::now();
        assert_eq!(limits.take(&deployment, 500, now).unwrap().tokens_left, 1500);
        let tokens = limits.take(&deployment, 1501, now).unwrap_err();
        assert!(tokens.tokens);
        assert_eq!(tokens.wait, TOKEN_WINDOW);
        limits.take(&deployment, 1, now).unwrap();
        let requests = limits.take(&deployment, 1, now).unwrap_err();
        assert!(!requests.tokens);
        assert!(limits.take(&deployment, 1, now + REQUEST_WINDOW).is_ok());
        assert!(limits.take(&deployment, 2000, now + TOKEN_WINDOW).is_ok());
    }
}

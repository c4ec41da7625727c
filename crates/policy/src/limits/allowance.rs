//! All limits that hold for one subscription, and those of them that one call meets.

use std::fmt::Write;
use std::sync::Arc;

use super::{KeyPart, Limit, Measure, Window};

/// What a subscription may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Limits that count.
    pub limits: Vec<Arc<Limit>>,
    /// Most answer tokens that a call may ask for.
    pub max_tokens: Option<u64>,
    /// Longest request body.
    pub body_bytes_max: Option<u64>,
}

/// Whose call it is, of what: the values that counter keys are made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallKey<'a> {
    /// Product; may be empty.
    pub product: &'a str,
    /// Subscription.
    pub subscription: &'a str,
    /// Owner; may be empty.
    pub user: &'a str,
    /// Deployment or model; may be empty.
    pub deployment: &'a str,
}

/// A limit that a call meets, and its counter's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Name of the counter, such as `tokens/60s|subscription=team`.
    pub counter: String,
    /// The limit.
    pub limit: Arc<Limit>,
}

impl Allowance {
    /// Something is limited that is told from the whole call.
    pub fn is_limited(&self) -> bool {
        self.max_tokens.is_some() || !self.limits.is_empty()
    }

    /// The limits that a call meets: of several on one counter the strictest. One that `spends_tokens`
    /// not meets those of calls only.
    pub fn applied(&self, call: &CallKey<'_>, spends_tokens: bool) -> Vec<Applied> {
        let mut all: Vec<Applied> = Vec::with_capacity(self.limits.len());
        for limit in &self.limits {
            let is_met = (spends_tokens || limit.measure == Measure::Calls)
                && (limit.deployments.is_empty()
                    || limit.deployments.iter().any(|name| name == call.deployment));
            let Some(counter) = is_met.then(|| counter(limit, call)).flatten() else { continue };
            match all.iter_mut().find(|applied| applied.counter == counter) {
                Some(known) if limit.amount < known.limit.amount => known.limit = limit.clone(),
                Some(_) => {}
                None => all.push(Applied { counter, limit: limit.clone() }),
            }
        }
        all
    }

    /// Adds what further limits allow; of two bounds the lower holds.
    pub(crate) fn narrow(&mut self, other: &Self) {
        let lower = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.limits.extend(other.limits.iter().cloned());
        self.max_tokens = lower(self.max_tokens, other.max_tokens);
        self.body_bytes_max = lower(self.body_bytes_max, other.body_bytes_max);
    }
}

impl Applied {
    /// Measure and window that a counter's name tells; none if it is no counter's name.
    pub fn parse(counter: &str) -> Option<(Measure, Window)> {
        let (measure, rest) = counter.split('|').next()?.split_once('/')?;
        let measures = [Measure::Calls, Measure::Tokens, Measure::Money];
        let measure = measures.into_iter().find(|known| known.name() == measure)?;
        Some((measure, Window::from_name(rest)?))
    }
}

/// The counter of a call; none if the call has no deployment and the key wants one.
fn counter(limit: &Limit, call: &CallKey<'_>) -> Option<String> {
    let mut name = format!("{}/{}", limit.measure, limit.window);
    for part in &limit.key {
        let (part, value) = match part {
            KeyPart::Product if !call.product.is_empty() => ("product", call.product),
            KeyPart::User if !call.user.is_empty() => ("user", call.user),
            KeyPart::Product => ("no-product-subscription", call.subscription),
            KeyPart::User => ("no-user-subscription", call.subscription),
            KeyPart::Subscription => ("subscription", call.subscription),
            KeyPart::Deployment if call.deployment.is_empty() => return None,
            KeyPart::Deployment => ("deployment", call.deployment),
        };
        name.push('|');
        name.push_str(part);
        name.push('=');
        for letter in value.chars() {
            match letter {
                // What would let two values look like one; control characters also for the log's sake.
                '|' | '%' | '\0'..=' ' => {
                    write!(name, "%{:02X}", u32::from(letter)).expect("a String takes all");
                }
                _ => name.push(letter),
            }
        }
    }
    Some(name)
}

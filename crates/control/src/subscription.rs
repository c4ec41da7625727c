//! What can become of a subscription. Pure: time and keys are arguments.

use std::time::Duration;

use event::Timestamp;
use policy::{LimitConfig, Moment, RetiredKey, SubscriptionConfig, SubscriptionState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decree::Decree;
use crate::error::{Error, ErrorKind};

/// Retired keys of one subscription that may be in their grace at once.
const RETIRED_MAX: usize = 4;
/// Longest grace.
const GRACE_MAX: Duration = Duration::from_secs(90 * 86_400);

/// A subscription to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubscription {
    /// Its id.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Product it gives access to; empty gives access to everything.
    #[serde(default)]
    pub product: String,
    /// Owner: the id of a principal; may be empty.
    #[serde(default)]
    pub owner: String,
    /// It waits for approval, and its keys are refused until then.
    #[serde(default)]
    pub submitted: bool,
    /// When its keys stop to work.
    #[serde(default)]
    pub expires_at: Option<Moment>,
}

/// What changes of a subscription; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionPatch {
    /// Product it gives access to.
    pub product: Option<String>,
    /// Owner.
    pub owner: Option<String>,
    /// When its keys stop to work.
    pub expires_at: Option<Moment>,
    /// Its keys do not stop to work by themselves.
    pub never_expires: bool,
    /// Deployments allowed.
    pub deployments: Option<Vec<String>>,
    /// What it may use.
    pub limits: Option<Vec<LimitConfig>>,
}

/// A step from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A submitted one becomes active.
    Approve,
    /// A submitted one is refused.
    Reject,
    /// An active one is held off.
    Suspend,
    /// A suspended one is active again.
    Activate,
    /// It ends for good.
    Cancel,
}

/// One of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeySlot {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl Step {
    /// The step as a verb.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Suspend => "suspend",
            Self::Activate => "activate",
            Self::Cancel => "cancel",
        }
    }

    /// Where it leads from there; none if it cannot be taken.
    const fn from(self, state: SubscriptionState) -> Option<SubscriptionState> {
        use SubscriptionState::{Active, Cancelled, Rejected, Submitted, Suspended};
        match (self, state) {
            (Self::Approve, Submitted) | (Self::Activate, Suspended) => Some(Active),
            (Self::Reject, Submitted) => Some(Rejected),
            (Self::Suspend, Active) => Some(Suspended),
            (Self::Cancel, Submitted | Active | Suspended) => Some(Cancelled),
            _ => None,
        }
    }
}

impl Decree {
    /// The subscription.
    pub fn subscription(&self, id: &str) -> Result<&SubscriptionConfig, Error> {
        let found = self.subscriptions.iter().find(|subscription| subscription.id == id);
        found.ok_or_else(|| Error::missing("subscription", id))
    }

    pub(crate) fn subscription_mut(&mut self, id: &str) -> Result<&mut SubscriptionConfig, Error> {
        let found = self.subscriptions.iter_mut().find(|subscription| subscription.id == id);
        found.ok_or_else(|| Error::missing("subscription", id))
    }

    /// Adds a subscription whose keys have these hashes.
    pub fn subscribe(&mut self, new: &NewSubscription, hashes: [String; 2]) -> Result<(), Error> {
        if self.subscription(&new.id).is_ok() {
            let text = format!("subscription `{}` is there already: choose another id", new.id);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        if new.id.is_empty() || new.id.len() > 128 || !new.id.bytes().all(is_plain) {
            return Err(Error::invalid(
                "the id of a subscription has 1 to 128 letters, digits, `-`, `_`, `.`, `@` or `:`",
            ));
        }
        let [primary_key_hash, secondary_key_hash] = hashes;
        let state = match new.submitted {
            true => SubscriptionState::Submitted,
            false => SubscriptionState::Active,
        };
        self.subscriptions.push(SubscriptionConfig {
            id: new.id.clone(),
            product: new.product.clone(),
            owner: new.owner.clone(),
            state,
            expires_at: new.expires_at,
            primary_key_hash,
            secondary_key_hash,
            ..SubscriptionConfig::default()
        });
        Ok(())
    }

    /// Changes what the patch names.
    pub fn patch(&mut self, id: &str, patch: &SubscriptionPatch) -> Result<(), Error> {
        let subscription = self.subscription_mut(id)?;
        let SubscriptionPatch { product, owner, expires_at, never_expires, deployments, limits } =
            patch.clone();
        subscription.product = product.unwrap_or_else(|| subscription.product.clone());
        subscription.owner = owner.unwrap_or_else(|| subscription.owner.clone());
        subscription.expires_at = match never_expires {
            true => None,
            false => expires_at.or(subscription.expires_at),
        };
        if let Some(deployments) = deployments {
            subscription.deployments = deployments;
        }
        if let Some(limits) = limits {
            subscription.limits = limits;
        }
        Ok(())
    }

    /// Takes a step with a subscription.
    pub fn step(&mut self, id: &str, step: Step) -> Result<(), Error> {
        let subscription = self.subscription_mut(id)?;
        let next = step.from(subscription.state).ok_or_else(|| {
            let state = subscription.state.name();
            let text = format!("subscription `{id}` is {state}: it cannot {} now", step.name());
            Error::new(ErrorKind::Conflict, text)
        })?;
        subscription.state = next;
        Ok(())
    }

    /// Gives a subscription another key; the one before goes on to work for the grace.
    pub fn rotate(
        &mut self,
        id: &str,
        slot: KeySlot,
        hash: String,
        (now, grace): (Timestamp, Duration),
    ) -> Result<(), Error> {
        if grace > GRACE_MAX {
            return Err(Error::invalid("the grace is at most 7776000 seconds (90 days)"));
        }
        let subscription = self.subscription_mut(id)?;
        subscription.retired_keys.retain(|key| key.valid_until.timestamp() > now);
        let place = match slot {
            KeySlot::Primary => &mut subscription.primary_key_hash,
            KeySlot::Secondary => &mut subscription.secondary_key_hash,
        };
        let before = std::mem::replace(place, hash);
        if grace.is_zero() || before.is_empty() {
            return Ok(());
        }
        if subscription.retired_keys.len() >= RETIRED_MAX {
            let text = format!(
                "subscription `{id}` has {RETIRED_MAX} keys in their grace: wait, or rotate without grace"
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_unix_micros(now.unix_micros().saturating_add(grace));
        let valid_until = Moment::from(until);
        subscription.retired_keys.push(RetiredKey { key_hash: before, valid_until });
        Ok(())
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':')
}

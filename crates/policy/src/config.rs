//! Products and subscriptions as they stand in the configuration file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::error::RulesError;
use crate::limits::LimitConfig;
use crate::moment::Moment;
use crate::networks::NetworkConfig;

/// What the subscription id of a caller with a token begins with; no subscription may be called so.
pub(crate) const MEMBER_PREFIX: &str = "user:";

/// What a set of subscriptions may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProductConfig {
    /// Name that subscriptions refer to and that stands in `ProductId`.
    pub id: String,
    /// Operations allowed, by canonical id such as `ChatCompletions_Create`, without regard to case; empty allows all.
    pub operations: Vec<String>,
    /// Deployments (or models) allowed, exact names; empty allows all.
    pub deployments: Vec<String>,
    /// Groups whose members may use it by a token of their identity provider, without a subscription.
    pub groups: Vec<String>,
    /// App roles that give access in the same way.
    pub app_roles: Vec<String>,
    /// Client applications that give access in the same way, by application id.
    pub clients: Vec<String>,
    /// People and programs that have access in the same way, by their id in `UserId`.
    pub users: Vec<String>,
    /// What its subscriptions may use.
    pub limits: Vec<LimitConfig>,
    /// Most answer tokens that a call may ask for.
    pub max_tokens: Option<u64>,
    /// Longest request body; longer ones get 413.
    pub body_bytes_max: Option<u64>,
    /// Which callers may use it, by the address that the record shows.
    pub networks: NetworkConfig,
}

/// Whether a subscription may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// Its keys work.
    #[default]
    Active,
    /// Its keys are refused until it is active again.
    Suspended,
    /// Its keys are refused for good.
    Cancelled,
    /// It waits for approval; its keys are refused until then.
    Submitted,
    /// It was not approved; its keys are refused.
    Rejected,
    /// Its time is over; its keys are refused.
    Expired,
}

/// A key that was replaced and goes on to work for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetiredKey {
    /// Its hash.
    pub key_hash: String,
    /// When it stops to work.
    pub valid_until: Moment,
}

/// Who holds a role on the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// The role.
    pub role: Role,
    /// Groups whose members hold it, by id.
    #[serde(default)]
    pub groups: Vec<String>,
    /// People and programs that hold it, by id.
    #[serde(default)]
    pub users: Vec<String>,
}

impl RoleConfig {
    /// Somebody with this id and in these groups holds the role.
    pub fn is_held(&self, id: &str, groups: &[String]) -> bool {
        groups.iter().any(|group| self.groups.contains(group))
            || (!id.is_empty() && self.users.iter().any(|user| user == id))
    }
}

/// Checks who holds which role.
pub fn check_roles(roles: &[RoleConfig]) -> Result<(), RulesError> {
    for (at, config) in roles.iter().enumerate() {
        let role = config.role;
        if roles[..at].iter().any(|before| before.role == role) {
            return Err(RulesError::new(format!("role `{role}` stands twice: join both entries")));
        }
        let mut names = config.groups.iter().chain(&config.users);
        if names.any(|name| name.trim().is_empty()) {
            return Err(RulesError::new(format!("role `{role}` has an empty name: remove it")));
        }
    }
    Ok(())
}

impl SubscriptionState {
    /// The name as configuration and answers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Submitted => "submitted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// Somebody's access to a product: two keys and an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionConfig {
    /// Name that stands in `ApimSubscriptionId`.
    pub id: String,
    /// Product it gives access to; empty gives access to every operation and deployment.
    pub product: String,
    /// Owner, as it stands in `UserId`; may be empty.
    pub owner: String,
    /// Whether its keys work.
    pub state: SubscriptionState,
    /// Hash of the first key, as `gatehouse keys create` prints it.
    pub primary_key_hash: String,
    /// Hash of the second key; empty if there is none. Two keys let callers rotate without a gap.
    pub secondary_key_hash: String,
    /// Keys that were replaced and go on to work for a while.
    pub retired_keys: Vec<RetiredKey>,
    /// When its keys stop to work; never if this is left out.
    pub expires_at: Option<Moment>,
    /// Deployments (or models) allowed, of those that the product allows; empty allows all of them.
    pub deployments: Vec<String>,
    /// What it may use, beside the limits of its product.
    pub limits: Vec<LimitConfig>,
    /// Most answer tokens that a call may ask for.
    pub max_tokens: Option<u64>,
    /// Longest request body; longer ones get 413.
    pub body_bytes_max: Option<u64>,
}

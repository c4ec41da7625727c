//! Who asks something of the gateway itself, and in which roles.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A least-privilege role on the admin listener. Rights add up; none includes another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Changes the desired state: products, subscriptions, groups, roles, pools, prices, secrets.
    Administrator,
    /// Runs the gateway: health, drain, reload, alerts, metrics.
    Operator,
    /// Reads usage, cost and requests of everybody, without prompts and answers.
    UsageReader,
    /// Reads prompts and answers; each look is recorded with its purpose.
    ContentReader,
    /// Reads what concerns the own subscriptions, without prompts and answers.
    Subscriber,
    /// Keeps users and groups as the organisation's directory has them, through SCIM.
    Provisioner,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Administrator,
        Self::Operator,
        Self::UsageReader,
        Self::ContentReader,
        Self::Subscriber,
        Self::Provisioner,
    ];

    /// The name as configuration and tables write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::UsageReader => "usage_reader",
            Self::ContentReader => "content_reader",
            Self::Subscriber => "subscriber",
            Self::Provisioner => "provisioner",
        }
    }
}

/// What kind of identity asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person, from an identity provider.
    #[default]
    User,
    /// A program: client credentials, managed or workload identity.
    Application,
    /// A local account, for sites without a provider.
    Local,
    /// The token of the data folder: whoever may read the folder.
    Token,
    /// The gateway itself.
    System,
}

/// Who asks something of the gateway itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Stable id: the object id (`oid`) of an Entra identity, else issuer and subject, or the name of a local account.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Kind of identity.
    pub kind: PrincipalKind,
    /// Tenant (`tid`); empty if the provider has none.
    pub tenant: String,
    /// Groups it is a member of, by id.
    pub groups: Vec<String>,
    /// Roles it holds, from mappings of groups and app roles.
    pub roles: BTreeSet<Role>,
    /// Subscriptions it owns, which is all that [`Role::Subscriber`] sees.
    pub subscriptions: Vec<String>,
}

/// Who a token proves a caller of models to be: what grants it access to products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Stable id, as [`Principal::id`].
    pub user_id: String,
    /// Client application that got the token; empty if unknown.
    pub client_id: String,
    /// Groups it is a member of, by id.
    pub groups: Vec<String>,
    /// App roles assigned to it.
    pub app_roles: Vec<String>,
}

impl Principal {
    /// It holds the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl PrincipalKind {
    /// The name as tables write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Application => "application",
            Self::Local => "local",
            Self::Token => "token",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! Who a token is about.

use policy::{Member, PrincipalKind};

/// Who a verified token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Provider that said so, by its id in the configuration.
    pub provider: String,
    /// What decides what it may do.
    pub member: Member,
    /// Name for people; it may change and proves nothing.
    pub name: String,
    /// Person or program.
    pub kind: PrincipalKind,
    /// Tenant (`tid`); empty if the provider has none.
    pub tenant: String,
    /// Delegated scopes.
    pub scopes: Vec<String>,
    /// When the token ends, in seconds since 1970.
    pub expires_at: i64,
    /// The organisation's directory knew it when it signed in.
    pub is_provisioned: bool,
    /// It is a member of more groups than the token holds, and they could not be looked up: those that
    /// are missing grant nothing.
    pub groups_missing: bool,
}

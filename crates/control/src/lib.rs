//! The desired state: what administrators decree, kept, validated, versioned, published.
//!
//! It holds products, subscriptions, limits, budgets, dashboards, alert rules and who has which role, and
//! nothing that belongs to one machine. Beside it lies the organisation's directory of users and groups, as SCIM
//! provisions it. The request path never asks it: it serves with what was published last, which is on the disk of the
//! gateway too, so that a database that is gone changes nothing for callers.

mod alert_rules;
mod approval;
mod approvals;
mod cache;
mod control;
mod dashboards;
mod database;
mod decree;
mod diff;
mod directory;
mod error;
mod provision;
mod queries;
mod record;
mod schedule;
mod state;
mod subscription;

pub use approval::{Approval, ApprovalState};
pub use control::{Applied, Control, Publisher, Settings, Status};
pub use dashboards::check_queries;
pub use database::{Place, VersionLine};
pub use decree::{Decree, Version, check_operations};
pub use diff::{Change, compare};
pub use directory::{Directory, Known, Resource, ResourceKind};
pub use error::{Error, ErrorKind};
pub use record::{Action, Author};
pub use state::{etag, random_key, redacted};
pub use subscription::{KeySlot, NewSubscription, Step, SubscriptionPatch};

#[cfg(test)]
mod tests;

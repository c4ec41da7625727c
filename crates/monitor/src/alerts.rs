//! Alerts: rules, when they are looked at, what fires, who is told.
//!
//! [`Engine`] and [`Outbox`] are pure: time is an argument and their state can be written down. The
//! [`Watcher`] asks queries, keeps the state, writes history into the ledger and delivers.

mod delivery;
mod engine;
mod history;
mod in_force;
mod mail;
mod outbox;
mod pauses;
mod payload;
mod rule;
mod sink;
mod state;
mod watcher;

pub use delivery::Courier;
pub use engine::{Change, ChangeKind, Engine, Firing, Measured};
pub use mail::{MailConfig, Mailer};
pub use outbox::{Delivery, Outbox};
pub use payload::common_schema;
pub(crate) use payload::iso;
pub use rule::{AlertsConfig, RuleInForce, builtin_rules, gauges};
pub use sink::{SinkConfig, SinkKind};
pub use state::State;
pub use watcher::{RuleStatus, Watcher, WatcherParts};

#[cfg(test)]
pub(crate) mod tests;

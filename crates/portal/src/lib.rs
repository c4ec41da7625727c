//! The admin listener: what people and their tools ask of a running gateway.
//!
//! One table (`routes.rs`) states every route and who may call it. It asks a [`kql::Engine`] and
//! names no table of its own.

mod access;
mod admin;
mod alerts;
mod approvals;
mod attempts;
mod auth;
mod bearer;
mod break_glass;
mod config;
mod cost;
mod entrance;
mod export;
mod extract;
mod interactions;
mod kusto;
mod language;
mod live;
mod logs;
mod problem;
mod raw;
mod reading;
mod record;
mod reports;
mod roles;
mod routes;
mod scim;
mod server;
mod session;
mod set_up;
mod settings;
mod sign_in;
mod state;
mod subscriptions;
mod turned_away;
mod ui;

pub use access::{Access, Authenticator, Caller, Token};
pub use admin::{BackendList, CounterList, Operations, ReloadReport};
pub use alerts::{AlertList, AlertTest};
pub use bearer::AccessToken;
pub use break_glass::BreakGlassAccount;
pub use config::{KustoSignIn, PortalConfig, SecondApproverConfig};
pub use cost::{BudgetList, RerateBody, RerateReport};
pub use entrance::Watch;
pub use interactions::{Part, Records};
pub use kusto::{json_value, results, rows_as_objects, whole_answer};
pub use problem::Problem;
pub use record::Record;
pub use reports::{ReportList, ReportRun};
pub use roles::{RoleConfig, has_administrator};
pub use scim::ScimToken;
pub use server::{Portal, Vouch, Wiring};
pub use set_up::SetUp;
pub use settings::{Origin, Setting, SettingList};
pub use sign_in::{SignIn, SignInClient, SignInSettings, SignInWiring};

#[cfg(test)]
mod tests;

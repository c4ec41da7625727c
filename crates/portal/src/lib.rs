//! The admin listener: what people and their tools ask of a running gateway.
//!
//! One table (`routes.rs`) states every route and who may call it. It asks a [`kql::Engine`] and
//! names no table of its own. Below it are the handlers, below them what they share (`inner.rs`); `server.rs`
//! stands on top.

mod access;
mod admin;
mod alert_rules;
mod alerts;
mod approvals;
mod attempts;
mod auth;
mod bearer;
mod break_glass;
mod clock;
mod config;
mod cost;
mod course;
mod dashboards;
mod entrance;
mod erasures;
mod export;
mod extract;
mod idempotency;
mod inner;
mod interactions;
mod kusto;
mod language;
mod leave;
mod live;
mod logs;
mod operations;
mod problem;
mod raw;
mod reading;
mod record;
mod records;
mod reports;
mod roles;
mod routes;
mod running;
mod scim;
mod server;
mod session;
mod set_up;
mod settings;
mod sign_in;
mod state;
mod stream_jobs;
mod subscriptions;
mod turned_away;
mod ui;
mod visit;

pub use access::{Access, Authenticator, Caller, Token};
pub use bearer::AccessToken;
pub use break_glass::BreakGlassAccount;
pub use config::{KustoSignIn, PortalConfig, SecondApproverConfig};
pub use inner::{Portal, Vouch, Wiring};
pub use kusto::{json_value, results, rows_as_objects, whole_answer};
pub use operations::{
    AlertList, AlertRuleLine, AlertTest, BackendList, BudgetList, CertificateList, CounterList,
    ErasureState, ListenerCertificate, Operations, Origin, ReloadReport, ReportList, ReportRun,
    RerateBody, RerateReport, Setting, SettingList, StreamJobList,
};
pub use problem::Problem;
pub use record::Record;
pub use records::{Kept, Part, Records};
pub use roles::{RoleConfig, has_administrator};
pub use scim::ScimToken;
pub use set_up::SetUp;
pub use sign_in::{SignIn, SignInClient, SignInSettings, SignInWiring};
pub use visit::Watch;

#[cfg(test)]
mod tests;

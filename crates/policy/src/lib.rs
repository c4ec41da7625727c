//! What an administrator decrees, and the decision that follows from it.
//!
//! Pure: no I/O, no clock (time is an argument), no randomness. One [`Rules`] value serves a
//! request from start to end.

mod access;
mod admit;
mod alert_rules;
mod budgets;
mod config;
mod dashboards;
mod error;
mod keys;
mod limits;
mod moment;
mod networks;
mod prices;
mod rules;

pub use access::{Member, Principal, PrincipalKind, Role};
pub use admit::{
    Denial, DenialReason, Grant, Request, account, account_of_member, admit, member_subscription,
};
pub use alert_rules::{
    ALERT_RULES_MAX, Aggregation, AlertRule, AlertRuleOrigin, Operator, check_alert_rules,
};
pub use budgets::{BudgetConfig, BudgetPeriod, check_budgets};
pub use config::{
    ProductConfig, RetiredKey, RoleConfig, SubscriptionConfig, SubscriptionState, check_roles,
};
pub use dashboards::{
    DashboardConfig, ParameterConfig, ParameterType, TileConfig, check_dashboards,
};
pub use error::RulesError;
pub use keys::{KeyHash, KeyHashError, KeyHasher};
pub use limits::{
    Allowance, Applied, CallKey, Counter, Estimate, Exceeded, Fit, KeyPart, Limit, LimitConfig,
    LimitHeaders, Measure, Need, QuotaPeriod, Usd, Used, Window,
};
pub use moment::Moment;
pub use networks::NetworkConfig;
pub use prices::{
    DeploymentScope, Meter, PriceError, PriceScopeConfig, Priced, Prices, ServiceTier,
};
pub use rules::Rules;

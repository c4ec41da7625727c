//! Web application firewall: rules in SecLang, the language of ModSecurity and of the OWASP Core Rule Set,
//! over a request.
//!
//! Floor 1 and pure: no I/O, no clock, no runtime. Files are read by whoever calls [`Ruleset::parse`]; what
//! is done with a [`Verdict`] is decided in gateway. What of the language is understood stands in
//! `docs/waf.md`.

mod action;
mod body;
mod builder;
mod directive;
mod evaluate;
mod injection;
mod item;
mod operator;
mod pattern;
mod problem;
mod request;
mod rule;
mod ruleset;
mod target;
mod text;
mod transform;

pub use action::Severity;
pub use builder::{CHAIN_MAX, RULES_MAX};
pub use evaluate::{Blocked, MATCHES_MAX, Match, Verdict};
pub use item::{ARGUMENTS_MAX, JSON_VALUES_MAX};
pub use operator::ReadData;
pub use problem::Problem;
pub use request::{Body, COOKIES_MAX, Request};
pub use rule::{LeftOut, RuleFile};
pub use ruleset::{Exclusion, RuleSummary, Ruleset};

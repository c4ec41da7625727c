//! The rules in use: own rules over own requests, and the OWASP Core Rule Set where it is installed.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

mod cases;
mod core_rule_set;
mod random;
mod support;

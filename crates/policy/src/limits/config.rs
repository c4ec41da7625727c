//! Limits as they stand in the configuration file, named as API Management's policies name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits that share one counter key. All of one entry, and all entries, hold at once: the strictest
/// answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// What is counted apart: calls that agree in all of these share a counter, wherever the limit
    /// stands. `product`, `subscription`, `deployment`, `user`; empty counts all calls together.
    pub counter_key: Vec<KeyPart>,
    /// Deployments (or models) it holds for; empty means all. Needs `deployment` in `counter_key`.
    pub deployments: Vec<String>,
    /// Calls in a sliding window of `renewal_period_s`; more get 429.
    pub calls: Option<u64>,
    /// Length of that window in seconds, 1 to 300.
    pub renewal_period_s: u64,
    /// Calls in each `call_quota_period`; more get 403.
    pub call_quota: Option<u64>,
    /// Period of `call_quota`.
    pub call_quota_period: Option<QuotaPeriod>,
    /// Tokens, of prompts and answers, in a sliding minute; more get 429.
    pub tokens_per_minute: Option<u64>,
    /// Tokens, of prompts and answers, in each `token_quota_period`; more get 403.
    pub token_quota: Option<u64>,
    /// Period of `token_quota`.
    pub token_quota_period: Option<QuotaPeriod>,
    /// Cost in US dollars, by the price list, in each `money_quota_period`; more get 403.
    pub money_quota_usd: Option<Usd>,
    /// Period of `money_quota_usd`.
    pub money_quota_period: Option<QuotaPeriod>,
    /// Calls in flight at once; more get 429.
    pub concurrency: Option<u64>,
    /// Answer tokens set aside for a call that states no maximum of its own.
    pub completion_tokens_assumed: u64,
    /// Header that tells how many seconds to wait; empty for none.
    pub retry_after_header_name: String,
    /// Header that tells what is left of `calls` or `call_quota`; empty for none.
    pub remaining_calls_header_name: String,
    /// Header that tells what is left of `tokens_per_minute`; empty for none.
    pub remaining_tokens_header_name: String,
    /// Header that tells what is left of `token_quota`; empty for none.
    pub remaining_quota_tokens_header_name: String,
    /// Header that tells what tokens the call used; empty for none. Streams cannot have it.
    pub tokens_consumed_header_name: String,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            counter_key: vec![KeyPart::Subscription],
            deployments: Vec::new(),
            calls: None,
            renewal_period_s: 60,
            call_quota: None,
            call_quota_period: None,
            tokens_per_minute: None,
            token_quota: None,
            token_quota_period: None,
            money_quota_usd: None,
            money_quota_period: None,
            concurrency: None,
            completion_tokens_assumed: 1024,
            retry_after_header_name: "Retry-After".into(),
            remaining_calls_header_name: "remaining-calls".into(),
            remaining_tokens_header_name: "remaining-tokens".into(),
            remaining_quota_tokens_header_name: "remaining-quota-tokens".into(),
            tokens_consumed_header_name: "tokens-consumed".into(),
        }
    }
}

/// One part of a counter key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// The product; calls without one count under their subscription.
    Product,
    /// The subscription.
    Subscription,
    /// The deployment or model called; calls without one are not counted.
    Deployment,
    /// The subscription's owner; calls without one count under their subscription.
    User,
}

/// A period of a quota: it begins with its hour, day, Monday, month or year in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaPeriod {
    /// Each hour.
    Hourly,
    /// Each day.
    Daily,
    /// Each week, from Monday.
    Weekly,
    /// Each month.
    Monthly,
    /// Each year.
    Yearly,
}

/// An amount of US dollars, at most 9,000,000, exact to the nanodollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Usd {
    /// Billionths of a dollar.
    pub nanos: u64,
}

/// Most dollars: more nanodollars than 2^53 are not exact in every store.
const USD_MAX: f64 = 9_000_000.0;

impl TryFrom<f64> for Usd {
    type Error = String;

    fn try_from(dollars: f64) -> Result<Self, String> {
        if !(0.0..=USD_MAX).contains(&dollars) {
            return Err(format!("{dollars} is not an amount from 0 to {USD_MAX} dollars"));
        }
        // In range and not negative, so the conversion is exact but for the rounding.
        Ok(Self { nanos: (dollars * 1e9).round() as u64 })
    }
}

impl From<Usd> for f64 {
    fn from(usd: Usd) -> Self {
        usd.nanos as Self / 1e9
    }
}

//! What it costs: queries for reports, budgets and their forecast, estimates. The prices themselves are
//! `policy`'s, and are applied by the pipeline when a row is written.

use std::fmt::Write;
use std::sync::Arc;

use event::Timestamp;
use kql::{Options, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, Value};
use policy::{BudgetConfig, BudgetPeriod, DeploymentScope, Meter, Prices};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::{Metric, Metrics};

const PROFILES: &str = include_str!("../data/workload_profiles.csv");

/// What a report is broken down by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostBy {
    /// Subscription.
    Subscription,
    /// Product.
    Product,
    /// User.
    User,
    /// Group of the caller; a call of somebody in several counts in each.
    Group,
    /// Model.
    Model,
    /// Deployment.
    Deployment,
    /// Day, in UTC.
    Day,
    /// Version of the prices applied.
    PriceVersion,
}

impl CostBy {
    fn column(self) -> &'static str {
        match self {
            Self::Subscription => "Subscription = ApimSubscriptionId",
            Self::Product => "Product = ProductId",
            Self::User => "User = UserId",
            Self::Group => "Group",
            Self::Model => "Model = ModelName",
            Self::Deployment => "Deployment = DeploymentName",
            Self::Day => "Day = startofday(TimeGenerated)",
            Self::PriceVersion => "PriceVersion",
        }
    }

    fn name(self) -> &'static str {
        self.column().split(' ').next().unwrap_or_default()
    }
}

/// What was used between two instants, in KQL's words for them, and what it costs: a row for each call that
/// used something, and one for each adjustment by a re-rating.
fn costs(from: &str, to: &str) -> String {
    let within = format!("where TimeGenerated >= {from} and TimeGenerated < {to}");
    let columns = "TimeGenerated, ApimSubscriptionId, ProductId, UserId, CallerGroups, ModelName, \
                   DeploymentName, PriceVersion, CostUsd";
    format!(
        "let Used = Interactions\n\
         | {within}\n\
         | where isnotnull(CostUsd) or TotalTokens > 0\n\
         | project {columns}, Calls = 1, PromptTokens, CachedTokens, CompletionTokens, ReasoningTokens, \
         Unpriced = tolong(isnull(CostUsd)), Estimated = tolong(UsageSource == 'estimated');\n\
         let Adjusted = CostAdjustments\n\
         | {within}\n\
         | project {columns}, Unpriced = -PricedCalls;\n\
         union Used, Adjusted"
    )
}

/// The query of a report over the half-open range of instants, in KQL's words for them.
pub fn report_query(from: &str, to: &str, by: &[CostBy]) -> String {
    let columns: Vec<_> = by.iter().map(|by| by.column()).collect();
    let order: Vec<_> = by.iter().map(|by| format!("{} asc", by.name())).collect();
    let mut query = costs(from, to);
    if by.contains(&CostBy::Group) {
        query.push_str(
            "\n| extend Group = iff(array_length(CallerGroups) > 0, CallerGroups, dynamic(['']))\n\
             | mv-expand Group to typeof(string)",
        );
    }
    query.push_str(
        "\n| summarize Calls = sum(Calls), PromptTokens = sum(PromptTokens), CachedTokens = sum(CachedTokens), \
         CompletionTokens = sum(CompletionTokens), ReasoningTokens = sum(ReasoningTokens), \
         CostUsd = sum(CostUsd), UnpricedCalls = sum(Unpriced), EstimatedCalls = sum(Estimated)",
    );
    if !by.is_empty() {
        write!(query, " by {}\n| order by {}", columns.join(", "), order.join(", "))
            .expect("a String takes all");
    }
    query
}

/// What money is watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CostConfig {
    /// Budgets; rules `budget-80`, `budget-100` and `budget-forecast` look at them. They are part of the desired
    /// state.
    pub budgets: Vec<BudgetConfig>,
}

impl CostConfig {
    /// Refuses what contradicts itself; the text names the fix.
    pub fn validate(&self) -> Result<(), String> {
        policy::check_budgets(&self.budgets).map_err(|error| error.to_string())
    }
}

/// One row: what was spent in the period so far, and which part of the period is over.
fn query(budget: &BudgetConfig) -> String {
    let word = match budget.period {
        BudgetPeriod::Day => "day",
        BudgetPeriod::Week => "week",
        BudgetPeriod::Month => "month",
        BudgetPeriod::Year => "year",
    };
    let mut query = format!(
        "let from = startof{word}(now());\nlet to = endof{word}(now());\n{}",
        costs("from", "to")
    );
    for (column, value) in [
        ("ApimSubscriptionId", &budget.subscription),
        ("ProductId", &budget.product),
        ("UserId", &budget.user),
        ("DeploymentName", &budget.deployment),
        ("ModelName", &budget.model),
    ] {
        if !value.is_empty() {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            write!(query, "\n| where {column} == '{value}'").expect("a String takes all");
        }
    }
    query.push_str("\n| summarize Spent = todouble(sum(CostUsd))\n| extend Elapsed = todouble(now() - from) / todouble(to - from)");
    query
}

/// How a budget stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BudgetStanding {
    /// The budget.
    pub budget: BudgetConfig,
    /// US dollars spent in the period so far.
    pub spent_usd: f64,
    /// US dollars that will be spent at its end, at the present pace.
    pub forecast_usd: f64,
    /// Which part of the period is over.
    pub elapsed_ratio: f64,
    /// Why it could not be asked for; empty if it could.
    pub failure: String,
}

/// Brings the gauges of budgets up to date, and tells how they stand. A budget that cannot be asked keeps its
/// gauge from before.
pub async fn refresh_budgets(
    config: &CostConfig,
    engine: &Arc<dyn kql::Engine>,
    metrics: &Metrics,
    now: Timestamp,
) -> Vec<BudgetStanding> {
    let mut standings = Vec::new();
    for budget in &config.budgets {
        let mut standing = BudgetStanding { budget: budget.clone(), ..BudgetStanding::default() };
        match ask(budget, engine, now).await {
            Ok((spent, elapsed)) => {
                // In its first twentieth a period says little of itself.
                let forecast = if elapsed < 0.05 { spent } else { spent / elapsed };
                metrics.set(Metric::BudgetUsed, &[&budget.id], spent / budget.amount_usd);
                metrics.set(Metric::BudgetForecast, &[&budget.id], forecast / budget.amount_usd);
                (standing.spent_usd, standing.forecast_usd) = (spent, forecast);
                standing.elapsed_ratio = elapsed;
            }
            Err(error) => {
                tracing::warn!(budget = budget.id, error, "a budget could not be asked for");
                standing.failure = error;
            }
        }
        standings.push(standing);
    }
    standings
}

/// Dollars spent in the period so far, and which part of it is over.
async fn ask(
    budget: &BudgetConfig,
    engine: &Arc<dyn kql::Engine>,
    now: Timestamp,
) -> Result<(f64, f64), String> {
    let ticks = now.unix_micros().saturating_mul(TICKS_PER_SECOND / 1_000_000);
    let options = Options {
        now_ticks: Some(UNIX_EPOCH_TICKS.saturating_add(ticks)),
        access: kql::Access::without_content(),
        ..Options::default()
    };
    let frame = engine.run(&query(budget), &options).await;
    let frame = frame.map_err(|error| error.message().to_owned())?;
    let cell = |at: usize| match frame.rows.first().and_then(|row| row.get(at)) {
        Some(Value::Real(number)) => *number,
        _ => 0.0,
    };
    Ok((cell(0), cell(1).clamp(0.0, 1.0)))
}

/// What a workload costs in a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Name of the profile: small, medium or large.
    pub profile: String,
    /// What its conversations are like.
    pub shape: String,
    /// Model.
    pub model: String,
    /// Conversations in a month.
    pub conversations: u64,
    /// Tokens in a month.
    pub tokens: u64,
    /// US dollars in a month.
    pub cost_usd: f64,
    /// Version of the prices.
    pub price_version: String,
}

/// What the cost profiles of the reference architecture cost with a model; none without a price.
pub fn estimates(prices: &Prices, model: &str, scope: DeploymentScope) -> Option<Vec<Estimate>> {
    let mut reader = csv::Reader::from_reader(PROFILES.as_bytes());
    let mut all = Vec::new();
    for row in reader.records() {
        let row = row.expect("a test reads the whole table");
        let number = |at: usize| row[at].parse::<u64>().expect("a test reads the whole table");
        let (conversations, prompt, completion) = (number(1), number(4), number(5));
        let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let one = prices.price(&Meter {
            model,
            scope,
            prompt_tokens: tokens(prompt),
            completion_tokens: tokens(completion),
            ..Meter::default()
        })?;
        all.push(Estimate {
            profile: row[0].to_owned(),
            shape: row[2].to_owned(),
            model: model.to_owned(),
            conversations,
            tokens: conversations * (prompt + completion),
            cost_usd: one.cost.0 as f64 / 1e12 * conversations as f64,
            price_version: one.version,
        });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_those_of_the_reference_architecture() {
        let prices = Prices::builtin();
        let mut reader = csv::Reader::from_reader(PROFILES.as_bytes());
        let names: Vec<String> =
            reader.headers().expect("a head").iter().map(str::to_owned).collect();
        let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 12);
        for model in ["gpt-35-turbo", "gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4"] {
            let column = names.iter().position(|name| *name == format!("usd_month_{model}"));
            let column = column.expect("the profile knows the model");
            let estimates = estimates(&prices, model, DeploymentScope::GlobalOrDefault);
            for (estimate, row) in estimates.expect("it has a price").iter().zip(&rows) {
                let expected: f64 = row[column].parse().expect("a number");
                let difference = (estimate.cost_usd - expected).abs();
                assert!(difference < 0.005, "{model}: {estimate:?}, not {expected}");
            }
        }
        assert!(estimates(&prices, "home-made", DeploymentScope::default()).is_none());
    }

    #[test]
    fn reports_name_what_they_are_broken_down_by() {
        let query = report_query("a", "b", &[CostBy::Day, CostBy::Model]);
        assert!(query.ends_with("by Day = startofday(TimeGenerated), Model = ModelName\n| order by Day asc, Model asc"), "{query}");
        assert!(!report_query("a", "b", &[]).contains(" by "));
    }

    #[test]
    fn values_of_budgets_are_quoted() {
        let budget = BudgetConfig { user: "o'hara\\".into(), ..BudgetConfig::default() };
        let query = query(&budget);
        assert!(query.contains("UserId == 'o\\'hara\\\\'"), "{query}");
    }
}

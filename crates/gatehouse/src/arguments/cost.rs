//! Arguments of `gatehouse cost`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::config_file::ConfigFile;
use super::output_format::OutputFormat;

#[derive(Subcommand, Debug)]
pub(crate) enum CostCommand {
    /// What was used and what it cost, by subscription, product, user, model, deployment or day.
    Report(ReportArguments),
    /// A month's bill as CSV; exit status 3 if the month is not over or usage has no price.
    Close(CloseArguments),
    /// What the cost profiles of the reference architecture, or your own traffic, cost in a month.
    Estimate(EstimateArguments),
    /// Rate the calls of past days anew by the prices that hold now; reports show the new cost.
    Rerate(RerateArguments),
    /// Compare a month with a provider's usage export, day by day; exit status 3 if the sums differ.
    Reconcile(ReconcileArguments),
}

/// A column of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CostColumn {
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
}

#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// From when: a day, an instant, or a time ago such as 30d.
    #[arg(long, default_value = "30d")]
    pub(crate) from: String,
    /// Until when; now by default.
    #[arg(long)]
    pub(crate) to: Option<String>,
    /// What it is broken down by.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "subscription,model")]
    pub(crate) by: Vec<CostColumn>,
    /// How to print it.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct CloseArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The month, such as 2026-11.
    pub(crate) month: String,
}

#[derive(Args, Debug)]
pub(crate) struct EstimateArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Models to estimate with.
    #[arg(long, value_delimiter = ',', default_value = "gpt-4o,gpt-4o-mini")]
    pub(crate) model: Vec<String>,
    /// Your own traffic of the last 30 days instead, as it was priced.
    #[arg(long)]
    pub(crate) own: bool,
    /// How to print it.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,
}

#[derive(Args, Debug)]
pub(crate) struct RerateArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The first day, in UTC, such as 2026-11-01.
    #[arg(long)]
    pub(crate) from: String,
    /// The day after the last one.
    #[arg(long)]
    pub(crate) to: String,
    /// Only tell what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct ReconcileArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The month, such as 2026-11.
    pub(crate) month: String,
    /// The provider's export, as CSV with a header line.
    #[arg(long)]
    pub(crate) export: PathBuf,
    /// Its column with the day.
    #[arg(long, default_value = "Date")]
    pub(crate) date_column: String,
    /// Its column with the cost in US dollars.
    #[arg(long, default_value = "CostInBillingCurrency")]
    pub(crate) cost_column: String,
    /// By how many percent the sums may differ.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) tolerance_percent: f64,
}

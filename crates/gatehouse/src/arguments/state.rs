//! What the commands about the desired state take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::config_file::ConfigFile;

#[derive(Args, Debug)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The document, as `gatehouse export` prints it, in YAML or JSON; `-` for standard input.
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub(crate) document: PathBuf,
    /// Only print what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// One thing, by its id.
#[derive(Args, Debug)]
pub(crate) struct One {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Its id.
    pub(crate) id: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum SubscriptionCommand {
    /// Every subscription, an object a line.
    List(ConfigFile),
    /// One subscription.
    Show(One),
    /// Make one; its two keys are printed once.
    Create(SubscriptionCreateArguments),
    /// A submitted one becomes active.
    Approve(One),
    /// A submitted one is refused.
    Reject(One),
    /// Its keys are refused until it is activated.
    Suspend(One),
    /// A suspended one is active again.
    Activate(One),
    /// It ends for good.
    Cancel(One),
    /// Another key in the place of one; the new one is printed once.
    Rotate(RotateArguments),
}

#[derive(Args, Debug)]
pub(crate) struct SubscriptionCreateArguments {
    #[command(flatten)]
    pub(crate) one: One,
    /// Product it gives access to; without one it gives access to everything.
    #[arg(long, default_value = "")]
    pub(crate) product: String,
    /// Id of its owner.
    #[arg(long, default_value = "")]
    pub(crate) owner: String,
    /// It waits for approval.
    #[arg(long)]
    pub(crate) submitted: bool,
    /// When its keys stop to work, such as 2027-01-31T00:00:00Z.
    #[arg(long)]
    pub(crate) expires_at: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArguments {
    #[command(flatten)]
    pub(crate) one: One,
    /// The second key instead of the first.
    #[arg(long)]
    pub(crate) secondary: bool,
    /// Seconds for which the key before goes on to work.
    #[arg(long, default_value_t = 0)]
    pub(crate) grace_s: u64,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ApprovalCommand {
    /// Who asked to read content, and what was decided, an object a line.
    List(ConfigFile),
    /// Ask for the approval to read content for a purpose; its id is printed.
    Request(ApprovalRequestArguments),
    /// Let somebody else read content for the stated purpose, for a while.
    Approve(Decision),
    /// Refuse somebody else.
    Deny(Decision),
}

#[derive(Args, Debug)]
pub(crate) struct ApprovalRequestArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// What content is to be read for; `query --purpose` states the same words.
    pub(crate) purpose: String,
}

#[derive(Args, Debug)]
pub(crate) struct Decision {
    #[command(flatten)]
    pub(crate) one: One,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ProductCommand {
    /// Every product, an object a line.
    List(ConfigFile),
    /// Make or replace one from a file in YAML or JSON.
    Put(PutArguments),
    /// Remove one that no subscription uses.
    Delete(Decision),
}

#[derive(Args, Debug)]
pub(crate) struct PutArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// What is put, in YAML or JSON; `-` for standard input.
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub(crate) document: PathBuf,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum BudgetCommand {
    /// Every budget with what is spent and forecast of it, an object a line.
    List(ConfigFile),
    /// Make one, or put another in the place of the one with this id.
    Set(BudgetSetArguments),
    /// Remove one.
    Remove(Decision),
}

#[derive(Args, Debug)]
pub(crate) struct BudgetSetArguments {
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// US dollars in each period.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) usd: f64,
    /// The period, in UTC.
    #[arg(long, default_value = "month", value_parser = ["day", "week", "month", "year"])]
    pub(crate) period: String,
    /// Only what this subscription spends.
    #[arg(long, default_value = "")]
    pub(crate) subscription: String,
    /// Only what this product spends.
    #[arg(long, default_value = "")]
    pub(crate) product: String,
    /// Only what this user spends.
    #[arg(long, default_value = "")]
    pub(crate) user: String,
    /// Only what is spent on this deployment.
    #[arg(long, default_value = "")]
    pub(crate) deployment: String,
    /// Only what is spent on this model.
    #[arg(long, default_value = "")]
    pub(crate) model: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum DashboardCommand {
    /// Every dashboard, an object a line.
    List(ConfigFile),
    /// Make or replace one from a file in YAML or JSON.
    Put(PutArguments),
    /// Remove one.
    Delete(Decision),
}

#[derive(Subcommand, Debug)]
pub(crate) enum AlertRuleCommand {
    /// Every rule in force and whose it is, an object a line.
    List(ConfigFile),
    /// Make or replace one of the desired state from a file in YAML or JSON.
    Put(PutArguments),
    /// Remove one of the desired state; a rule of the file or a built-in one with this id holds again.
    Delete(Decision),
}

#[derive(Subcommand, Debug)]
pub(crate) enum RoleCommand {
    /// Who holds which role.
    List(ConfigFile),
    /// Say who holds a role, in the place of what was said before.
    Set(RoleSetArguments),
}

#[derive(Args, Debug)]
pub(crate) struct RoleSetArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The role, such as `usage_reader`.
    pub(crate) role: String,
    /// A group whose members hold it, by id; may be given several times.
    #[arg(long = "group")]
    pub(crate) groups: Vec<String>,
    /// Who holds it, by id; may be given several times.
    #[arg(long = "user")]
    pub(crate) users: Vec<String>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum HistoryCommand {
    /// The versions of the desired state, newest first.
    List(ConfigFile),
    /// What a version changed.
    Diff(One),
    /// Make the state of a version the newest one.
    Rollback(One),
}

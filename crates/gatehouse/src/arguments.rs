//! The command line: nouns and verbs, and what each takes.

mod config_file;
mod cost;
mod output_format;
pub(crate) mod state;
mod waf;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::config_file::ConfigFile;
pub(crate) use self::cost::{
    CloseArguments, CostColumn, CostCommand, EstimateArguments, ReconcileArguments,
    ReportArguments, RerateArguments,
};
pub(crate) use self::output_format::OutputFormat;
pub(crate) use self::waf::{WafArguments, WafCommand, WafTestArguments};

/// The audited way in to an organisation's Azure OpenAI and OpenAI-compatible models.
#[derive(Parser, Debug)]
#[command(name = "gatehouse", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway.
    Serve(ConfigFile),
    /// Run a gateway with two simulated model instances, and print what to paste.
    Demo(DemoArguments),
    /// Run one simulated model instance on loopback, to try a gateway against.
    Simulate(SimulateArguments),
    /// Write a configuration file with a first subscription, and print its key once.
    Init(InitArguments),
    /// Check or describe the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask the record in KQL: one query, or a prompt when none is given.
    Query(QueryArguments),
    /// The query language, for editors.
    #[command(subcommand)]
    Kql(KqlCommand),
    /// Follow interactions as they end.
    Tail(TailArguments),
    /// Prove the record.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Subscription keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print a link that makes whoever opens it first and signs in administrator, while nobody is one.
    SetUp(ConfigFile),
    /// Secrets of the embedded vault.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Rules of the web application firewall.
    #[command(subcommand)]
    Waf(WafCommand),
    /// The services behind a running gateway.
    #[command(subcommand)]
    Backend(BackendCommand),
    /// What it costs.
    #[command(subcommand)]
    Cost(CostCommand),
    /// Scheduled reports of a running gateway.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Stream jobs of a running gateway.
    #[command(subcommand)]
    StreamJob(StreamJobCommand),
    /// Replace the desired state of a running gateway by a document; print what changes.
    Apply(state::ApplyArguments),
    /// Print the desired state of a running gateway as a document.
    Export(ConfigFile),
    /// Subscriptions of a running gateway.
    #[command(subcommand)]
    Subscription(state::SubscriptionCommand),
    /// Products of a running gateway.
    #[command(subcommand)]
    Product(state::ProductCommand),
    /// Budgets of a running gateway.
    #[command(subcommand)]
    Budget(state::BudgetCommand),
    /// Dashboards of a running gateway that everybody sees.
    #[command(subcommand)]
    Dashboard(state::DashboardCommand),
    /// Alert rules of a running gateway.
    #[command(subcommand)]
    AlertRule(state::AlertRuleCommand),
    /// Who holds which role.
    #[command(subcommand)]
    Role(state::RoleCommand),
    /// Approvals of reading content, where `admin.second_approver` asks for them.
    #[command(subcommand)]
    Approval(state::ApprovalCommand),
    /// Versions of the desired state.
    #[command(subcommand)]
    History(state::HistoryCommand),
    /// What has been used of limits: the counters of a running gateway.
    Quota(ConfigFile),
    /// Have a running gateway read its configuration again; taken as a whole or not at all.
    Reload(ConfigFile),
    /// Check this machine, the configuration and a running gateway; every finding names its fix.
    Doctor(ConfigFile),
    /// Print versions of the program and of its formats.
    Version,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print a generated page of the documents.
    #[command(hide = true)]
    Reference {
        /// The page.
        #[arg(value_enum)]
        page: ReferencePage,
    },
}

/// A page made from what the program knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferencePage {
    /// `docs/tables.md`.
    Tables,
    /// `docs/configuration.md`.
    Configuration,
}

#[derive(Subcommand, Debug)]
pub(crate) enum VaultCommand {
    /// Set a secret to what standard input holds; makes the vault if there is none.
    Set(VaultName),
    /// List names, versions and when they were set, never values; as JSON.
    List(ConfigFile),
    /// Remove a secret.
    Remove(VaultName),
    /// Seal everything anew under a new master key.
    RotateKey(ConfigFile),
}

/// Which secret of the embedded vault.
#[derive(Args, Debug)]
pub(crate) struct VaultName {
    /// Its name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Make calls of every kind, print both sample queries and `audit verify`, and exit.
    #[arg(long)]
    pub(crate) script: bool,
    /// Port of the gateway on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8080, value_parser = port)]
    pub(crate) port: u16,
    /// Port of the portal and the admin API on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_parser = port)]
    pub(crate) admin_port: u16,
    /// Port of the health probes on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_parser = port)]
    pub(crate) health_port: u16,
    /// Data folder; a fresh one that goes with the demo if none is given.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Also write endpoint, key and configuration path as shell variables to this file.
    #[arg(long)]
    pub(crate) write_env: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct SimulateArguments {
    /// Port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8090, value_parser = port)]
    pub(crate) port: u16,
    /// Key it accepts; without one it lets everybody in.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Region it reports.
    #[arg(long, default_value = "East US")]
    pub(crate) region: String,
    /// Name of the resource; ids that instances of different names make are never the same.
    #[arg(long, default_value = "simulator")]
    pub(crate) name: String,
    /// Milliseconds before the first byte of an answer.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) first_byte_ms: f64,
    /// Milliseconds between two tokens of a stream.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) per_token_ms: f64,
    /// Tokens per minute of a deployment, and a request in 10 seconds for each 1,000 of them; beyond,
    /// it answers 429 with `Retry-After`. May be repeated; other deployments have no limit.
    #[arg(long, value_name = "DEPLOYMENT=TOKENS", value_parser = deployment_limit)]
    pub(crate) tokens_per_minute: Vec<(String, u64)>,
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "give a number from 0 to 65535")
}

fn whole_number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "give a whole number, such as 10")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write it as 127.0.0.1:8080")
}

fn deployment_limit(text: &str) -> Result<(String, u64), String> {
    let parts = text.rsplit_once('=').filter(|(name, _)| !name.is_empty());
    let limit = parts.and_then(|(name, tokens)| Some((name.to_owned(), tokens.parse().ok()?)));
    limit.ok_or_else(|| "write it as gpt-4o=30000".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct InitArguments {
    /// Configuration file to write; an existing one is never overwritten.
    #[arg(long, short, default_value = "gatehouse.yaml")]
    pub(crate) config: PathBuf,
    /// Base URL of the first backend.
    #[arg(long, default_value = "https://my-resource.openai.azure.com")]
    pub(crate) backend_url: String,
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file as `serve` would, without starting.
    Validate(ConfigFile),
    /// Print the JSON Schema of the configuration file.
    Schema,
}

#[derive(Args, Debug)]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The query; `-` reads it from standard input, none opens a prompt.
    pub(crate) query: Option<String>,
    /// How to print the result; a chart for people where the query says `render`.
    #[arg(long, short, value_enum, default_value_t = QueryOutput::Table)]
    pub(crate) output: QueryOutput,
    /// What prompts and answers are read for; needed to read any, and kept in `ContentReads`.
    #[arg(long, default_value = "")]
    pub(crate) purpose: String,
    /// Ask the tables in this data folder, while no gateway runs on it.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// How the result of a query is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryOutput {
    /// Aligned columns or a chart, for people.
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// Comma-separated values (RFC 4180) with a header line.
    Csv,
    /// An Apache Parquet file.
    Parquet,
    /// A file of Arrow's IPC format.
    Arrow,
}

#[derive(Subcommand, Debug)]
pub(crate) enum KqlCommand {
    /// Serve an editor over standard input and output: completion, mistakes, meaning, layout.
    Lsp,
}

#[derive(Args, Debug)]
pub(crate) struct TailArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// A KQL condition on `Interactions`, such as `ResponseCode >= 400`.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// Interactions to begin with.
    #[arg(long, short, default_value_t = 10, value_parser = whole_number)]
    pub(crate) lines: u32,
    /// Print those and stop.
    #[arg(long)]
    pub(crate) no_follow: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Walk the ledger, whole or from one place to another: gaps, checksums, chain, interactions without
    /// an end. Works offline and on a running gateway's folder. Exit status 3 if anything is wrong.
    Verify(VerifyArguments),
    /// Erase what interactions said, from the ledger and the tables of a running gateway, for good. Who called
    /// when at what cost stays, and so does the proof. The order is a row of `Erasures`.
    Erase(EraseArguments),
    /// Print the public key that the ledger is signed under, in PEM, for `audit verify --public-key`.
    PublicKey(ConfigFile),
    /// Print a new Ed25519 private key in PEM, for `checkpoints.signing_key`: pipe it into
    /// `gatehouse vault set NAME`.
    Key,
}

#[derive(Args, Debug)]
pub(crate) struct EraseArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Interactions, by the column `CorrelationId`. Without any they are read from standard input, one a line,
    /// as `gatehouse query --output csv "… | project CorrelationId"` prints them.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Why, for the record.
    #[arg(long)]
    pub(crate) purpose: String,
    /// Only tell what would be erased.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask whether this is meant.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Begin here: a sequence, or a time such as 2026-11-01 or 2026-11-01T12:00:00Z. A part is walked in
    /// whole segments.
    #[arg(long, value_parser = crate::place::parse)]
    pub(crate) from: Option<ledger::Place>,
    /// End here.
    #[arg(long, value_parser = crate::place::parse)]
    pub(crate) to: Option<ledger::Place>,
    /// Ledger folder, instead of the one in the configuration.
    #[arg(long)]
    pub(crate) ledger_dir: Option<PathBuf>,
    /// A public key (PEM file, not from the machine that is audited) that may have signed the ledger; once for
    /// each. A signature by another key, and an end without signature, is then a finding.
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Vec<PathBuf>,
    /// A copy of `checkpoint.txt` that was kept elsewhere: the ledger must go through it.
    #[arg(long, value_name = "FILE", requires = "public_key")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum BackendCommand {
    /// Every backend: whether it takes calls, its circuits, its calls in flight.
    List(ConfigFile),
    /// Send it no new calls; those in flight finish.
    Drain(DrainArguments),
    /// Send it calls again.
    Undrain(BackendArguments),
}

#[derive(Subcommand, Debug)]
pub(crate) enum ReportCommand {
    /// Every report: when it is made next, what became of the last one, as JSON.
    List(ConfigFile),
    /// Make the report that was due last and deliver it now; exit status 3 if it does not arrive everywhere.
    Run(ScheduledReport),
}

#[derive(Subcommand, Debug)]
pub(crate) enum StreamJobCommand {
    /// Every stream job: what it is doing and why not, how far it is behind, as JSON.
    List(ConfigFile),
}

/// Which scheduled report.
#[derive(Args, Debug)]
pub(crate) struct ScheduledReport {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Its id.
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct DrainArguments {
    #[command(flatten)]
    pub(crate) backend: BackendArguments,
    /// Also hold off calls about objects that live on it, which no other backend can answer.
    #[arg(long)]
    pub(crate) stateful: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BackendArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Id of the backend.
    pub(crate) id: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// Make a subscription key: prints the key once, and the configuration that admits it.
    Create(KeysCreateArguments),
    /// Make the hash of the local account's password, which comes by standard input.
    Password,
}

#[derive(Args, Debug)]
pub(crate) struct KeysCreateArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Id of the subscription, new or existing.
    #[arg(long, value_parser = subscription_id)]
    pub(crate) subscription: String,
}

fn subscription_id(text: &str) -> Result<String, String> {
    if text.starts_with("user:") {
        return Err("`user:` is for callers with a token: give it another name".to_owned());
    }
    match text.trim().is_empty() || text.chars().any(char::is_control) {
        true => Err("give it a name, such as team-a".to_owned()),
        false => Ok(text.to_owned()),
    }
}

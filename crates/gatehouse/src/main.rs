//! Gatehouse: the command line, and the wiring of everything behind it.

mod admin;
mod administration;
mod arguments;
mod audit;
mod checkpoints;
mod client;
mod clock;
mod config;
mod cost;
mod demo;
mod doctor;
mod effective;
mod erasing;
mod exit;
mod firewall;
mod graph;
mod http;
mod init;
mod keys;
mod lock_down;
mod log;
mod lsp;
mod monitoring;
mod output;
mod parts;
mod pinned;
mod place;
mod query;
mod records;
mod reference;
mod reload;
mod reports;
mod secret_file;
mod secrets;
mod serve;
mod simulate;
mod state;
mod stream_jobs;
mod tail;
mod terminal;
mod tls_listener;
mod wire;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command, ConfigCommand, KeysCommand, KqlCommand};
use terminal::{print, say};

/// Many small, short-lived buffers on several threads: what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("gatehouse: {error:#}"));
            exit::code(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(file) => serve::run(&file),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Config(ConfigCommand::Validate(file)) => {
            let config = config::Config::load_whole(&file.config)?;
            config.validate()?;
            say(&format!("{} is valid", file.config.display()));
            Ok(())
        }
        Command::Config(ConfigCommand::Schema) => {
            let schema = schemars::schema_for!(config::Config);
            print(&format!("{}\n", serde_json::to_string_pretty(&schema)?));
            Ok(())
        }
        Command::Query(arguments) => query::run(&arguments),
        Command::Kql(KqlCommand::Lsp) => lsp::run(),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Audit(command) => audit::run(&command),
        Command::Keys(KeysCommand::Create(arguments)) => keys::create(&arguments),
        Command::Keys(KeysCommand::Password) => secrets::password(),
        Command::SetUp(file) => secrets::set_up(&file),
        Command::Waf(command) => firewall::run(&command),
        Command::Vault(command) => secrets::run(&command),
        Command::Backend(command) => admin::backend(&command),
        Command::Report(command) => reports::run(&command),
        Command::StreamJob(command) => stream_jobs::run(&command),
        Command::Cost(command) => cost::run(&command),
        Command::Apply(arguments) => state::apply(&arguments),
        Command::Export(file) => state::export(&file),
        Command::Subscription(command) => state::subscription(&command),
        Command::Product(command) => state::product(&command),
        Command::Budget(command) => state::budget(&command),
        Command::Dashboard(command) => state::dashboard(&command),
        Command::AlertRule(command) => state::alert_rule(&command),
        Command::Role(command) => state::role(&command),
        Command::Approval(command) => state::approval(&command),
        Command::History(command) => state::history(&command),
        Command::Quota(file) => admin::quota(&file),
        Command::Reload(file) => admin::reload(&file),
        Command::Doctor(file) => doctor::run(&file),
        Command::Version => {
            print(&format!(
                "gatehouse {}\nledger format {}\ntables format {}\nvault format {}\n",
                env!("CARGO_PKG_VERSION"),
                ledger::FORMAT_VERSION,
                store::FORMAT_VERSION,
                vault::FORMAT_VERSION,
            ));
            Ok(())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "gatehouse", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Reference { page } => {
            print(&reference::page(page));
            Ok(())
        }
    }
}

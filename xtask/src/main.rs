//! The project's own commands: `cargo xtask help` lists them.
//!
//! Everything that a person or CI does to this repository goes through here, so that both do the
//! same thing.

mod bench;
mod check;
mod conformance;
mod demo;
mod replay;
mod shell;
mod tidy;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Gatehouse, start it with two simulated model instances, and print what to paste.
    Demo(demo::Arguments),
    /// Run every test: tidy rules, all crates, and the official SDKs.
    Test(check::Arguments),
    /// Everything that must hold before a change lands: fmt, clippy, test, docs.
    Ci,
    /// Check the rules of the house: arrows, sizes, names.
    Tidy,
    /// Mend what can be mended by machine: formatting and lints.
    Fix,
    /// Measure Gatehouse in each durability mode beside nginx, and print ratios.
    Bench(bench::Arguments),
    /// Run the official SDKs through a gateway (part of `test`).
    Conformance,
    /// Send captured requests of clients through a gateway and check answers and records.
    Replay(replay::Arguments),
    /// Run KQL cases and print coverage by kind and profile, with the reason of each failure.
    KqlConformance {
        /// A file of cases, one JSON object a line, as `crates/kql/testdata/cases.jsonl`.
        #[arg(long)]
        cases: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Test(arguments) => check::test(arguments),
        Command::Ci => check::ci(),
        Command::Tidy => tidy::run(),
        Command::Fix => check::fix(),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Conformance => conformance::build_and_run(),
        Command::Replay(arguments) => replay::run(arguments),
        Command::KqlConformance { cases } => conformance::kql(cases),
    }
}

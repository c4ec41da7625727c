//! `test`, `ci` and `fix`.

use std::process::Command;

use anyhow::ensure;

use crate::{conformance, shell, tidy, web};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave the official SDKs out (they need Python, Node and their registries).
    #[arg(long)]
    no_conformance: bool,
}

/// Real servers and rules that tests run against, and the packages that bring them.
const COUNTERPARTS: [(&str, &str); 5] = [
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("redis-server", "redis-server"),
    ("chromium", "chromium"),
    ("/etc/modsecurity/crs/crs-setup.conf", "modsecurity-crs"),
];

/// Runs every test and prints the sum.
pub(crate) fn test(arguments: &Arguments) -> anyhow::Result<()> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    web::rebuild()?;
    for (program, package) in COUNTERPARTS {
        if let Err(error) = shell::install(program, package) {
            shell::say(&format!("the tests against {program} will be skipped: {error:#}"));
        }
    }
    let rust = rust_tests();
    let outside = if arguments.no_conformance {
        shell::say("conformance: skipped, as asked by --no-conformance");
        conformance::Tally::default()
    } else {
        // The tests of the binary have just built it.
        conformance::run()?
    };
    shell::print(&format!("conformance: {outside}"));
    rust?;
    let failed = outside.failed.len();
    ensure!(failed == 0, "{failed} conformance checks failed: see above");
    Ok(())
}

/// nextest where it is installed (each test in a process of its own), else cargo's own runner.
fn rust_tests() -> anyhow::Result<()> {
    if nextest().output().is_ok_and(|output| output.status.success()) {
        return shell::run(&mut shell::cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]));
    }
    shell::run(&mut shell::cargo(&["test", "--workspace", "--no-fail-fast"]))
}

fn nextest() -> Command {
    shell::cargo(&["nextest", "--version"])
}

/// Everything that must hold before a change lands.
pub(crate) fn ci() -> anyhow::Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    shell::run(&mut shell::cargo(&clippy))?;
    test(&Arguments { no_conformance: false })?;
    let doc = ["doc", "--workspace", "--no-deps"];
    shell::run(shell::cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Mends what a machine can mend.
pub(crate) fn fix() -> anyhow::Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty"];
    shell::run(&mut shell::cargo(&clippy))?;
    shell::run(&mut shell::cargo(&["fmt", "--all"]))
}

//! Captured requests of clients, sent again through a gateway with the simulator behind it.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};

use crate::shell;

/// The test that sends them.
const TEST: &str = "replay::captured_requests_are_routed_authenticated_and_recorded";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder of captures; without it, the ones of this repository.
    #[arg(long, value_name = "DIR")]
    captures: Option<PathBuf>,
}

/// Prints a line per request and, below it, what is wrong with it; an error if anything is.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut cargo =
        shell::cargo(&["test", "--quiet", "--package", "gateway", "--test", "it", "--"]);
    cargo.args(["--exact", "--nocapture", TEST]).env("RUST_BACKTRACE", "0");
    if let Some(folder) = &arguments.captures {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("no folder of captures at {}", folder.display()))?;
        cargo.env("GATEHOUSE_CAPTURES", folder);
    }
    let output = cargo.stderr(Stdio::piped()).output().context("cannot start cargo")?;
    shell::print(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() {
        shell::say(String::from_utf8_lossy(&output.stderr).trim());
    }
    ensure!(output.status.success(), "not every request was handled as it should be: see above");
    Ok(())
}

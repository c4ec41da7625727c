//! The official SDKs and the portal in a browser, run against a gateway with the simulator behind it.
//!
//! `conformance/` holds one runner per language, `web/tests` the portal's. Each prints a line per check,
//! `ok NAME` or `FAIL NAME: reason`, and a last line `N passed, N failed`.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::shell;

/// How many checks did what, and the lines of those that failed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    pub(crate) failed: Vec<String>,
    skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed.len();
        write!(f, "{} passed, {failed} failed, {} skipped", self.passed, self.skipped)?;
        self.failed.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Builds the gateway and runs the SDKs.
pub(crate) fn build_and_run() -> anyhow::Result<()> {
    shell::run(&mut shell::cargo(&["build", "--package", "gatehouse"]))?;
    let tally = run()?;
    shell::print(&format!("conformance: {tally}"));
    ensure!(tally.failed.is_empty(), "{} checks failed: see above", tally.failed.len());
    Ok(())
}

/// Runs every runner whose program is installed, with the gateway that was built last; says which are
/// skipped.
pub(crate) fn run() -> anyhow::Result<Tally> {
    let root = shell::root();
    let mut tally = Tally::default();
    shell::run(&mut shell::cargo(&["build", "--package", "kql", "--example", "bind"]))?;
    for (what, program, script) in [
        ("the first ten minutes", "python3", "conformance/walk/run.sh"),
        ("Python SDKs", "python3", "conformance/python/run.sh"),
        ("Node SDKs", "node", "conformance/node/run.sh"),
        ("LangChain and LiteLLM", "python3", "conformance/frameworks/run.sh"),
        ("a pool in trouble", "python3", "conformance/pool/run.sh"),
        ("Identity", "node", "conformance/identity/run.sh"),
        ("query APIs", "python3", "conformance/kusto/run.sh"),
        ("the admin API", "python3", "conformance/admin/run.sh"),
        ("Kusto's language service", "npm", "conformance/language-service/run.sh"),
        ("TLS", "python3", "conformance/tls/run.sh"),
        ("ACME", "python3", "conformance/acme/run.sh"),
        ("outside sinks", "npm", "conformance/sinks/run.sh"),
        ("signing in", "npm", "conformance/sign-in/run.sh"),
        ("the portal", "npm", "web/tests/run.sh"),
    ] {
        if shell::exists(program) {
            add(&mut tally, &root.join(script))?;
        } else {
            shell::say(&format!("conformance: {what} skipped, `{program}` is not installed"));
            tally.skipped += 1;
        }
    }
    Ok(tally)
}

/// Runs a file of KQL cases through parser, binder and engine; the test that holds the floor of our
/// own cases prints the report.
pub(crate) fn kql(cases: &Path) -> anyhow::Result<()> {
    let cases = cases.canonicalize().with_context(|| format!("no file {}", cases.display()))?;
    let test = "conformance::documented_examples_answer_as_documented";
    let arguments = ["test", "--quiet", "--package", "query", "--test", "it", "--", test];
    let mut command = shell::cargo(&arguments);
    shell::run(command.args(["--exact", "--nocapture"]).env("KQL_CASES", cases))
}

fn add(tally: &mut Tally, script: &Path) -> anyhow::Result<()> {
    let binary = shell::target_folder().join("debug/gatehouse");
    let mut command = Command::new("bash");
    command.arg(script).env("GATEHOUSE", binary).current_dir(shell::root());
    shell::say(&format!("$ bash {}", script.display()));
    let output = command.output().context("cannot start bash")?;
    let text = String::from_utf8_lossy(&output.stdout);
    shell::print(text.trim_end());
    if !output.status.success() {
        shell::say(&String::from_utf8_lossy(&output.stderr));
    }
    let lines = |start| text.lines().filter(move |line| line.starts_with(start));
    let (passed, skipped) = (lines("ok ").count(), lines("skip ").count());
    let failed: Vec<_> = lines("FAIL ").map(str::to_owned).collect();
    if failed.is_empty() && (!output.status.success() || passed + skipped == 0) {
        tally.failed.push(format!("FAIL {}: it broke off", script.display()));
    }
    tally.passed += passed;
    tally.failed.extend(failed);
    tally.skipped += skipped;
    Ok(())
}

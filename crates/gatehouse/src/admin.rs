//! `gatehouse backend`, `gatehouse quota` and `gatehouse reload`: what an administrator has a running gateway do.

use serde_json::Value;

use crate::arguments::{BackendArguments, BackendCommand, ConfigFile};
use crate::client::Client;
use crate::terminal::{print, say};

/// Runs `gatehouse backend`.
pub(crate) fn backend(command: &BackendCommand) -> anyhow::Result<()> {
    match command {
        BackendCommand::List(file) => {
            let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/backends")?;
            print(&format!("{}\n", serde_json::to_string_pretty(&answer["backends"])?));
            Ok(())
        }
        BackendCommand::Drain(arguments) => {
            let verb = if arguments.stateful { "drain?stateful=true" } else { "drain" };
            change(&arguments.backend, verb)?;
            say(&format!("{} gets no new calls; those in flight finish", arguments.backend.id));
            Ok(())
        }
        BackendCommand::Undrain(arguments) => {
            change(arguments, "undrain")?;
            say(&format!("{} gets calls again", arguments.id));
            Ok(())
        }
    }
}

fn change(arguments: &BackendArguments, verb: &str) -> anyhow::Result<Value> {
    let target = format!("/admin/v1/backends/{}/{verb}", arguments.id);
    Client::open(&arguments.file.config)?.admin("POST", &target)
}

/// Runs `gatehouse quota`.
pub(crate) fn quota(file: &ConfigFile) -> anyhow::Result<()> {
    let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/limits")?;
    let counters = answer["counters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |counter: &Value| counter["counter"].as_str().unwrap_or_default().to_owned();
    let width = counters.iter().map(|counter| name(counter).len()).max().unwrap_or(0).max(7);
    let mut table = format!("{:width$}  {:>14}  {:>14}\n", "counter", "used", "by other nodes");
    for counter in counters {
        let (used, others) = (&counter["used"], &counter["others_used"]);
        table.push_str(&format!("{:width$}  {used:>14}  {others:>14}\n", name(counter)));
    }
    print(&table);
    Ok(())
}

/// Runs `gatehouse reload`.
pub(crate) fn reload(file: &ConfigFile) -> anyhow::Result<()> {
    let report = Client::open(&file.config)?.admin("POST", "/admin/v1/reload")?;
    say(&format!("in force now: {}", names(&report["changed"])));
    if report["restart_needed"].as_array().is_some_and(|list| !list.is_empty()) {
        say(&format!("changed, and waits for a restart: {}", names(&report["restart_needed"])));
    }
    if report["overruled"].as_array().is_some_and(|list| !list.is_empty()) {
        say(&format!(
            "not in force, because the database holds the desired state: {} (change it with `gatehouse product`, `subscription` or `apply`, or set `control.source: file`)",
            names(&report["overruled"])
        ));
    }
    Ok(())
}

fn names(list: &Value) -> String {
    let names: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "nothing changed".to_owned() } else { names.join(", ") }
}

//! `gatehouse backend` and `gatehouse reload`: what an administrator has a running gateway do.

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

/// Runs `gatehouse reload`.
pub(crate) fn reload(file: &ConfigFile) -> anyhow::Result<()> {
    let report = Client::open(&file.config)?.admin("POST", "/admin/v1/reload")?;
    say(&format!("in force now: {}", names(&report["changed"])));
    if report["restart_needed"].as_array().is_some_and(|list| !list.is_empty()) {
        say(&format!("changed, and waits for a restart: {}", names(&report["restart_needed"])));
    }
    Ok(())
}

fn names(list: &Value) -> String {
    let names: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "nothing changed".to_owned() } else { names.join(", ") }
}

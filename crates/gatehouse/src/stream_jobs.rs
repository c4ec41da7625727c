//! `gatehouse stream-job`: stream jobs of a running gateway.

use crate::arguments::StreamJobCommand;
use crate::client::Client;
use crate::terminal::print;

/// Runs the command.
pub(crate) fn run(command: &StreamJobCommand) -> anyhow::Result<()> {
    let StreamJobCommand::List(file) = command;
    let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/stream-jobs")?;
    print(&format!("{}\n", serde_json::to_string_pretty(&answer["stream_jobs"])?));
    Ok(())
}

//! `gatehouse report`: scheduled reports of a running gateway.

use serde_json::Value;

use crate::arguments::ReportCommand;
use crate::client::Client;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{Waiting, print};

/// Runs the command.
pub(crate) fn run(command: &ReportCommand) -> anyhow::Result<()> {
    match command {
        ReportCommand::List(file) => {
            let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/reports")?;
            print(&format!("{}\n", serde_json::to_string_pretty(&answer["reports"])?));
            Ok(())
        }
        ReportCommand::Run(one) => {
            let target = format!("/admin/v1/reports/{}/run", one.id);
            let waiting = Waiting::begin("making the report");
            let answer = Client::open(&one.file.config)?.admin("POST", &target)?;
            drop(waiting);
            print(&format!("{}\n", serde_json::to_string_pretty(&answer)?));
            let arrived = |place: &Value| place == "delivered";
            if answer["places"].as_object().is_some_and(|places| places.values().all(arrived)) {
                return Ok(());
            }
            let text =
                "it did not arrive everywhere: `places` above says where, the gateway's log why"
                    .to_owned();
            Err(ExitWith::error(Exit::CheckFailed, text))
        }
    }
}

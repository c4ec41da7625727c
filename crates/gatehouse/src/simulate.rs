//! `gatehouse simulate`: one simulated model instance in a process of its own.

use std::net::SocketAddr;

use simulator::{Simulator, SimulatorConfig};

use crate::arguments::SimulateArguments;
use crate::serve;
use crate::terminal::say;

/// Runs the command until it is told to stop.
pub(crate) fn run(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let config = SimulatorConfig {
        region: arguments.region.clone(),
        listen: SocketAddr::from(([127, 0, 0, 1], arguments.port)),
        api_keys: arguments.key.iter().cloned().collect(),
        // A load test remembers nothing.
        requests_kept_max: 0,
        ..SimulatorConfig::default()
    };
    serve::runtime()?.block_on(async {
        let simulator = Simulator::start(config).await?;
        say(&format!("simulating Azure OpenAI on {}", simulator.url()));
        serve::stop_signal().await?;
        simulator.stop().await;
        Ok(())
    })
}

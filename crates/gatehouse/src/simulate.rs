//! `gatehouse simulate`: one simulated model instance in a process of its own.

use std::net::SocketAddr;

use anyhow::Context;
use simulator::{Deployment, LatencyModel, Simulator, SimulatorConfig};

use crate::arguments::SimulateArguments;
use crate::serve;
use crate::terminal::say;

/// More tokens per minute than can be asked for.
const UNLIMITED: u64 = 1 << 40;

/// Runs the command until it is told to stop.
pub(crate) fn run(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let config = SimulatorConfig {
        name: arguments.name.clone(),
        region: arguments.region.clone(),
        listen: SocketAddr::from(([127, 0, 0, 1], arguments.port)),
        api_keys: arguments.key.iter().cloned().collect(),
        deployments: deployments(&arguments.tokens_per_minute)?,
        rate_limits: !arguments.tokens_per_minute.is_empty(),
        latency: LatencyModel {
            first_byte_ms: arguments.first_byte_ms,
            per_token_ms: arguments.per_token_ms,
            jitter: 0.0,
        },
        // A load test remembers nothing.
        requests_kept_max: 0,
        ..SimulatorConfig::default()
    };
    serve::runtime()?.block_on(async {
        let address = config.listen;
        let simulator = Simulator::start(config).await.with_context(|| {
            format!("cannot listen on {address}: choose another port with --port")
        })?;
        say(&format!("simulating Azure OpenAI on {}", simulator.url()));
        serve::StopSignal::new()?.received().await;
        simulator.stop().await;
        Ok(())
    })
}

/// The usual deployments, limited where that is asked for.
fn deployments(limits: &[(String, u64)]) -> anyhow::Result<Vec<Deployment>> {
    let mut deployments = Deployment::usual();
    if !limits.is_empty() {
        deployments.iter_mut().for_each(|deployment| deployment.tpm = UNLIMITED);
    }
    for (name, tokens) in limits {
        let deployment = deployments.iter_mut().find(|deployment| &deployment.name == name);
        let deployment = deployment.with_context(|| {
            let names: Vec<_> = Deployment::usual().into_iter().map(|known| known.name).collect();
            format!(
                "--tokens-per-minute: there is no deployment `{name}` among {}",
                names.join(", ")
            )
        })?;
        deployment.tpm = *tokens;
    }
    Ok(deployments)
}

//! Wiring of stream jobs: what they ask, how far the tables are, whose rights they have.

use std::sync::Arc;

use control::Control;
use ledger::Ledger;
use sinks::{GivenUp, StreamJobs, StreamJobsParts};

use super::alerts::complete_until;
use super::reports::may_read_content;
use crate::clock::now;
use crate::config::Config;
use crate::parts::Parts;

/// The jobs of this configuration. `node` is this node's name.
pub(crate) fn stream_jobs(
    config: &Config,
    parts: &Arc<Parts>,
    (ledger, control): (&Ledger, &Control),
    node: String,
) -> StreamJobs {
    // The parts own whoever asks, so it does not own them.
    let (pipeline, tables) = (Arc::downgrade(parts), Arc::downgrade(parts));
    let applied = move || pipeline.upgrade().map_or(0, |parts| parts.pipeline.status().applied);
    let given_up = move |table: &str| {
        let gone = tables.upgrade().and_then(|parts| parts.store.given_up(table).ok());
        let store::GivenUp { sequence, time } = gone.unwrap_or_default();
        GivenUp { sequence, time }
    };
    let jobs_parts = StreamJobsParts {
        engine: parts.engine.clone(),
        ledger: ledger.clone(),
        applied: Box::new(applied),
        complete_until: Box::new(complete_until(parts)),
        given_up: Box::new(given_up),
        may_read_content: Box::new(may_read_content(config, control)),
        vault: parts.vault.clone(),
        node,
        folder: config.data_dir.join("sinks"),
        now,
    };
    let egress = parts.security.egress(&config.egress, &config.region);
    let settings = (config.sinks.clone(), config.stream_jobs.clone());
    StreamJobs::new(jobs_parts, settings, egress)
}

//! The state of alerts, as it is kept.

use event::Alert;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::outbox::Outbox;

/// Version of the format.
const VERSION: u32 = 1;

/// Everything that outlives a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Version of the format.
    pub version: u32,
    /// What fires.
    pub engine: Engine,
    /// What is on its way.
    pub outbox: Outbox,
    /// Rows of history that are not in the ledger yet.
    pub unrecorded: Vec<Alert>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            engine: Engine::default(),
            outbox: Outbox::default(),
            unrecorded: Vec::new(),
        }
    }
}

impl State {
    /// Reads a state back; the text names the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let state: Self = serde_json::from_str(text).map_err(|error| {
            format!("the state of alerts cannot be read ({error}): move it away to begin anew")
        })?;
        if state.version > VERSION {
            return Err(format!(
                "the state of alerts has version {}, which is newer than this Gatehouse: update it",
                state.version
            ));
        }
        Ok(state)
    }
}

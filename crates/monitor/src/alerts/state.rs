//! The state of alerts, kept: in a file, and where nodes share Redis, there, under a lease, so that one of
//! them looks at rules at a time and the next goes on where it stopped.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
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

/// Who may look at rules, and with what state.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease {
    /// This node, with this state, if another one kept it last.
    Ours(Option<String>),
    /// Another node.
    Theirs,
}

/// Where nodes agree on who looks at rules.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Takes the lease or keeps it. Answers the state where the lease was not this node's before.
    async fn lease(&self) -> Result<Lease, String>;
    /// Keeps the state, if the lease is still this node's; false if not.
    async fn keep(&self, state: &str) -> Result<bool, String>;
}

/// The file of a node.
#[derive(Clone, Debug)]
pub(super) struct StateFile(pub(super) PathBuf);

impl StateFile {
    /// The state as it was kept; none if there is none.
    pub(super) fn load(&self) -> Result<Option<State>, String> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => State::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", self.0.display())),
        }
    }

    /// Puts the state in the file's place as a whole.
    pub(super) fn store(&self, text: &str) -> std::io::Result<()> {
        use std::io::Write;
        let new = self.0.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.0)?;
        let folder = self.0.parent().unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    }
}

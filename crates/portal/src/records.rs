//! The ledger, as far as this listener reads it.

use std::ops::ControlFlow;

use event::{Frame, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;

/// A frame as the ledger keeps it.
pub struct Kept {
    /// Its sequence.
    pub sequence: u64,
    /// When it was written: a moment after what it tells.
    pub written_at: Timestamp,
    /// What it is.
    pub frame: Frame,
    /// Its payload was erased, and is empty.
    pub is_erased: bool,
}

/// The ledger as far as this listener reads it; the wiring implements it. Calls block.
pub trait Records: Send + Sync {
    /// Hands over the frames from one sequence to another, both included, as far as they are kept and
    /// until `visit` breaks off.
    fn read(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(Kept) -> ControlFlow<()>,
    ) -> Result<(), Problem>;
    /// Walks the ledger, or a part of it, and answers what it found, as `gatehouse audit verify --json`
    /// does.
    fn verify(&self, part: &Part) -> Result<Value, Problem>;
}

/// A part of the ledger, walked in whole segments; all of it if neither is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Part {
    /// Where it begins: a sequence, or a time such as 2026-11-01T12:00:00Z.
    pub from: Option<String>,
    /// Where it ends.
    pub to: Option<String>,
}

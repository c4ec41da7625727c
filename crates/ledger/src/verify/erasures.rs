//! Holds what was erased against the orders for it. An order stands behind what it takes the content of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use event::{InteractionId, Kind};

use super::{Finding, FindingKind};
use crate::format::StoredFrame;

/// Interactions with erased frames whose order is not met yet; there are as many as were erased, at most.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    unordered: HashMap<InteractionId, Finding>,
    orders: u64,
}

impl Erasures {
    /// Notes an erased frame. A finding if it is of a kind that is never erased.
    pub(super) fn erased(
        &mut self,
        path: &Path,
        offset: u64,
        frame: &StoredFrame,
    ) -> Option<Finding> {
        let StoredFrame { sequence, interaction, .. } = *frame;
        let finding = |text: String| Finding {
            kind: FindingKind::ErasedWithoutOrder,
            file: PathBuf::from(path),
            offset,
            sequence,
            text,
        };
        if !Kind::from_byte(frame.kind).is_some_and(Kind::is_content) {
            let text = format!("a frame of kind {} is erased, which holds no content", frame.kind);
            return Some(finding(text));
        }
        self.unordered.entry(interaction).or_insert_with(|| {
            finding(format!("content of interaction {interaction} is erased, and no order says so"))
        });
        None
    }

    /// Notes an order.
    pub(super) fn ordered(&mut self, interaction: InteractionId) {
        self.orders += 1;
        self.unordered.remove(&interaction);
    }

    pub(super) fn orders(&self) -> u64 {
        self.orders
    }

    /// What nobody ordered, in the ledger's order.
    pub(super) fn unordered(&mut self) -> Vec<Finding> {
        let mut findings: Vec<_> = self.unordered.drain().map(|(_, finding)| finding).collect();
        findings.sort_by_key(|finding| finding.sequence);
        findings
    }
}

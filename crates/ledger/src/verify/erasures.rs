//! Holds what was erased against the orders for it.

use std::collections::{HashMap, HashSet};

use event::{InteractionId, Kind};

use crate::format::StoredFrame;

/// Orders that were met, and erased frames whose order was not yet: an order may stand before them, if the
/// interaction had not ended then. There are as many as were ordered and erased, at some 50 bytes each.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    ordered: HashSet<InteractionId>,
    /// With their first erased frame.
    unordered: HashMap<InteractionId, Erased>,
    orders: u64,
}

/// Where an erased frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Erased {
    pub(super) interaction: InteractionId,
    /// Of the segments walked, the one it is in.
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) sequence: u64,
}

impl Erasures {
    /// These were open when the walk began: orders for them may stand before it.
    pub(super) fn excuse(&mut self, open: &[(InteractionId, u64)]) {
        self.ordered.extend(open.iter().map(|(interaction, _)| *interaction));
    }

    /// Notes an erased frame; false if it is of a kind that is never erased.
    pub(super) fn erased(&mut self, frame: &StoredFrame, segment: u64, offset: u64) -> bool {
        let StoredFrame { sequence, interaction, .. } = *frame;
        if !self.ordered.contains(&interaction) {
            let erased = Erased { interaction, segment, offset, sequence };
            self.unordered.entry(interaction).or_insert(erased);
        }
        Kind::from_byte(frame.kind).is_some_and(Kind::is_content)
    }

    /// Notes an order.
    pub(super) fn ordered(&mut self, interaction: InteractionId) {
        self.orders += 1;
        self.ordered.insert(interaction);
        self.unordered.remove(&interaction);
    }

    pub(super) fn orders(&self) -> u64 {
        self.orders
    }

    /// What nobody ordered, in the ledger's order.
    pub(super) fn unordered(&self) -> Vec<Erased> {
        let mut unordered: Vec<_> = self.unordered.values().copied().collect();
        unordered.sort_by_key(|erased| erased.sequence);
        unordered
    }
}

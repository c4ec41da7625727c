//! Follows which interactions are open, in bounded memory.

use std::collections::{HashSet, VecDeque};

use event::InteractionId;

use super::FindingKind;
use crate::walk::OpenSet;

/// Closed interactions remembered, to tell a second outcome from one without a start.
const REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// No more than were open at once, which the gateway bounds.
    open: OpenSet,
    closed: HashSet<InteractionId>,
    /// The same in order, oldest first.
    order: VecDeque<InteractionId>,
}

impl Outcomes {
    /// Exactly these are open.
    pub(super) fn are_open(&self, listed: &[(InteractionId, u64)]) -> bool {
        listed.len() == self.open.len()
            && listed.iter().all(|(id, sequence)| self.open.get(id) == Some(sequence))
    }

    /// Goes on from the list in a segment header.
    pub(super) fn restart(&mut self, listed: &[(InteractionId, u64)]) {
        self.open = listed.iter().copied().collect();
    }

    /// False if it was open, or closed, already.
    pub(super) fn open(&mut self, interaction: InteractionId, sequence: u64) -> bool {
        let fresh = !self.closed.contains(&interaction);
        self.open.insert(interaction, sequence).is_none() && fresh
    }

    pub(super) fn close(
        &mut self,
        interaction: InteractionId,
    ) -> Result<(), (FindingKind, &'static str)> {
        if self.open.remove(&interaction).is_none() {
            return Err(if self.closed.contains(&interaction) {
                (FindingKind::TwoOutcomes, "has a second outcome")
            } else {
                (FindingKind::NoStart, "has an outcome but no start")
            });
        }
        if self.closed.insert(interaction) {
            self.order.push_back(interaction);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        Ok(())
    }

    /// What is open, oldest first.
    pub(super) fn remaining(&self) -> Vec<(InteractionId, u64)> {
        crate::appender::listed(&self.open)
    }
}

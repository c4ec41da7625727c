//! Holds what keys vouched for against the chain.

use std::collections::VecDeque;

use event::{LedgerCheckpoint, Timestamp};

use crate::checkpoint::Checkpoint;
use crate::format::Position;
use crate::signing::PublicKey;

/// Ends of commits that are remembered: a checkpoint stands only a few commits behind the place it signs.
const ENDS_MAX: usize = 1 << 16;
/// A gateway signs about every minute: what is unsigned for longer than this was not written by one.
const UNSIGNED_MILLIS_MAX: i64 = 60 * 60 * 1000;

/// What is known from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The keys that may have signed the ledger. With any, a signature by another key is a finding, and
    /// so is an end without signature that is longer than an hour.
    pub keys: Vec<PublicKey>,
    /// Checkpoints that were kept elsewhere: the chain must go through them.
    pub checkpoints: Vec<Checkpoint>,
}

/// See the module.
pub(super) struct Signatures<'a> {
    keys: &'a [PublicKey],
    /// Checkpoints from elsewhere that the walk has not come to, in order.
    awaited: VecDeque<&'a Checkpoint>,
    ends: VecDeque<Position>,
    /// When the first commit was written that no key vouches for.
    unsigned_since: Option<Timestamp>,
    last_at: Option<Timestamp>,
    has_signed: bool,
}

/// A signature that holds.
pub(super) struct Signed {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) key: PublicKey,
}

impl<'a> Signatures<'a> {
    pub(super) fn new(trust: &'a Trust) -> Self {
        let mut awaited: Vec<&Checkpoint> = trust.checkpoints.iter().collect();
        awaited.sort_by_key(|checkpoint| checkpoint.position.sequence);
        Self {
            keys: &trust.keys,
            awaited: awaited.into(),
            ends: VecDeque::new(),
            unsigned_since: None,
            last_at: None,
            has_signed: false,
        }
    }

    /// The walk begins, or begins again behind a gap: what was signed before cannot be held against it.
    pub(super) fn begin(&mut self, position: Position) {
        while let Some(checkpoint) = self.awaited.front()
            && checkpoint.position.sequence < position.sequence
        {
            self.awaited.pop_front();
        }
        self.ends.clear();
        self.ends.push_back(position);
    }

    /// A commit has been walked. Answers the sequence of a checkpoint from elsewhere that it contradicts.
    pub(super) fn commit(&mut self, end: Position, written_at: Timestamp) -> Option<u64> {
        if self.ends.len() == ENDS_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
        self.last_at = Some(written_at);
        if !std::mem::take(&mut self.has_signed) {
            self.unsigned_since.get_or_insert(written_at);
        }
        let checkpoint =
            self.awaited.pop_front_if(|next| next.position.sequence <= end.sequence)?;
        (checkpoint.position != end).then_some(checkpoint.position.sequence)
    }

    /// A checkpoint stands in the ledger of this identity; the end of its own commit comes later.
    pub(super) fn checkpoint(
        &mut self,
        row: &LedgerCheckpoint,
        ledger: [u8; 16],
    ) -> Result<Signed, String> {
        let (checkpoint, key) = Checkpoint::of_row(row)?;
        let sequence = checkpoint.position.sequence;
        if checkpoint.ledger != ledger {
            return Err("it is of another ledger".into());
        }
        if !self.keys.is_empty() && !self.keys.contains(&key) {
            return Err(format!("{key} signed it, which is none of the public keys given"));
        }
        let is_known = self.ends.front().is_some_and(|first| first.sequence <= sequence);
        if is_known && !self.ends.iter().rev().any(|end| *end == checkpoint.position) {
            return Err(format!("the chain at sequence {sequence} is not what was signed"));
        }
        self.unsigned_since = None;
        self.has_signed = true;
        Ok(Signed { sequence, at: checkpoint.signed_at, key })
    }

    /// The end of the ledger: what is wrong with it.
    pub(super) fn end(&self) -> Option<String> {
        if let Some(checkpoint) = self.awaited.back() {
            let sequence = checkpoint.position.sequence;
            return Some(format!(
                "it ends before sequence {sequence}, which a checkpoint from elsewhere names"
            ));
        }
        let (since, last) = (self.unsigned_since?, self.last_at?);
        let is_long = last.millis_since(since) > UNSIGNED_MILLIS_MAX;
        (is_long && !self.keys.is_empty())
            .then(|| "its last hour and more is signed by none of the public keys given".into())
    }
}

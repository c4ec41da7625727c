//! The newest commits in memory, so that those who follow the ledger need not read them back. Bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use event::Timestamp;

use crate::format::StoredFrame;
use crate::locks::LOCK;

/// Bytes of payloads that are held. A payload may hold on to a little more: the buffer it was read into.
const BYTES_MAX: usize = 256 << 10;

/// A commit that was written.
#[derive(Debug)]
pub(crate) struct RecentCommit {
    pub(crate) written_at: Timestamp,
    pub(crate) frames: Arc<[StoredFrame]>,
    /// Epoch of its segment, and where the next commit stands there.
    pub(crate) epoch: u64,
    pub(crate) end: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Commits>);

#[derive(Debug, Default)]
struct Commits {
    commits: VecDeque<Arc<RecentCommit>>,
    bytes: usize,
}

impl RecentCommit {
    fn bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.payload.len()).sum()
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.sequence)
    }
}

impl Recent {
    /// Adds the newest commit; the oldest give way.
    pub(crate) fn push(&self, commit: RecentCommit) {
        let mut recent = self.0.lock().expect(LOCK);
        recent.bytes += commit.bytes();
        recent.commits.push_back(Arc::new(commit));
        while recent.bytes > BYTES_MAX
            && let Some(oldest) = recent.commits.pop_front()
        {
            recent.bytes -= oldest.bytes();
        }
    }

    /// The commit that holds this frame, if it is still there.
    pub(crate) fn find(&self, sequence: u64) -> Option<Arc<RecentCommit>> {
        let recent = self.0.lock().expect(LOCK);
        let at = recent.commits.partition_point(|commit| commit.last_sequence() < sequence);
        let commit = recent.commits.get(at)?;
        let first_sequence = commit.frames.first()?.sequence;
        (first_sequence <= sequence).then(|| commit.clone())
    }

    /// Forgets all of them: what stands on disk is something else now.
    pub(crate) fn clear(&self) {
        *self.0.lock().expect(LOCK) = Commits::default();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event::{InteractionId, Kind};

    use super::*;

    fn commit(sequences: std::ops::RangeInclusive<u64>, bytes: usize) -> RecentCommit {
        let payload = Bytes::from(vec![0; bytes]);
        let frames = sequences.map(|sequence| StoredFrame {
            sequence,
            interaction: InteractionId::from_bytes([0; 16]),
            kind: Kind::RequestChunk as u8,
            flags: 0,
            length: 0,
            payload: payload.clone(),
        });
        let written_at = Timestamp::default();
        RecentCommit { written_at, frames: frames.collect(), epoch: 1, end: 0 }
    }

    #[test]
    fn the_oldest_give_way() {
        let recent = Recent::default();
        recent.push(commit(1..=2, BYTES_MAX / 4));
        recent.push(commit(3..=3, BYTES_MAX / 4));
        let found = |sequence| recent.find(sequence).map(|commit| commit.last_sequence());
        assert_eq!([0, 1, 2, 3, 4].map(found), [None, Some(2), Some(2), Some(3), None]);
        recent.push(commit(4..=4, BYTES_MAX / 2));
        assert_eq!([2, 3, 4].map(found), [None, Some(3), Some(4)]);
        recent.push(commit(5..=5, 2 * BYTES_MAX));
        assert_eq!([4, 5].map(found), [None, None], "what is too large is not held");
        recent.push(commit(6..=6, 1));
        assert_eq!(found(6), Some(6));
        recent.clear();
        assert_eq!(found(6), None);
    }
}

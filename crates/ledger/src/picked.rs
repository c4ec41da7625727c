//! The newest frames of kinds that somebody reads by themselves, in memory: they are few and small among those
//! that nobody wants to read for them. Bounded in bytes.

use std::collections::VecDeque;
use std::sync::Mutex;

use event::{Kind, Timestamp};

use crate::format::StoredFrame;
use crate::locks::LOCK;

/// Bytes that are held, each frame counted with [`FRAME_BYTES`] besides its payload.
const BYTES_MAX: usize = 1 << 20;
const FRAME_BYTES: usize = size_of::<PickedFrame>();

/// A frame, and when its commit was written.
#[derive(Clone, Debug)]
pub(crate) struct PickedFrame {
    pub(crate) stored: StoredFrame,
    pub(crate) written_at: Timestamp,
}

/// What [`Picked::find`] knows.
#[derive(Debug)]
pub(crate) enum Found {
    Frame(PickedFrame),
    /// No frame of these kinds has come.
    None,
    /// Nothing: what came before is no longer, or never was, held.
    Unknown,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Picked(Mutex<Frames>);

#[derive(Debug, Default)]
struct Frames {
    kinds: Vec<u8>,
    /// All frames of these kinds are held from this sequence on; none until the next commit.
    from: Option<u64>,
    /// In order of their sequences.
    frames: VecDeque<PickedFrame>,
    bytes: usize,
}

impl Picked {
    /// Holds frames of these kinds too from now on.
    pub(crate) fn want(&self, kinds: &[Kind]) {
        let mut picked = self.0.lock().expect(LOCK);
        for kind in kinds {
            if !picked.kinds.contains(&(*kind as u8)) {
                picked.kinds.push(*kind as u8);
                picked.forget();
            }
        }
    }

    /// Takes what is wanted of the newest commit.
    pub(crate) fn push(&self, frames: &[StoredFrame], written_at: Timestamp) {
        let mut picked = self.0.lock().expect(LOCK);
        let Some(first) = frames.first().filter(|_| !picked.kinds.is_empty()) else { return };
        picked.from.get_or_insert(first.sequence);
        for stored in frames {
            if picked.kinds.contains(&stored.kind) {
                picked.bytes += FRAME_BYTES + stored.payload.len();
                picked.frames.push_back(PickedFrame { stored: stored.clone(), written_at });
            }
        }
        while picked.bytes > BYTES_MAX
            && let Some(oldest) = picked.frames.pop_front()
        {
            picked.bytes -= FRAME_BYTES + oldest.stored.payload.len();
            picked.from = Some(oldest.stored.sequence + 1);
        }
    }

    /// The first frame from this sequence on that is `wanted`, which must be of kinds that are held.
    pub(crate) fn find(&self, sequence: u64, wanted: impl Fn(u8) -> bool) -> Found {
        let picked = self.0.lock().expect(LOCK);
        if picked.from.is_none_or(|from| sequence < from) {
            return Found::Unknown;
        }
        let at = picked.frames.partition_point(|frame| frame.stored.sequence < sequence);
        let found = picked.frames.range(at..).find(|frame| wanted(frame.stored.kind));
        found.map_or(Found::None, |frame| Found::Frame(frame.clone()))
    }

    /// Forgets all of them: what stands on disk is something else now.
    pub(crate) fn clear(&self) {
        self.0.lock().expect(LOCK).forget();
    }
}

impl Frames {
    fn forget(&mut self) {
        self.from = None;
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event::InteractionId;

    use super::*;

    fn frame(sequence: u64, kind: Kind, bytes: usize) -> StoredFrame {
        StoredFrame {
            sequence,
            interaction: InteractionId::from_bytes([0; 16]),
            kind: kind as u8,
            flags: 0,
            length: 0,
            payload: Bytes::from(vec![0; bytes]),
        }
    }

    fn push(picked: &Picked, frames: &[(u64, Kind, usize)]) {
        let frames: Vec<_> =
            frames.iter().map(|(at, kind, bytes)| frame(*at, *kind, *bytes)).collect();
        picked.push(&frames, Timestamp::default());
    }

    /// The sequence of the charges found from here on; 0 if there are none.
    fn charges(picked: &Picked, from: u64) -> Option<u64> {
        match picked.find(from, |kind| kind == Kind::Charges as u8) {
            Found::Frame(found) => Some(found.stored.sequence),
            Found::None => Some(0),
            Found::Unknown => None,
        }
    }

    #[test]
    fn wanted_frames_are_found_from_the_next_commit_on() {
        let picked = Picked::default();
        push(&picked, &[(1, Kind::Charges, 1)]);
        picked.want(&[Kind::Charges, Kind::Objects]);
        assert_eq!(charges(&picked, 2), None, "a commit may be on its way");
        push(&picked, &[(2, Kind::Opened, 1), (3, Kind::Objects, 1), (4, Kind::Charges, 1)]);
        assert_eq!(
            [1, 2, 4, 5].map(|from| charges(&picked, from)),
            [None, Some(4), Some(4), Some(0)]
        );
        picked.want(&[Kind::Charges]);
        assert_eq!(charges(&picked, 2), Some(4), "it was wanted before");
        picked.want(&[Kind::AdminAction]);
        assert_eq!(charges(&picked, 2), None, "it may lack some");
        push(&picked, &[(5, Kind::Charges, 1)]);
        assert_eq!([4, 5].map(|from| charges(&picked, from)), [None, Some(5)]);
        picked.clear();
        assert_eq!(charges(&picked, 5), None);
    }

    #[test]
    fn the_oldest_give_way() {
        let picked = Picked::default();
        picked.want(&[Kind::Charges]);
        for sequence in 1..=4 {
            push(&picked, &[(sequence, Kind::Charges, BYTES_MAX / 3)]);
        }
        assert_eq!([1, 2, 3].map(|from| charges(&picked, from)), [None, None, Some(3)]);
        push(&picked, &[(5, Kind::Charges, BYTES_MAX)]);
        assert_eq!([5, 6].map(|from| charges(&picked, from)), [None, Some(0)]);
    }
}

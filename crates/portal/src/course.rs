//! When the pieces of an answer came, as the ledger tells it. No content.
//!
//! A piece is written a few milliseconds after it came (`docs/durability.md`); a message of a WebSocket session
//! says itself when it passed.

use event::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Moments that are told; where there are more, neighbours are told as one.
const MOMENTS_MAX: usize = 500;
/// Gaps that are told, the longest ones.
const GAPS_MAX: usize = 5;
/// The first grain, in microseconds.
const GRAIN_FIRST_US: i64 = 1_000;

/// How an answer came, piece by piece.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Course {
    /// When the first piece with output of the model was written, of a stream: microseconds since 1970. Before
    /// it may come who answers, and verdicts on the prompt.
    first_output_at_us: Option<i64>,
    /// Pieces that came within so many microseconds are told as one moment; 0 if none had to be.
    grain_us: i64,
    /// When pieces came, in order.
    moments: Vec<Moment>,
    /// The longest gaps between two pieces, the longest first.
    gaps: Vec<Gap>,
    #[serde(skip)]
    last_at_us: i64,
}

/// Pieces that came together.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Moment {
    /// When the first of them was written: microseconds since 1970.
    at_us: i64,
    /// How many they are.
    pieces: u64,
    /// Their bytes.
    bytes: u64,
}

/// A time in which nothing came.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Gap {
    /// When it began: microseconds since 1970.
    from_us: i64,
    /// When it ended.
    to_us: i64,
}

impl Course {
    /// Output of the model has come by then.
    pub(crate) fn note_output(&mut self, at: Timestamp) {
        self.first_output_at_us.get_or_insert(at.unix_micros());
    }

    /// A piece came.
    pub(crate) fn push(&mut self, at: Timestamp, bytes: u64) {
        let at_us = at.unix_micros();
        if !self.moments.is_empty() {
            self.note_gap(Gap { from_us: self.last_at_us, to_us: at_us });
        }
        self.last_at_us = at_us;
        let moment = Moment { at_us, pieces: 1, bytes };
        match self.moments.last_mut().filter(|last| last.is_near(&moment, self.grain_us)) {
            Some(last) => last.take(&moment),
            None => self.moments.push(moment),
        }
        while self.moments.len() > MOMENTS_MAX {
            self.grain_us = (self.grain_us * 2).max(GRAIN_FIRST_US);
            let grain_us = self.grain_us;
            self.moments.dedup_by(|next, kept| {
                let is_near = kept.is_near(next, grain_us);
                if is_near {
                    kept.take(next);
                }
                is_near
            });
        }
    }

    fn note_gap(&mut self, gap: Gap) {
        if gap.to_us > gap.from_us {
            self.gaps.push(gap);
            self.gaps.sort_by_key(|gap| gap.from_us - gap.to_us);
            self.gaps.truncate(GAPS_MAX);
        }
    }
}

impl Moment {
    /// A clock that was set back makes no moments of its own.
    fn is_near(&self, next: &Self, grain_us: i64) -> bool {
        next.at_us - self.at_us <= grain_us
    }

    fn take(&mut self, next: &Self) {
        self.pieces += next.pieces;
        self.bytes += next.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(times: impl IntoIterator<Item = i64>) -> Course {
        let mut course = Course::default();
        for at in times {
            course.push(Timestamp::from_unix_micros(at), 10);
        }
        course
    }

    #[test]
    fn pieces_of_one_commit_are_a_moment_and_the_longest_gaps_are_told() {
        let course = course([100, 100, 100, 40_100, 41_100, 2_041_100, 2_041_100]);
        let moments: Vec<_> =
            course.moments.iter().map(|moment| (moment.at_us, moment.pieces)).collect();
        assert_eq!(moments, [(100, 3), (40_100, 1), (41_100, 1), (2_041_100, 2)]);
        assert_eq!(course.moments[0].bytes, 30);
        let gaps: Vec<_> = course.gaps.iter().map(|gap| (gap.from_us, gap.to_us)).collect();
        assert_eq!(gaps, [(41_100, 2_041_100), (100, 40_100), (40_100, 41_100)]);
    }

    #[test]
    fn however_long_an_answer_is_few_moments_are_told_and_no_piece_is_lost() {
        // A piece a millisecond for ten minutes, and one that came after a minute of silence.
        let times = (0..600_000).map(|at| at * 1_000).chain([660_000_000]);
        let course = course(times);
        assert!(course.moments.len() <= MOMENTS_MAX, "{}", course.moments.len());
        assert!(course.moments.len() > MOMENTS_MAX / 3, "{}", course.moments.len());
        assert_eq!(course.moments.iter().map(|moment| moment.pieces).sum::<u64>(), 600_001);
        assert_eq!(course.gaps[0], Gap { from_us: 599_999_000, to_us: 660_000_000 });
        assert_eq!(course.gaps.len(), GAPS_MAX);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_gap() {
        let course = course([5_000, 1_000, 9_000]);
        assert_eq!(course.gaps, [Gap { from_us: 1_000, to_us: 9_000 }]);
        assert_eq!(course.moments.len(), 2);
    }
}

//! Ids of interactions: minted at accept, ordered by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Identity of one interaction: a version 7 UUID (RFC 9562), so ids sort by the moment of accept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InteractionId(uuid::Uuid);

impl InteractionId {
    /// Mints an id for a request received at `at`; `random` makes ids of one millisecond distinct.
    pub fn mint(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen bytes as they stand in a frame.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Reads an id back from a frame.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for InteractionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for InteractionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InteractionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_survive_text() {
        let early = InteractionId::mint(Timestamp::from_unix_micros(1_000_000), [255; 10]);
        let late = InteractionId::mint(Timestamp::from_unix_micros(2_000_000), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<InteractionId>().ok(), Some(early));
        assert_eq!(InteractionId::from_bytes(late.to_bytes()), late);
    }
}

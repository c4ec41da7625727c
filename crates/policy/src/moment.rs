//! An instant as configuration writes it.

use event::Timestamp;
use jiff::Timestamp as Instant;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A UTC instant, written as RFC 3339 has it, such as `2027-01-31T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(Timestamp);

impl Moment {
    /// The instant.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Moment {
    /// Within the years that can be written.
    fn from(timestamp: Timestamp) -> Self {
        let (least, most) = (Instant::MIN.as_microsecond(), Instant::MAX.as_microsecond());
        Self(Timestamp::from_unix_micros(timestamp.unix_micros().clamp(least, most)))
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let instant: Instant = text
            .parse()
            .map_err(|_| format!("`{text}` is no instant: write it like 2027-01-31T00:00:00Z"))?;
        Ok(Self(Timestamp::from_unix_micros(instant.as_microsecond())))
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        let instant = Instant::from_microsecond(moment.0.unix_micros());
        instant.expect("a moment lies within the years that can be written").to_string()
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date-time",
            "description": "A UTC instant, as RFC 3339 writes it, such as 2027-01-31T00:00:00Z.",
        })
    }
}

//! A place in the ledger, as a person writes it.

use event::Timestamp;
use ledger::Place;

/// A sequence, a day or an instant.
pub(crate) fn parse(text: &str) -> Result<Place, String> {
    if let Ok(sequence) = text.parse() {
        return Ok(Place::Sequence(sequence));
    }
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
    let at = at.ok_or_else(|| {
        format!("`{text}` is neither a sequence nor a time such as 2026-11-01T12:00:00Z")
    })?;
    Ok(Place::Time(Timestamp::from_unix_micros(at.as_microsecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_sequence_or_a_time() {
        assert_eq!(parse("17"), Ok(Place::Sequence(17)));
        let midnight = Place::Time(Timestamp::from_unix_micros(1_793_491_200_000_000));
        assert_eq!(parse("2026-11-01"), Ok(midnight));
        assert_eq!(parse("2026-11-01T01:00:00+01:00"), Ok(midnight));
        parse("yesterday").expect_err("no time");
    }
}

//! ISO 8601 durations and intervals.

use kql::{TICKS_PER_DAY, TICKS_PER_SECOND};

/// A half-open range of instants, in ticks: `PT1H` ends now; `a/b`, `a/PT1H` and `PT1H/b` say both ends.
/// Years have 365 days and months 30, as Azure counts them.
pub(super) fn read(text: &str, now_ticks: i64) -> Option<(i64, i64)> {
    let text = text.trim();
    let (from, to) = match text.split_once('/') {
        None => (now_ticks.checked_sub(duration(text)?)?, now_ticks.saturating_add(1)),
        Some((from, to)) => match (kql::parse_datetime(from), kql::parse_datetime(to)) {
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) => (from, from.checked_add(duration(to)?)?),
            (None, Some(to)) => (to.checked_sub(duration(from)?)?, to),
            (None, None) => return None,
        },
    };
    (from <= to).then_some((from, to))
}

/// Ticks of `P1Y2M3W4DT5H6M7.8S`.
fn duration(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let mut rest = upper.strip_prefix('P')?;
    let (mut ticks, mut is_time, mut parts) = (0i64, false, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if is_time {
                return None;
            }
            (is_time, rest) = (true, time);
            continue;
        }
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.' && char != ',')?;
        let number: f64 = rest[..end].replace(',', ".").parse().ok()?;
        let unit = match (rest[end..].chars().next()?, is_time) {
            ('Y', false) => 365 * TICKS_PER_DAY,
            ('M', false) => 30 * TICKS_PER_DAY,
            ('W', false) => 7 * TICKS_PER_DAY,
            ('D', false) => TICKS_PER_DAY,
            ('H', true) => 3_600 * TICKS_PER_SECOND,
            ('M', true) => 60 * TICKS_PER_SECOND,
            ('S', true) => TICKS_PER_SECOND,
            _ => return None,
        };
        let part = number * unit as f64;
        if !(part.is_finite() && part < i64::MAX as f64) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "it was just seen to fit")]
        let part = part.round() as i64;
        ticks = ticks.checked_add(part)?;
        parts += 1;
        rest = &rest[end + 1..];
    }
    (parts > 0).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        kql::parse_datetime(text).expect("an instant")
    }

    #[test]
    fn durations_end_now_and_intervals_where_they_say() {
        let now = at("2026-03-01T12:00:00Z");
        for (text, from, to) in [
            ("PT1H", "2026-03-01T11:00:00Z", "2026-03-01T12:00:00.0000001Z"),
            ("P1DT12H", "2026-02-28T00:00:00Z", "2026-03-01T12:00:00.0000001Z"),
            ("PT3600.0S", "2026-03-01T11:00:00Z", "2026-03-01T12:00:00.0000001Z"),
            ("P1W", "2026-02-22T12:00:00Z", "2026-03-01T12:00:00.0000001Z"),
            ("2026-01-01/2026-01-02", "2026-01-01", "2026-01-02"),
            ("2026-01-01T00:00:00.000Z/PT90M", "2026-01-01", "2026-01-01T01:30:00Z"),
            ("P1D/2026-01-02T00:00:00Z", "2026-01-01", "2026-01-02"),
        ] {
            assert_eq!(read(text, now), Some((at(from), at(to))), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "1h",
            "P1H",
            "PT1D",
            "2026-01-02/2026-01-01",
            "P1D/P1D",
            "P9999999999999Y",
            "PT1HT1M",
        ] {
            assert_eq!(read(text, at("2026-03-01")), None, "{text}");
        }
    }
}

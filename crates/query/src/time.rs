//! Ticks and the calendar: datetimes and timespans in units of 100 ns.

/// Ticks of a second.
pub(crate) const SECOND: i64 = 10_000_000;
/// Ticks of a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Ticks of an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// Ticks of a day.
pub(crate) const DAY: i64 = 24 * HOUR;
/// Ticks from 0001-01-01 to 1970-01-01.
pub(crate) const UNIX_EPOCH: i64 = 719_162 * DAY;
/// The last tick of the year 9999.
pub(crate) const LAST: i64 = 3_652_059 * DAY - 1;

/// A moment's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    /// Ticks since midnight.
    pub(crate) ticks: i64,
}

/// The ticks, if they lie in the years 1 to 9999.
pub(crate) fn in_range(ticks: i64) -> Option<i64> {
    (0..=LAST).contains(&ticks).then_some(ticks)
}

/// Days from 0001-01-01 to a date of the Gregorian calendar.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 306
}

/// The date and time of day of a datetime.
pub(crate) fn civil(ticks: i64) -> Civil {
    let since_march = ticks.div_euclid(DAY) + 306;
    let era = since_march.div_euclid(146_097);
    let of_era = since_march.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day, ticks: ticks.rem_euclid(DAY) }
}

/// Days of a month.
pub(crate) fn month_days(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days(next_year, next, 1) - days(year, month, 1)
}

/// The datetime of a date and a time of day; none if there is no such date.
pub(crate) fn from_civil(year: i64, month: i64, day: i64, of_day: i64) -> Option<i64> {
    let is_date = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && day >= 1
        && day <= month_days(year, month)
        && (0..DAY).contains(&of_day);
    is_date.then(|| days(year, month, day) * DAY + of_day)
}

/// Adds months; a day the month does not have becomes its last.
pub(crate) fn add_months(ticks: i64, months: i64) -> Option<i64> {
    let at = civil(ticks);
    let total = (at.year * 12 + at.month - 1).checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    if !(1..=9999).contains(&year) {
        return None;
    }
    from_civil(year, month, at.day.min(month_days(year, month)), at.ticks)
}

/// Days since Sunday.
pub(crate) fn weekday(ticks: i64) -> i64 {
    (ticks.div_euclid(DAY) + 1).rem_euclid(7)
}

/// Day of the year, from 1.
pub(crate) fn day_of_year(ticks: i64) -> i64 {
    ticks.div_euclid(DAY) - days(civil(ticks).year, 1, 1) + 1
}

/// Week of the year as ISO 8601 counts.
pub(crate) fn iso_week(ticks: i64) -> i64 {
    let day = ticks.div_euclid(DAY);
    let thursday = day - (day.rem_euclid(7)) + 3;
    let year = civil(thursday * DAY).year;
    (thursday - days(year, 1, 1)) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_agrees_with_itself_and_with_known_days() {
        assert_eq!(days(1, 1, 1), 0);
        assert_eq!(days(1970, 1, 1) * DAY, UNIX_EPOCH);
        assert_eq!(days(10_000, 1, 1) * DAY - 1, LAST);
        for day in (0..3_652_059).step_by(97) {
            let at = civil(day * DAY + 5);
            assert_eq!(from_civil(at.year, at.month, at.day, 5), Some(day * DAY + 5));
        }
        assert_eq!(weekday(days(2024, 2, 25) * DAY), 0);
        assert_eq!(iso_week(days(2021, 1, 3) * DAY), 53);
        assert_eq!(day_of_year(days(2024, 12, 31) * DAY), 366);
    }
}

//! Instants and durations in 100 ns ticks: text to ticks and back.

/// Ticks of a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
/// Ticks of a day.
pub const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// 1970-01-01T00:00:00Z.
pub const UNIX_EPOCH_TICKS: i64 = 719_162 * TICKS_PER_DAY;
/// 9999-12-31T23:59:59.9999999Z, the last instant there is.
const MAX_TICKS: i64 = 3_652_059 * TICKS_PER_DAY - 1;

/// `2024-01-01T00:00:00.0000000Z`.
pub fn format_datetime(ticks: i64) -> String {
    let ticks = ticks.clamp(0, MAX_TICKS);
    let (year, month, day) = civil_from_days(ticks / TICKS_PER_DAY);
    let time = ticks % TICKS_PER_DAY;
    let (seconds, fraction) = (time / TICKS_PER_SECOND, time % TICKS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z")
}

/// `1.02:03:04.5678900`: days and fraction only if there are any.
pub fn format_timespan(ticks: i64) -> String {
    let sign = if ticks < 0 { "-" } else { "" };
    let ticks = ticks.unsigned_abs();
    let (day, second) = (TICKS_PER_DAY.unsigned_abs(), TICKS_PER_SECOND.unsigned_abs());
    let (days, seconds, fraction) = (ticks / day, ticks % day / second, ticks % second);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let days = if days == 0 { String::new() } else { format!("{days}.") };
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:07}") };
    format!("{sign}{days}{hour:02}:{minute:02}:{second:02}{fraction}")
}

/// Reads the forms that Kusto reads: ISO 8601 with `T` or blank, any precision from year on, offset
/// or `Z`; RFC 822 (`Sun, 15 May 2016 18:00:00 GMT`), `M/d/yyyy`, `yyyyMMdd`.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_iso(text).or_else(|| parse_us(text)).or_else(|| parse_named_month(text))
}

/// Reads `[-][d.]hh:mm[:ss[.fffffff]]`, a number of days, or a number with a unit (`1.5h`).
pub fn parse_timespan(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let ticks = if text.contains(':') { parse_clock(text)? } else { parse_quantity(text)? };
    Some(if negative { -ticks } else { ticks })
}

fn parse_clock(text: &str) -> Option<i64> {
    let (head, rest) = text.split_once(':')?;
    let (days, hours) = match head.split_once('.') {
        Some((days, hours)) => (number(days)?, number(hours)?),
        None => (0, number(head)?),
    };
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let minutes = number(minutes)?;
    let (days, seconds) = match (days, seconds.split_once(':')) {
        // d:hh:mm:ss is read too
        (0, Some((minutes_text, seconds))) => {
            let all = hours.checked_mul(86_400)?.checked_add(minutes.checked_mul(3600)?)?;
            let ticks = all.checked_add(number(minutes_text)?.checked_mul(60)?)?;
            return ticks.checked_mul(TICKS_PER_SECOND)?.checked_add(second_ticks(seconds)?);
        }
        (_, Some(_)) => return None,
        (days, None) => (days, second_ticks(seconds)?),
    };
    if minutes > 59 || (hours > 23 && head.contains('.')) || seconds >= 60 * TICKS_PER_SECOND {
        return None;
    }
    let clock = hours.checked_mul(3600)?.checked_add(minutes * 60)?;
    let whole = days.checked_mul(86_400)?.checked_add(clock)?;
    whole.checked_mul(TICKS_PER_SECOND)?.checked_add(seconds)
}

/// `2`, `1.5h`, `100ms`: a number and a unit; without unit it is days.
fn parse_quantity(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = match text[unit_at..].trim() {
        "" | "d" | "day" | "days" => TICKS_PER_DAY,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600 * TICKS_PER_SECOND,
        "m" | "min" | "minute" | "minutes" => 60 * TICKS_PER_SECOND,
        "s" | "sec" | "second" | "seconds" => TICKS_PER_SECOND,
        "ms" | "milli" | "millis" | "millisec" | "millisecond" | "milliseconds" => 10_000,
        "micro" | "micros" | "microsec" | "microsecond" | "microseconds" => 10,
        "tick" | "ticks" => 1,
        "nano" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => {
            return number(text[..unit_at].trim()).map(|nanos| nanos / 100);
        }
        _ => return None,
    };
    let digits = text[..unit_at].trim();
    match digits.split_once('.') {
        None => number(digits)?.checked_mul(unit),
        Some((whole, fraction)) => {
            let whole = if whole.is_empty() { 0 } else { number(whole)? };
            let digits = fraction.get(..fraction.len().min(15))?;
            let scale = 10i128.pow(u32::try_from(digits.len()).ok()?);
            let part = i128::from(number(digits)?) * i128::from(unit) / scale;
            whole.checked_mul(unit)?.checked_add(i64::try_from(part).ok()?)
        }
    }
}

/// `yyyy[-MM[-dd[(T| )HH[:mm[:ss[.f]]][zone]]]]` and `yyyyMMdd`.
fn parse_iso(text: &str) -> Option<i64> {
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, time) = (&text[..date_end], text.get(date_end + 1..).unwrap_or("").trim());
    let days = if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        days_from_text(&date[..4], &date[4..6], &date[6..])?
    } else {
        let mut parts = date.splitn(3, '-');
        let year = parts.next().filter(|year| year.len() == 4)?;
        let (month, day) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("1"));
        days_from_text(year, month, day.trim_end_matches(['Z', 'z']))?
    };
    add_time(days, time)
}

/// `M/d/yyyy [time]`.
fn parse_us(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    add_time(days_from_text(year, month, day)?, time.trim())
}

/// `[Sun, ]15 May 2016 18:00[:00] [GMT]` and RFC 850 `Sunday, 15-May-16 18:00:00`.
fn parse_named_month(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let text = text.split_once(',').map_or(text, |(_, rest)| rest).trim();
    let mut words = text.split([' ', '-']).filter(|word| !word.is_empty());
    let (day, name, year) = (words.next()?, words.next()?, words.next()?);
    let name = name.to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| name.starts_with(month))? + 1;
    let year = match (year.len(), number(year)?) {
        (2, short) if short < 50 => 2000 + short,
        (2, short) => 1900 + short,
        (_, long) => long,
    };
    let time = words.next().unwrap_or("");
    let zone = words.next().unwrap_or("");
    if !matches!(zone, "" | "GMT" | "UTC" | "Z") {
        return None;
    }
    add_time(days_from_civil(year, i64::try_from(month).ok()?, number(day)?)?, time)
}

/// Days and `HH[:mm[:ss[.fffffff]]][ AM|PM][Z|±hh[:mm]]` to ticks.
fn add_time(days: i64, time: &str) -> Option<i64> {
    let (time, offset) = split_zone(time)?;
    let (time, noon) = match time.to_ascii_uppercase() {
        upper if upper.ends_with("PM") => (time[..time.len() - 2].trim(), Some(12)),
        upper if upper.ends_with("AM") => (time[..time.len() - 2].trim(), Some(0)),
        _ => (time, None),
    };
    let mut parts = time.splitn(3, ':');
    let mut hour = number(parts.next().filter(|hour| !hour.is_empty()).unwrap_or("0"))?;
    if let Some(noon) = noon {
        hour = hour % 12 + noon;
    }
    let minute = number(parts.next().unwrap_or("0"))?;
    let seconds = second_ticks(parts.next().unwrap_or("0"))?;
    if hour > 23 || minute > 59 || seconds >= 60 * TICKS_PER_SECOND {
        return None;
    }
    let clock = (hour * 3600 + minute * 60) * TICKS_PER_SECOND + seconds;
    let ticks = days.checked_mul(TICKS_PER_DAY)?.checked_add(clock)?.checked_sub(offset)?;
    (0..=MAX_TICKS).contains(&ticks).then_some(ticks)
}

/// Cuts `Z` or `±hh[:]mm` off a time; the offset is in ticks.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(rest) = time.strip_suffix(['Z', 'z']) {
        return Some((rest.trim_end(), 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let sign = if time[at..].starts_with('-') { -1 } else { 1 };
    let zone = time[at + 1..].replace(':', "");
    let value = number(&zone)?;
    let minutes = match zone.len() {
        1 | 2 => value * 60,
        4 => value / 100 * 60 + value % 100,
        _ => return None,
    };
    Some((time[..at].trim_end(), sign * minutes * 60 * TICKS_PER_SECOND))
}

/// `ss[.fffffff]`; digits beyond the seventh are dropped.
fn second_ticks(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("0000000".chars()).take(7).collect();
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number(whole)?.checked_mul(TICKS_PER_SECOND)?.checked_add(number(&digits)?)
}

/// Only digits, at most 18 of them.
fn number(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn days_from_text(year: &str, month: &str, day: &str) -> Option<i64> {
    days_from_civil(number(year)?, number(month)?, number(day)?)
}

/// Days since 0001-01-01 of a date that exists.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Count years from March, so that the leap day is the last: Howard Hinnant, chrono dates.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 306)
}

/// The reverse.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 306;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

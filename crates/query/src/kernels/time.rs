//! Instants and durations.

use kql::Function;

use super::{Kernel, Scratch, at, long_at, text_at};
use crate::cell::{Cell, real_to_long};
use crate::time::{
    DAY, HOUR, MINUTE, SECOND, UNIX_EPOCH, add_months, civil, day_of_year, from_civil, in_range,
    iso_week, weekday,
};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::DayOfMonth => |args, _| part(args, |ticks| civil(ticks).day),
        Function::DayOfYear => |args, _| part(args, day_of_year),
        Function::HourOfDay => |args, _| part(args, |ticks| civil(ticks).ticks / HOUR),
        Function::GetMonth | Function::MonthOfYear => |args, _| part(args, |ticks| civil(ticks).month),
        Function::GetYear => |args, _| part(args, |ticks| civil(ticks).year),
        Function::WeekOfYear => |args, _| part(args, iso_week),
        Function::DayOfWeek => {
            |args, _| Cell::or_null(long_at(args, 0), |ticks| Cell::Timespan(weekday(ticks) * DAY))
        },
        Function::StartOfDay => |args, _| start(args, Unit::Day, false),
        Function::StartOfWeek => |args, _| start(args, Unit::Week, false),
        Function::StartOfMonth => |args, _| start(args, Unit::Month, false),
        Function::StartOfYear => |args, _| start(args, Unit::Year, false),
        Function::EndOfDay => |args, _| start(args, Unit::Day, true),
        Function::EndOfWeek => |args, _| start(args, Unit::Week, true),
        Function::EndOfMonth => |args, _| start(args, Unit::Month, true),
        Function::EndOfYear => |args, _| start(args, Unit::Year, true),
        Function::DatetimeAdd => datetime_add,
        Function::DatetimeDiff => datetime_diff,
        Function::DatetimePart => datetime_part,
        Function::MakeDatetime => make_datetime,
        Function::MakeTimespan => make_timespan,
        Function::FormatDatetime => format_datetime,
        Function::FormatTimespan => format_timespan,
        Function::UnixSeconds => unix_seconds,
        Function::UnixMilliseconds => |args, _| unix(args, |n| n.checked_mul(SECOND / 1_000)),
        Function::UnixMicroseconds => |args, _| unix(args, |n| n.checked_mul(SECOND / 1_000_000)),
        Function::UnixNanoseconds => |args, _| unix(args, |n| Some(n.div_euclid(100))),
    })
}

fn part<'a>(args: &[Cell<'a>], of: impl Fn(i64) -> i64) -> Cell<'a> {
    Cell::or_null(long_at(args, 0), |ticks| Cell::Long(of(ticks)))
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// The first tick of the period that many periods away, or its last one.
fn start<'a>(args: &[Cell<'a>], unit: Unit, is_end: bool) -> Cell<'a> {
    let Some(ticks) = long_at(args, 0) else { return Cell::Null };
    let Some(offset) = args.get(1).map_or(Some(0), Cell::as_long) else { return Cell::Null };
    let first = first_of(ticks, unit, offset);
    let moment = if is_end {
        let next = offset.checked_add(1).and_then(|offset| first_of(ticks, unit, offset));
        next.map(|next| next - 1)
    } else {
        first
    };
    Cell::or_null(moment.and_then(in_range), Cell::Datetime)
}

fn first_of(ticks: i64, unit: Unit, offset: i64) -> Option<i64> {
    let midnight = ticks - ticks.rem_euclid(DAY);
    let at = civil(ticks);
    match unit {
        Unit::Day => midnight.checked_add(offset.checked_mul(DAY)?),
        Unit::Week => {
            let sunday = midnight - weekday(ticks) * DAY;
            sunday.checked_add(offset.checked_mul(7 * DAY)?)
        }
        Unit::Month => add_months(from_civil(at.year, at.month, 1, 0)?, offset),
        Unit::Year => add_months(from_civil(at.year, 1, 1, 0)?, offset.checked_mul(12)?),
    }
}

/// Ticks of a fixed unit such as `hour`.
fn fixed_unit(unit: &str) -> Option<i64> {
    Some(match unit {
        "week" => 7 * DAY,
        "day" => DAY,
        "hour" => HOUR,
        "minute" => MINUTE,
        "second" => SECOND,
        "millisecond" => SECOND / 1_000,
        "microsecond" => SECOND / 1_000_000,
        _ => return None,
    })
}

/// Months of a calendar unit.
fn calendar_unit(unit: &str) -> Option<i64> {
    match unit {
        "year" => Some(12),
        "quarter" => Some(3),
        "month" => Some(1),
        _ => None,
    }
}

fn datetime_add<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let unit = text_at(args, 0).to_ascii_lowercase();
    let (Some(amount), Some(ticks)) = (long_at(args, 1), long_at(args, 2)) else {
        return Cell::Null;
    };
    let moment = match (calendar_unit(&unit), fixed_unit(&unit)) {
        (Some(months), _) => {
            amount.checked_mul(months).and_then(|months| add_months(ticks, months))
        }
        (None, Some(size)) => amount.checked_mul(size).and_then(|span| ticks.checked_add(span)),
        (None, None) if unit == "nanosecond" => ticks.checked_add(amount.div_euclid(100)),
        (None, None) => None,
    };
    Cell::or_null(moment.and_then(in_range), Cell::Datetime)
}

/// Boundaries of the unit crossed from the second instant to the first.
fn datetime_diff<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let unit = text_at(args, 0).to_ascii_lowercase();
    let (Some(a), Some(b)) = (long_at(args, 1), long_at(args, 2)) else { return Cell::Null };
    let months = |ticks: i64| civil(ticks).year * 12 + civil(ticks).month - 1;
    let difference = match unit.as_str() {
        "week" => {
            (a - weekday(a) * DAY).div_euclid(DAY) / 7 - (b - weekday(b) * DAY).div_euclid(DAY) / 7
        }
        "nanosecond" => (a - b).saturating_mul(100),
        _ => match (calendar_unit(&unit), fixed_unit(&unit)) {
            (Some(size), _) => months(a).div_euclid(size) - months(b).div_euclid(size),
            (None, Some(size)) => a.div_euclid(size) - b.div_euclid(size),
            (None, None) => return Cell::Null,
        },
    };
    Cell::Long(difference)
}

fn datetime_part<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(ticks) = long_at(args, 1) else { return Cell::Null };
    let at = civil(ticks);
    Cell::Long(match text_at(args, 0).to_ascii_lowercase().as_str() {
        "year" => at.year,
        "quarter" => (at.month - 1) / 3 + 1,
        "month" => at.month,
        "week_of_year" | "week" => iso_week(ticks),
        "day" => at.day,
        "dayofyear" => day_of_year(ticks),
        "hour" => at.ticks / HOUR,
        "minute" => at.ticks / MINUTE % 60,
        "second" => at.ticks / SECOND % 60,
        "millisecond" => at.ticks % SECOND / (SECOND / 1_000),
        "microsecond" => at.ticks % SECOND / (SECOND / 1_000_000),
        "nanosecond" => at.ticks % SECOND * 100,
        _ => return Cell::Null,
    })
}

fn make_datetime<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    if let [single] = args {
        return crate::convert::convert(single, kql::Type::Datetime).into_owned();
    }
    let part =
        |position: usize, default: i64| args.get(position).map_or(Some(default), Cell::as_long);
    let seconds = args.get(5).map_or(Some(0.0), Cell::as_real);
    let moment = (|| {
        let seconds = seconds.filter(|seconds| (0.0..60.0).contains(seconds))?;
        let (hour, minute) = (part(3, 0)?, part(4, 0)?);
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) {
            return None;
        }
        let of_day =
            hour * HOUR + minute * MINUTE + real_to_long((seconds * SECOND as f64).round())?;
        from_civil(part(0, 1)?, part(1, 1)?, part(2, 1)?, of_day)
    })();
    Cell::or_null(moment, Cell::Datetime)
}

/// `(hour, minute)`, `(hour, minute, second)` or `(day, hour, minute, second)`.
fn make_timespan<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let numbers: Option<Vec<f64>> = args.iter().map(Cell::as_real).collect();
    let ticks = numbers.and_then(|numbers| {
        let (day, hour, minute, second) = match numbers.as_slice() {
            [hour, minute] => (0.0, *hour, *minute, 0.0),
            [hour, minute, second] => (0.0, *hour, *minute, *second),
            [day, hour, minute, second] => (*day, *hour, *minute, *second),
            _ => return None,
        };
        let seconds = day * 86_400.0 + hour * 3_600.0 + minute * 60.0 + second;
        real_to_long((seconds * SECOND as f64).round())
    });
    Cell::or_null(ticks, Cell::Timespan)
}

fn unix<'a>(args: &[Cell<'a>], ticks: impl Fn(i64) -> Option<i64>) -> Cell<'a> {
    let moment = long_at(args, 0).and_then(ticks).and_then(|span| span.checked_add(UNIX_EPOCH));
    Cell::or_null(moment.and_then(in_range), Cell::Datetime)
}

fn unix_seconds<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let span =
        at(args, 0).and_then(Cell::as_real).and_then(|s| real_to_long((s * SECOND as f64).round()));
    let moment = span.and_then(|span| span.checked_add(UNIX_EPOCH)).and_then(in_range);
    Cell::or_null(moment, Cell::Datetime)
}

/// The same letter repeated: the letter and how often.
fn runs(format: &str) -> impl Iterator<Item = (char, usize)> {
    let mut characters = format.chars().peekable();
    std::iter::from_fn(move || {
        let letter = characters.next()?;
        let mut length = 1;
        while characters.next_if_eq(&letter).is_some() {
            length += 1;
        }
        Some((letter, length))
    })
}

fn format_datetime<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(ticks) = long_at(args, 0) else { return Cell::text("") };
    let at = civil(ticks);
    let hour = at.ticks / HOUR;
    let fraction = at.ticks % SECOND;
    let mut out = String::new();
    for (letter, length) in runs(text_at(args, 1)) {
        match letter {
            'd' => out.push_str(&padded(at.day, length)),
            'M' => out.push_str(&padded(at.month, length)),
            'y' if length <= 2 => out.push_str(&padded(at.year % 100, length)),
            'y' => out.push_str(&padded(at.year, length)),
            'h' => out.push_str(&padded((hour + 11) % 12 + 1, length)),
            'H' => out.push_str(&padded(hour, length)),
            'm' => out.push_str(&padded(at.ticks / MINUTE % 60, length)),
            's' => out.push_str(&padded(at.ticks / SECOND % 60, length)),
            't' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'f' => out.push_str(&digits(fraction, length)),
            'F' => out.push_str(digits(fraction, length).trim_end_matches('0')),
            other => out.extend(std::iter::repeat_n(other, length)),
        }
    }
    Cell::text(out)
}

fn format_timespan<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some(ticks) = long_at(args, 0) else { return Cell::text("") };
    let magnitude = i64::try_from(ticks.unsigned_abs()).unwrap_or(i64::MAX);
    let fraction = magnitude % SECOND;
    let mut out = String::from(if ticks < 0 { "-" } else { "" });
    for (letter, length) in runs(text_at(args, 1)) {
        match letter {
            'd' => out.push_str(&padded(magnitude / DAY, length)),
            'h' | 'H' => out.push_str(&padded(magnitude / HOUR % 24, length)),
            'm' => out.push_str(&padded(magnitude / MINUTE % 60, length)),
            's' => out.push_str(&padded(magnitude / SECOND % 60, length)),
            'f' => out.push_str(&digits(fraction, length)),
            'F' => out.push_str(digits(fraction, length).trim_end_matches('0')),
            other => out.extend(std::iter::repeat_n(other, length)),
        }
    }
    Cell::text(out)
}

fn padded(value: i64, width: usize) -> String {
    format!("{value:0width$}", width = width.min(20))
}

fn digits(fraction: i64, length: usize) -> String {
    let mut text = format!("{fraction:07}");
    text.truncate(length);
    text
}

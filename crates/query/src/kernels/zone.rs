//! Time zones by their IANA names.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use kql::{Function, UNIX_EPOCH_TICKS};

use super::{Kernel, Scratch, text_at};
use crate::cell::Cell;
use crate::time;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::DatetimeUtcToLocal => to_local,
        Function::DatetimeLocalToUtc => to_utc,
        Function::DatetimeListTimezones => |_, _| {
            let names: Vec<String> =
                chrono_tz::TZ_VARIANTS.iter().map(|zone| format!("\"{}\"", zone.name())).collect();
            Cell::dynamic(format!("[{}]", names.join(",")))
        },
    })
}

fn seconds(ticks: i64) -> i64 {
    (ticks - UNIX_EPOCH_TICKS).div_euclid(kql::TICKS_PER_SECOND)
}

fn to_local<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let shifted = || {
        let ticks = args[0].as_long()?;
        let zone: Tz = text_at(args, 1).parse().ok()?;
        let utc: NaiveDateTime = DateTime::from_timestamp(seconds(ticks), 0)?.naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
        time::in_range(ticks.checked_add(i64::from(offset) * kql::TICKS_PER_SECOND)?)
    };
    Cell::or_null(shifted(), Cell::Datetime)
}

/// A time that the clock shows twice is the earlier one; one that it skips is null.
fn to_utc<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let shifted = || {
        let ticks = args[0].as_long()?;
        let zone: Tz = text_at(args, 1).parse().ok()?;
        let local: NaiveDateTime = DateTime::from_timestamp(seconds(ticks), 0)?.naive_utc();
        let offset = zone.offset_from_local_datetime(&local).earliest()?;
        let offset = i64::from(offset.fix().local_minus_utc());
        time::in_range(ticks.checked_sub(offset * kql::TICKS_PER_SECOND)?)
    };
    Cell::or_null(shifted(), Cell::Datetime)
}

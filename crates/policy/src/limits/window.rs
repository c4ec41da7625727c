//! The time that a limit counts over.

use std::fmt;

use event::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::QuotaPeriod;

const MICROS: i64 = 1_000_000;
/// Slots that a sliding window is made of: its edge is this much coarser than its length.
const SLOTS: i64 = 60;

/// The time that a limit counts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// The last so many seconds. What was used leaves it after that time, or up to a sixtieth later.
    Sliding(u32),
    /// A calendar period in UTC.
    Fixed(QuotaPeriod),
    /// This moment: what is in flight.
    InFlight,
}

impl Window {
    /// The window that stands in a counter's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "hourly" => Self::Fixed(QuotaPeriod::Hourly),
            "daily" => Self::Fixed(QuotaPeriod::Daily),
            "weekly" => Self::Fixed(QuotaPeriod::Weekly),
            "monthly" => Self::Fixed(QuotaPeriod::Monthly),
            "yearly" => Self::Fixed(QuotaPeriod::Yearly),
            "in-flight" => Self::InFlight,
            seconds => {
                let seconds = seconds.strip_suffix('s')?.parse().ok()?;
                (1..=86_400).contains(&seconds).then_some(Self::Sliding(seconds))?
            }
        })
    }

    /// The slot that an instant falls into, by its first microsecond.
    pub(super) fn slot(self, at: Timestamp) -> i64 {
        match self {
            Self::Sliding(seconds) => {
                let width = slot_micros(seconds);
                at.unix_micros().div_euclid(width) * width
            }
            Self::Fixed(period) => start_of(period, at).unix_micros(),
            Self::InFlight => 0,
        }
    }

    /// When what was used in a slot counts no longer.
    pub(super) fn leaves_at(self, slot: i64) -> Timestamp {
        match self {
            Self::Sliding(seconds) => Timestamp::from_unix_micros(
                slot + slot_micros(seconds) + i64::from(seconds) * MICROS,
            ),
            Self::Fixed(period) => end_of(period, Timestamp::from_unix_micros(slot)),
            Self::InFlight => Timestamp::from_unix_micros(i64::MAX),
        }
    }

    /// What is used at `now` counts no longer from this moment on.
    pub fn ends_at(self, now: Timestamp) -> Timestamp {
        self.leaves_at(self.slot(now))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sliding(seconds) => write!(f, "{seconds}s"),
            Self::Fixed(period) => f.write_str(match period {
                QuotaPeriod::Hourly => "hourly",
                QuotaPeriod::Daily => "daily",
                QuotaPeriod::Weekly => "weekly",
                QuotaPeriod::Monthly => "monthly",
                QuotaPeriod::Yearly => "yearly",
            }),
            Self::InFlight => f.write_str("in-flight"),
        }
    }
}

fn slot_micros(seconds: u32) -> i64 {
    i64::from(seconds) * MICROS / SLOTS
}

fn start_of(period: QuotaPeriod, at: Timestamp) -> Timestamp {
    let hour = 3_600 * MICROS;
    if period == QuotaPeriod::Hourly {
        return Timestamp::from_unix_micros(at.unix_micros().div_euclid(hour) * hour);
    }
    midnight(first_day(period, date(at)))
}

fn end_of(period: QuotaPeriod, start: Timestamp) -> Timestamp {
    let first = date(start);
    let next = match period {
        QuotaPeriod::Hourly => {
            return Timestamp::from_unix_micros(start.unix_micros() + 3_600 * MICROS);
        }
        QuotaPeriod::Daily => first.saturating_add(1.day()),
        QuotaPeriod::Weekly => first.saturating_add(7.days()),
        QuotaPeriod::Monthly => first.saturating_add(1.month()),
        QuotaPeriod::Yearly => first.saturating_add(1.year()),
    };
    midnight(next)
}

fn first_day(period: QuotaPeriod, day: Date) -> Date {
    match period {
        QuotaPeriod::Hourly | QuotaPeriod::Daily => day,
        QuotaPeriod::Weekly => {
            day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
        }
        QuotaPeriod::Monthly => day.first_of_month(),
        QuotaPeriod::Yearly => day.first_of_year(),
    }
}

fn date(at: Timestamp) -> Date {
    let at = jiff::Timestamp::from_microsecond(at.unix_micros()).unwrap_or(jiff::Timestamp::MAX);
    Zoned::new(at, TimeZone::UTC).date()
}

fn midnight(day: Date) -> Timestamp {
    let at = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0));
    at.map_or(Timestamp::from_unix_micros(i64::MAX), |at| {
        Timestamp::from_unix_micros(at.as_microsecond())
    })
}

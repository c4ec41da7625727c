//! Which days a report covers, and when it is made. Pure.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use event::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a report is made; it covers the day, week or month before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Every day.
    #[default]
    Day,
    /// Every week.
    Week,
    /// On the first of every month.
    Month,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// What a report is made into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// Comma-separated values with a header line, safe to open in a spreadsheet.
    #[default]
    Csv,
    /// A page with a table, without scripts.
    Html,
}

/// When a report is made, and what it covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    every: Every,
    week_begins: Weekday,
    hour: u8,
    zone: Tz,
}

/// Whole days in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period {
    /// The day after its last one.
    pub(super) end: NaiveDate,
    /// Its first day.
    pub(super) start: NaiveDate,
}

impl Schedule {
    pub(super) fn new(
        every: Every,
        week_begins: Weekday,
        hour: u8,
        time_zone: &str,
    ) -> Result<Self, String> {
        let zone = time_zone.parse().map_err(|_| {
            format!("`{time_zone}` is no time zone: name one as Europe/Berlin or UTC")
        })?;
        if hour > 23 {
            return Err("`hour` may be 0 to 23".into());
        }
        Ok(Self { every, week_begins, hour, zone })
    }

    /// The last period whose report was due by then.
    pub(super) fn last_due(&self, now: Timestamp) -> Period {
        let now = utc(now);
        let today = now.with_timezone(&self.zone).date_naive();
        let is_early = now < self.instant(today, self.hour);
        let day = if is_early { today - Days::new(1) } else { today };
        self.ending(self.boundary(day))
    }

    /// The period after the one that ends with this day.
    pub(super) fn after(&self, end: NaiveDate) -> Period {
        // A day within the next period, and then its end: no period is longer than 31 days.
        let end = match self.every {
            Every::Day => end + Days::new(1),
            Every::Week => self.boundary(end + Days::new(7)),
            Every::Month => self.boundary(end + Months::new(1)),
        };
        self.ending(end)
    }

    /// The period that ends there.
    pub(super) fn ending(&self, end: NaiveDate) -> Period {
        let start = match self.every {
            Every::Day => end - Days::new(1),
            Every::Week => end - Days::new(7),
            Every::Month => end - Months::new(1),
        };
        Period { end, start }
    }

    /// When the report of a period is made.
    pub(super) fn made_at(&self, period: Period) -> Timestamp {
        timestamp(self.instant(period.end, self.hour))
    }

    /// The instants between which a period lies.
    pub(super) fn bounds(&self, period: Period) -> (Timestamp, Timestamp) {
        (timestamp(self.instant(period.start, 0)), timestamp(self.instant(period.end, 0)))
    }

    /// How a period is called: `2026-11-28`, `2026-11-23_2026-11-29` or `2026-11`.
    pub(super) fn name(&self, period: Period) -> String {
        match self.every {
            Every::Day => period.start.to_string(),
            Every::Week => format!("{}_{}", period.start, period.end - Days::new(1)),
            Every::Month => period.start.format("%Y-%m").to_string(),
        }
    }

    /// The last day not after this one with which a period ends.
    fn boundary(&self, day: NaiveDate) -> NaiveDate {
        match self.every {
            Every::Day => day,
            Every::Week => {
                let begins = self.week_begins as u32;
                let past = (day.weekday().num_days_from_monday() + 7 - begins) % 7;
                day - Days::new(u64::from(past))
            }
            Every::Month => day.with_day(1).expect("every month has a first day"),
        }
    }

    /// An hour of a day. One that the clock skips is the next that there is; of two, it is the first.
    fn instant(&self, day: NaiveDate, hour: u8) -> DateTime<Utc> {
        let wanted = day.and_time(chrono::NaiveTime::MIN) + TimeDelta::hours(i64::from(hour));
        let at = |local: NaiveDateTime| self.zone.from_local_datetime(&local).earliest();
        // No zone has ever skipped more than a day.
        let quarters = (0..=96).map(|quarter| wanted + TimeDelta::minutes(15 * quarter));
        let found = quarters.filter_map(at).next();
        found.map_or_else(|| wanted.and_utc(), |local| local.with_timezone(&Utc))
    }
}

fn utc(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.unix_micros()).unwrap_or_default()
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_unix_micros(at.timestamp_micros())
}

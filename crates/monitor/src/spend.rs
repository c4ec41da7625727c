//! What subscriptions spend an hour, beside what they usually do: sums by hour are kept, so that a look reads
//! the last two hours of the tables and not the week before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event::Timestamp;
use kql::{Options, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, Value};

use crate::metrics::{Metric, Metrics};

/// Hours that are compared with.
const WEEK_HOURS: i64 = 168;
/// Hours that are read anew at each look: rows come when calls end, not when they began.
const READ_HOURS: i64 = 2;
/// Spending less than this within an hour is never unusual, in dollars.
const SPENT_MIN: f64 = 5.0;
/// What a subscription without a past is said to spend of its usual.
const RATIO_MAX: f64 = 1_000.0;

/// Sums by hour, then by subscription; a week of them.
#[derive(Debug, Default)]
pub struct Spend {
    hours: BTreeMap<i64, HashMap<String, f64>>,
}

impl Spend {
    /// Brings the gauge up to date. What cannot be asked leaves it as it was.
    pub async fn refresh(
        &mut self,
        engine: &Arc<dyn kql::Engine>,
        metrics: &Metrics,
        now: Timestamp,
    ) {
        let this_hour = now.unix_micros().div_euclid(3_600_000_000);
        let from = match self.hours.last_key_value() {
            None => this_hour - WEEK_HOURS,
            Some((last, _)) => (*last + 1 - READ_HOURS).max(this_hour - WEEK_HOURS),
        };
        let frame = match engine.run(&query(from), &options(now)).await {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "what is spent an hour could not be asked for");
                return;
            }
        };
        let rows = frame.rows.iter().filter_map(|row| match row.as_slice() {
            [
                Value::String(subscription),
                Value::Long(hour),
                Value::Real(spent),
                Value::Real(last),
            ] => Some((subscription.clone(), *hour, *spent, *last)),
            _ => None,
        });
        self.take(from, this_hour, rows, metrics);
    }

    /// Takes over sums from an hour on, and says what is unusual.
    fn take(
        &mut self,
        from: i64,
        this_hour: i64,
        rows: impl Iterator<Item = (String, i64, f64, f64)>,
        metrics: &Metrics,
    ) {
        self.hours.retain(|hour, _| (this_hour - WEEK_HOURS..from).contains(hour));
        self.hours.entry(this_hour).or_default();
        let mut last: HashMap<String, f64> = HashMap::new();
        for (subscription, hour, spent, within_the_last_hour) in rows {
            *last.entry(subscription.clone()).or_default() += within_the_last_hour;
            self.hours.entry(hour).or_default().insert(subscription, spent);
        }
        metrics.clear(Metric::SpendRatio);
        for (subscription, spent) in last {
            if spent <= SPENT_MIN {
                continue;
            }
            let before =
                self.hours.range(..this_hour).filter_map(|(_, sums)| sums.get(&subscription));
            let usual = before.sum::<f64>() / WEEK_HOURS as f64;
            let ratio = if usual > 0.0 { (spent / usual).min(RATIO_MAX) } else { RATIO_MAX };
            metrics.set(Metric::SpendRatio, &[&subscription], ratio);
        }
    }
}

fn query(from_hour: i64) -> String {
    let from = from_hour * 3_600;
    format!(
        "Interactions\n\
         | where TimeGenerated >= unixtime_seconds_todatetime({from}) and isnotnull(CostUsd)\n\
         | extend Hour = tolong((TimeGenerated - datetime(1970-01-01)) / 1h)\n\
         | summarize Spent = todouble(sum(CostUsd)), Last = todouble(sumif(CostUsd, TimeGenerated > ago(1h))) by ApimSubscriptionId, Hour\n\
         | project ApimSubscriptionId, Hour, Spent, Last"
    )
}

fn options(now: Timestamp) -> Options {
    let ticks = now.unix_micros().saturating_mul(TICKS_PER_SECOND / 1_000_000);
    Options {
        now_ticks: Some(UNIX_EPOCH_TICKS.saturating_add(ticks)),
        access: kql::Access::without_content(),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use policy::Aggregation;

    use super::*;
    use crate::config::GenAiVersion;
    use crate::metrics::Convention;

    fn ratio(metrics: &Metrics, subscription: &str) -> Option<f64> {
        let labels = BTreeMap::from([("subscription".to_owned(), subscription.to_owned())]);
        let found = metrics.gauge(Metric::SpendRatio, &labels, &[], Aggregation::Maximum);
        found.values().next().copied()
    }

    #[test]
    fn an_hour_is_held_against_the_week_before_and_hours_are_not_counted_twice() {
        let metrics = Metrics::new(Convention::of(GenAiVersion::default()));
        let mut spend = Spend::default();
        let week = (0..WEEK_HOURS).map(|hour| ("steady".to_owned(), 1_000 + hour, 10.0, 0.0));
        let now = 1_000 + WEEK_HOURS;
        let new = [("new".to_owned(), now, 6.0, 6.0), ("small".to_owned(), now, 4.0, 4.0)];
        spend.take(1_000, now, week.chain(new), &metrics);
        assert_eq!(ratio(&metrics, "steady"), None, "it spends nothing now");
        assert_eq!(ratio(&metrics, "new"), Some(RATIO_MAX));
        assert_eq!(ratio(&metrics, "small"), None);
        for _ in 0..2 {
            let again =
                [("steady".to_owned(), now - 1, 10.0, 0.0), ("steady".to_owned(), now, 40.0, 40.0)];
            spend.take(now + 1 - READ_HOURS, now, again.into_iter(), &metrics);
            assert_eq!(ratio(&metrics, "steady"), Some(4.0));
        }
        spend.take(now, now + WEEK_HOURS, std::iter::empty(), &metrics);
        assert!(spend.hours.len() <= WEEK_HOURS as usize + 1, "a week is kept");
    }
}

//! Wiring of re-rating: one at a time, over tables that hold all that is recorded, day by day into the ledger.

use std::sync::Arc;

use event::{CostAdjustment, Frame, InteractionId, Note, Record};
use jiff::civil::Date;
use ledger::Ledger;
use monitor::{Difference, Differences, Rerating, dollars};
use portal::{Problem, RerateBody, RerateReport};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::clock::now;
use crate::parts::{Parts, SETTLE_WAIT};

/// Most days of one re-rating.
const DAYS_MAX: i32 = 400;
/// Records appended at once.
const BATCH: usize = 1_000;
/// Most lines of a report; sums are of everything.
const LINES_MAX: usize = 1_000;

/// Rates past days anew.
pub(crate) struct Rerater {
    parts: Arc<Parts>,
    ledger: Ledger,
    /// Two at once would each add the same.
    running: Mutex<()>,
}

impl Rerater {
    pub(crate) fn new(parts: Arc<Parts>, ledger: Ledger) -> Self {
        Self { parts, ledger, running: Mutex::default() }
    }

    /// Rates the days anew; writes what changes unless it is a dry run.
    pub(crate) async fn run(&self, body: &RerateBody) -> Result<RerateReport, Problem> {
        let wrong = |why: String| Problem::new(422, why);
        let days = days(&body.from, &body.to).map_err(wrong)?;
        let busy = "a re-rating runs: try again when it has ended";
        let _running = self.running.try_lock().map_err(|_| Problem::new(409, busy))?;
        self.settle().await?;
        let prices = self.parts.pipeline.prices();
        let price_version = prices.version().to_owned();
        let rerating = Rerating { engine: self.parts.engine.clone(), prices, at: now() };
        let (mut found, mut adjustments) = (Differences::new(), 0);
        for day in days {
            let some = rerating.day(&day.to_string(), &mut found).await;
            let some = some.map_err(|why| Problem::new(503, format!("{day}: {why}")))?;
            adjustments += some.len();
            if !body.dry_run {
                self.write(some).await.map_err(|why| {
                    let rest = "the days before are rated anew, the rest is as it was";
                    Problem::new(
                        503,
                        format!("{day}: the ledger takes no record of it ({why}): {rest}"),
                    )
                })?;
            }
        }
        self.settle().await?;
        let sum = |of: fn(&Difference) -> i128| dollars(found.values().map(of).sum());
        Ok(RerateReport {
            price_version,
            before_usd: sum(|difference| difference.before.0),
            after_usd: sum(|difference| difference.after.0),
            adjustments,
            differences: found.iter().take(LINES_MAX).map(line).collect(),
        })
    }

    async fn write(&self, adjustments: Vec<CostAdjustment>) -> Result<(), String> {
        for batch in adjustments.chunks(BATCH) {
            let frames = batch.iter().cloned().map(frame).collect::<Result<Vec<_>, _>>()?;
            let commit = self.ledger.append(frames).await.map_err(|error| error.to_string())?;
            commit.durable().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Waits until the tables hold all that is recorded.
    async fn settle(&self) -> Result<(), Problem> {
        let parts = self.parts.clone();
        let settled = tokio::task::spawn_blocking(move || parts.pipeline.settle(SETTLE_WAIT)).await;
        if settled.is_ok_and(|is_settled| is_settled) {
            return Ok(());
        }
        Err(Problem::new(
            503,
            "the tables are behind the ledger: try again when they have caught up",
        ))
    }
}

fn frame(adjustment: CostAdjustment) -> Result<Frame, String> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let id = InteractionId::mint(adjustment.adjusted_at, random);
    Ok(Record::Note(Box::new(Note::CostAdjustment(adjustment))).encode(id))
}

fn line(((subscription, model), difference): (&(String, String), &Difference)) -> Value {
    let mut line = json!(difference);
    line["subscription"] = json!(subscription);
    line["model"] = json!(model);
    line
}

/// The days from one on and before another.
fn days(from: &str, to: &str) -> Result<Vec<Date>, String> {
    let day = |text: &str| {
        let parsed = text.parse::<Date>().ok().filter(|_| text.len() == 10);
        parsed.ok_or_else(|| format!("`{text}` is no day: write it as 2026-11-01"))
    };
    let (from, to) = (day(from)?, day(to)?);
    if from >= to {
        return Err("`to` is the day after the last one: it must come after `from`".into());
    }
    let count = (to - from).get_days();
    if count > DAYS_MAX {
        return Err(format!("it is more than {DAYS_MAX} days: rate them in several runs"));
    }
    Ok(from.series(jiff::ToSpan::days(1)).take_while(|day| *day < to).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_and_wrong_ones_are_refused_with_the_fix() {
        let some = days("2026-02-27", "2026-03-02").expect("days");
        let some: Vec<String> = some.iter().map(Date::to_string).collect();
        assert_eq!(some, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        for (from, to, fix) in [
            ("2026-02-30", "2026-03-02", "write it as"),
            ("2026-03-02", "2026-03-02", "must come after"),
            ("2020-01-01", "2026-01-01", "several runs"),
        ] {
            assert!(days(from, to).expect_err("refused").contains(fix));
        }
    }
}

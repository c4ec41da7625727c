//! What one call holds until its true use is known.

use event::{Charge, ChargeStep, Charges, Timestamp};
use policy::{Limit, Measure, Used, Window};

use super::Limiter;
use super::book::Held;

/// What one call has set aside. Settle it; dropped without that, it counts as used, but is in flight no
/// longer.
pub struct Reservation {
    limiter: Limiter,
    held: Vec<Held>,
    at: Timestamp,
    is_settled: bool,
}

/// A settled reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// For the ledger; none if only calls in flight are limited.
    pub charges: Option<Charges>,
    /// For the caller: header names and values.
    pub headers: Vec<(String, u64)>,
}

impl Reservation {
    pub(super) fn new(limiter: Limiter, held: Vec<Held>, at: Timestamp) -> Self {
        Self { limiter, held, at, is_settled: false }
    }

    /// For the ledger, to be kept before anything is sent; none if only calls in flight are limited.
    pub fn charges(&self) -> Option<Charges> {
        charges(&self.held, ChargeStep::Reserved, self.at, |held| held.amount)
    }

    /// Tokens that are set aside for the call, if any limit counts them.
    pub fn reserved(&self) -> Used {
        let most = |measure| {
            let counted = self.held.iter().filter(|held| {
                held.applied.limit.measure == measure
                    && held.applied.limit.window != Window::InFlight
            });
            counted.map(|held| held.amount).max().unwrap_or(0)
        };
        Used {
            calls: most(Measure::Calls),
            tokens: most(Measure::Tokens),
            nanodollars: most(Measure::Money),
            is_estimated: true,
        }
    }

    /// Counts what was used besides what is set aside, as a session does that goes on. The answer is for
    /// the ledger.
    pub fn add(&mut self, used: &Used, now: Timestamp) -> Option<Charges> {
        self.limiter.book().add(&self.held, used, now);
        let amount = |held: &Held| used.of(held.applied.limit.measure);
        let mut charges = charges(&self.held, ChargeStep::Added, now, amount)?;
        charges.is_estimated = used.is_estimated;
        Some(charges)
    }

    /// Nothing is left of one of the limits of tokens or money.
    pub fn is_exhausted(&self, now: Timestamp) -> bool {
        let mut book = self.limiter.book();
        let mut counted =
            self.held.iter().filter(|held| held.applied.limit.measure != Measure::Calls);
        counted.any(|held| book.remaining(&held.applied, now) == 0)
    }

    /// Headers that tell what is left, while it is not known what is used. Of several limits with one
    /// header, the strictest.
    pub fn headers(&self, now: Timestamp) -> Vec<(String, u64)> {
        let mut headers: Vec<(String, u64)> = Vec::new();
        let mut book = self.limiter.book();
        for held in &self.held {
            let name = &held.applied.limit.headers.remaining;
            if name.is_empty() {
                continue;
            }
            let left = book.remaining(&held.applied, now);
            match headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = left.min(*known),
                None => headers.push((name.clone(), left)),
            }
        }
        headers
    }

    /// Counts what was used in place of what was set aside.
    pub fn settle(mut self, used: &Used, now: Timestamp) -> Settlement {
        self.is_settled = true;
        self.limiter.book().settle(&self.held, self.at, used, now);
        let amount = |held: &Held| used.of(held.applied.limit.measure);
        let mut charges = charges(&self.held, ChargeStep::Settled, now, amount);
        if let Some(charges) = &mut charges {
            charges.is_estimated = used.is_estimated;
        }
        let mut headers = self.headers(now);
        let consumed = |limit: &Limit| limit.headers.consumed.clone();
        let mut names: Vec<String> =
            self.held.iter().map(|held| consumed(&held.applied.limit)).collect();
        names.sort();
        names.dedup();
        headers.extend(
            names.into_iter().filter(|name| !name.is_empty()).map(|name| (name, used.tokens)),
        );
        Settlement { charges, headers }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_settled {
            self.limiter.book().release(&self.held, self.at);
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("held", &self.held).finish_non_exhaustive()
    }
}

fn charges(
    held: &[Held],
    step: ChargeStep,
    charged_at: Timestamp,
    amount: impl Fn(&Held) -> u64,
) -> Option<Charges> {
    let counted = held.iter().filter(|held| held.applied.limit.window != Window::InFlight);
    let charges: Vec<Charge> = counted
        .map(|held| Charge { counter: held.applied.counter.clone(), amount: amount(held) })
        .collect();
    (!charges.is_empty()).then(|| Charges { charged_at, step, charges, ..Charges::default() })
}

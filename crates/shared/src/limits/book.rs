//! All counters of this node, and the arithmetic over several of them at once. Time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use event::Timestamp;
use policy::{Applied, Counter, Estimate, Exceeded, Fit, Need, Used, Window};

/// Most counters that are kept. Those of which nothing counts any more make room; while all count,
/// calls that would need another one are refused.
pub const COUNTERS_MAX: usize = 100_000;
/// How often counters of which nothing counts any more are looked for.
const SWEEP_MS: i64 = 60_000;
/// What a call waits that finds no room for its counter, or too many in flight.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// A share that nobody asked more of for this long is cut down to what is used.
const IDLE_MS: i64 = 1_000;
/// How far the clocks of two nodes may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(10);

/// A counter as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CounterState {
    /// Its name.
    pub counter: String,
    /// What this node has used of it that counts at this moment.
    pub used: u64,
    /// What other nodes had used or leased when that was last heard.
    pub others_used: u64,
}

/// This node's part of a limit that several nodes share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What this node may have used of the window at any time.
    pub(crate) amount: u64,
    /// Until when.
    pub(crate) valid_until: Timestamp,
    /// What the other nodes had when that was last heard.
    pub(crate) of_others: u64,
    /// When it was last heard of.
    pub(crate) granted_at: Timestamp,
}

/// What a node says of its share of one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) counter: String,
    /// The whole limit.
    pub(crate) most: u64,
    /// What the node has, and keeps whatever the answer is.
    pub(crate) keeps: u64,
    /// What it needs besides.
    pub(crate) wants: u64,
    /// How long the node may use it.
    pub(crate) valid_until: Timestamp,
    /// How long the others must count it.
    pub(crate) stored_for: Duration,
}

/// What one call holds of one counter.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) applied: Applied,
    pub(crate) amount: u64,
    /// It was let in with less than it may use: no other one meanwhile.
    pub(crate) is_short: bool,
}

/// Why a call was not let in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A limit is reached.
    Exceeded(Box<Exceeded>),
    /// This node's shares are too small, the limits may not be.
    Shares(Vec<Wanted>),
}

/// A share that is too small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) counter: String,
    /// The whole limit.
    pub(crate) most: u64,
    /// What this node has used.
    pub(crate) used: u64,
    /// What the call needs besides.
    pub(crate) need: u64,
}

#[derive(Debug)]
struct Account {
    counter: Counter,
    /// A call that was let in short is in flight.
    has_short: bool,
    share: Share,
    /// The limit that was last met.
    most: u64,
}

/// All counters of this node.
#[derive(Debug)]
pub(crate) struct Book {
    accounts: HashMap<String, Account>,
    swept_at: Timestamp,
    /// Only shares may be used.
    is_shared: bool,
}

impl Book {
    pub(crate) fn new(counters: Vec<(String, Counter)>, is_shared: bool) -> Self {
        let accounts = counters.into_iter().map(|(name, counter)| (name, Account::new(counter)));
        Self { accounts: accounts.collect(), swept_at: Timestamp::default(), is_shared }
    }

    /// Lets a call in by all of its limits, or by none. `may_ask`: shares that are too small can be
    /// made larger first; otherwise they hold.
    pub(crate) fn reserve(
        &mut self,
        applied: &[Applied],
        estimate: &Estimate,
        now: Timestamp,
        may_ask: bool,
    ) -> Result<Vec<Held>, Refused> {
        let mut held = Vec::with_capacity(applied.len());
        let mut wanted = Vec::new();
        let mut worst: Option<Exceeded> = None;
        for applied in applied {
            if !self.make_room(applied, now) {
                longest(&mut worst, exceeded(applied, Some(SHORT_WAIT)));
                continue;
            }
            let is_shared = self.is_shared;
            let account = self.accounts.get_mut(&applied.counter).expect("room was made for it");
            let need = estimate.need(&applied.limit);
            let used = account.counter.used(now);
            let most = applied.limit.amount;
            account.most = most;
            let may_be_short = !account.has_short;
            let may_grow = is_shared && need.fit(used, most, may_be_short) != Fit::No;
            match need.fit(used, account.most(most, now, is_shared), may_be_short) {
                Fit::Whole(amount) => {
                    held.push(Held { applied: applied.clone(), amount, is_short: false });
                }
                _ if may_grow && may_ask => wanted.push(Wanted {
                    counter: applied.counter.clone(),
                    most,
                    used,
                    need: need.firm.saturating_add(need.soft).max(1),
                }),
                Fit::Short(amount) => {
                    held.push(Held { applied: applied.clone(), amount, is_short: true });
                }
                Fit::No => longest(&mut worst, account.exceeded(applied, need, now)),
            }
        }
        match worst {
            Some(exceeded) => Err(Refused::Exceeded(Box::new(exceeded))),
            None if !wanted.is_empty() => Err(Refused::Shares(wanted)),
            None => {
                self.take(&held, now);
                Ok(held)
            }
        }
    }

    /// Corrects what a call holds to what it used, and lets go what is counted in flight.
    pub(crate) fn settle(&mut self, held: &[Held], at: Timestamp, used: &Used, now: Timestamp) {
        for Held { applied, amount, is_short } in held {
            let account = self.account(applied);
            let used = match applied.limit.window {
                Window::InFlight => 0,
                _ => used.of(applied.limit.measure),
            };
            account.counter.settle((at, *amount), now, used);
            account.has_short &= !is_short;
        }
    }

    /// Lets go what is counted in flight; the rest stays as it is.
    pub(crate) fn release(&mut self, held: &[Held], at: Timestamp) {
        for Held { applied, amount, is_short } in held {
            let account = self.account(applied);
            if applied.limit.window == Window::InFlight {
                account.counter.take_back(at, *amount);
            }
            account.has_short &= !is_short;
        }
    }

    /// Counts what was used besides what is held.
    pub(crate) fn add(&mut self, held: &[Held], used: &Used, now: Timestamp) {
        for Held { applied, .. } in held {
            if applied.limit.window != Window::InFlight {
                self.account(applied).counter.add(now, used.of(applied.limit.measure));
            }
        }
    }

    /// What is left of a limit, as far as this node knows.
    pub(crate) fn remaining(&mut self, applied: &Applied, now: Timestamp) -> u64 {
        let Some(account) = self.accounts.get_mut(&applied.counter) else {
            return applied.limit.amount;
        };
        let used = account.counter.used(now).saturating_add(account.share.of_others);
        applied.limit.amount.saturating_sub(used)
    }

    /// Every counter of which something counts, by name.
    pub(crate) fn states(&mut self, now: Timestamp) -> Vec<CounterState> {
        let accounts = self.accounts.iter_mut();
        let mut states: Vec<_> = accounts
            .map(|(name, account)| CounterState {
                counter: name.clone(),
                used: account.counter.used(now),
                others_used: account.share.of_others,
            })
            .filter(|state| state.used > 0)
            .collect();
        states.sort_by(|one, two| one.counter.cmp(&two.counter));
        states
    }

    /// What is to be asked for, so that these calls fit.
    pub(crate) fn claims(&self, wanted: &[Wanted], now: Timestamp, lease: Duration) -> Vec<Claim> {
        let claims = wanted.iter().filter_map(|wanted| {
            let account = self.accounts.get(&wanted.counter)?;
            let keeps = account.keeps(wanted.used, now);
            let wants = (wanted.used + wanted.need).saturating_sub(keeps);
            Some(account.claim(&wanted.counter, (wanted.most, keeps, wants), now, lease))
        });
        claims.collect()
    }

    /// What is to be said of all shares: `anew`, because it may be lost, or where one is to be renewed
    /// or is larger than it need be. Those become smaller here and now.
    pub(crate) fn news(&mut self, now: Timestamp, lease: Duration, anew: bool) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (name, account) in &mut self.accounts {
            let used = account.counter.used(now);
            let is_valid = now < account.share.valid_until;
            let left_ms = account.share.valid_until.millis_since(now);
            let is_fixed = matches!(account.counter.window(), Window::Fixed(_));
            let is_old = !is_fixed && left_ms * 2 < i64::try_from(lease.as_millis()).unwrap_or(0);
            let is_idle = now.millis_since(account.share.granted_at) >= IDLE_MS;
            let is_too_large = is_valid && is_idle && account.share.amount > used;
            if account.most == 0 || !(is_valid || used > 0) {
                continue;
            }
            if is_too_large {
                account.share.amount = used;
            }
            if is_too_large || anew || (is_valid && is_old) {
                let keeps = account.keeps(used, now);
                claims.push(account.claim(name, (account.most, keeps, 0), now, lease));
            }
        }
        claims
    }

    /// Takes over what was answered to claims.
    pub(crate) fn grant(&mut self, claims: &[Claim], shares: &[Share]) {
        for (claim, share) in claims.iter().zip(shares) {
            if let Some(account) = self.accounts.get_mut(&claim.counter) {
                account.share = *share;
            }
        }
    }

    fn take(&mut self, held: &[Held], now: Timestamp) {
        for Held { applied, amount, is_short } in held {
            let account = self.account(applied);
            account.counter.add(now, *amount);
            account.has_short |= is_short;
        }
    }

    /// The account of a limit; it may have been swept away since it was used.
    fn account(&mut self, applied: &Applied) -> &mut Account {
        if !self.accounts.contains_key(&applied.counter) {
            let account = Account::new(Counter::new(applied.limit.window));
            self.accounts.insert(applied.counter.clone(), account);
        }
        self.accounts.get_mut(&applied.counter).expect("it was there or has just been made")
    }

    /// Sees to it that there is an account; false if there are too many.
    fn make_room(&mut self, applied: &Applied, now: Timestamp) -> bool {
        if now.millis_since(self.swept_at) >= SWEEP_MS {
            self.sweep(now);
        }
        if !self.accounts.contains_key(&applied.counter) {
            if self.accounts.len() >= COUNTERS_MAX {
                return false;
            }
            self.account(applied);
        }
        true
    }

    fn sweep(&mut self, now: Timestamp) {
        self.swept_at = now;
        self.accounts.retain(|_, account| !account.is_idle(now));
    }
}

impl Account {
    fn new(counter: Counter) -> Self {
        Self { counter, has_short: false, share: Share::default(), most: 0 }
    }

    /// What this node may have used at most.
    fn most(&self, limit: u64, now: Timestamp, is_shared: bool) -> u64 {
        match is_shared {
            false => limit,
            true if now < self.share.valid_until => limit.min(self.share.amount),
            true => 0,
        }
    }

    fn exceeded(&mut self, applied: &Applied, need: Need, now: Timestamp) -> Exceeded {
        let most = applied.limit.amount;
        if need.firm > most {
            return exceeded(applied, None);
        }
        let window = applied.limit.window;
        let room = most - need.firm.max(1);
        let used = self.counter.used(now);
        let at = match window {
            Window::InFlight => now,
            _ if used > room => self.counter.at_most_from(room, now),
            // The others have used it up.
            Window::Fixed(_) if used.saturating_add(self.share.of_others) > room => {
                window.ends_at(now)
            }
            _ => now,
        };
        let micros = at.unix_micros().saturating_sub(now.unix_micros());
        let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        exceeded(applied, Some(wait.max(SHORT_WAIT)))
    }

    /// What of the limit this node has, used or not.
    fn keeps(&self, used: u64, now: Timestamp) -> u64 {
        if now < self.share.valid_until { used.max(self.share.amount) } else { used }
    }

    fn claim(
        &self,
        counter: &str,
        (most, keeps, wants): (u64, u64, u64),
        now: Timestamp,
        lease: Duration,
    ) -> Claim {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let leased = Timestamp::from_unix_micros(now.unix_micros().saturating_add(micros(lease)));
        let (valid_until, stored_for) = match self.counter.window() {
            window @ Window::Fixed(_) => {
                let ends_at = window.ends_at(now);
                let left = ends_at.millis_since(now);
                (ends_at, Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
            // What is used at the end of the lease counts for the length of the window.
            Window::Sliding(seconds) => {
                (leased, lease + Duration::from_secs(2 * u64::from(seconds)))
            }
            Window::InFlight => (leased, lease),
        };
        let stored_for = stored_for + CLOCKS_APART;
        Claim { counter: counter.to_owned(), most, keeps, wants, valid_until, stored_for }
    }

    fn is_idle(&mut self, now: Timestamp) -> bool {
        self.counter.is_unused(now) && !self.has_short && now >= self.share.valid_until
    }
}

fn exceeded(applied: &Applied, wait: Option<Duration>) -> Exceeded {
    Exceeded { counter: applied.counter.clone(), limit: applied.limit.clone(), wait }
}

/// Of several limits that are reached, the one with the longest wait answers.
fn longest(worst: &mut Option<Exceeded>, other: Exceeded) {
    let wait = |exceeded: &Exceeded| exceeded.wait.unwrap_or(Duration::MAX);
    if worst.as_ref().is_none_or(|worst| wait(worst) < wait(&other)) {
        *worst = Some(other);
    }
}

//! Lets calls in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Timestamp;
use policy::{Applied, Estimate, Exceeded, Measure};

use super::book::{Book, Claim, Refused, Wanted};
use super::projection;
use super::shares::{CLAIMS_MAX, Shares, Turn};
use super::{CounterState, Reservation};
use crate::{Error, Snapshot};

/// How often shares are looked after.
const TICK: Duration = Duration::from_secs(1);

/// The counters of this node; clones share them.
#[derive(Clone)]
pub struct Limiter {
    book: Arc<Mutex<Book>>,
    shares: Option<Arc<Shares>>,
}

impl Limiter {
    /// Counters that begin at nothing.
    pub fn new() -> Self {
        Self::with(Vec::new(), None)
    }

    /// Counters as the snapshot has them, once the follower has brought it up to the ledger's end. With
    /// `shares`, other nodes count with this one.
    pub fn load(
        snapshot: &Snapshot,
        shares: Option<Shares>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        Ok(Self::with(projection::load(snapshot, now)?, shares))
    }

    /// Counters that begin at nothing, and that other nodes count with.
    pub fn sharing(shares: Shares) -> Self {
        Self::with(Vec::new(), Some(shares))
    }

    fn with(counters: Vec<(String, policy::Counter)>, shares: Option<Shares>) -> Self {
        let book = Book::new(counters, shares.is_some());
        Self { book: Arc::new(Mutex::new(book)), shares: shares.map(Arc::new) }
    }

    /// True if every limit has room for so many tokens; never where money is counted.
    pub fn has_room(&self, applied: &[Applied], tokens: u64, now: Timestamp) -> bool {
        let mut book = self.book();
        applied.iter().all(|applied| match applied.limit.measure {
            Measure::Calls => true,
            Measure::Tokens => book.remaining(applied, now) >= tokens,
            Measure::Money => false,
        })
    }

    /// Sets aside what a call may need of all its limits, or nothing of any.
    pub async fn reserve(
        &self,
        applied: Vec<Applied>,
        estimate: &Estimate,
        now: Timestamp,
    ) -> Result<Reservation, Box<Exceeded>> {
        let reserved = self.book().reserve(&applied, estimate, now, true);
        let reserved = match (reserved, &self.shares) {
            (Err(Refused::Shares(_)), Some(shares)) => {
                let mut turn = shares.turn().await;
                // Whoever had the turn before may have asked for enough.
                let reserved = self.book().reserve(&applied, estimate, now, true);
                match reserved {
                    Err(Refused::Shares(wanted)) => {
                        self.ask(shares, &mut turn, &wanted, now).await;
                        self.book().reserve(&applied, estimate, now, false)
                    }
                    reserved => reserved,
                }
            }
            (reserved, _) => reserved,
        };
        match reserved {
            Ok(held) => Ok(Reservation::new(self.clone(), held, now)),
            Err(Refused::Exceeded(exceeded)) => Err(exceeded),
            Err(Refused::Shares(wanted)) => unreachable!("nobody is to be asked for {wanted:?}"),
        }
    }

    async fn ask(&self, shares: &Shares, turn: &mut Turn, wanted: &[Wanted], now: Timestamp) {
        if !self.say_anew(shares, turn, now).await {
            return;
        }
        let claims = self.book().claims(wanted, now, shares.lease);
        let is_answered = self.claim(shares, turn, &claims, now).await;
        // A store that has lost what it held answers once all is said anew.
        if !is_answered && turn.generation == 0 && self.say_anew(shares, turn, now).await {
            let claims = self.book().claims(wanted, now, shares.lease);
            self.claim(shares, turn, &claims, now).await;
        }
    }

    /// After another connection Redis may have lost what it held, and claims of before may still come: all
    /// shares are said again before more is asked for. False if Redis does not answer.
    async fn say_anew(&self, shares: &Shares, turn: &mut Turn, now: Timestamp) -> bool {
        let Some(generation) = shares.generation(turn).await else { return false };
        if generation == turn.generation {
            return true;
        }
        if !shares.open(turn).await {
            return false;
        }
        let claims = self.book().news(now, shares.lease, true);
        let is_said = self.claim(shares, turn, &claims, now).await;
        if is_said {
            turn.generation = generation;
        }
        is_said
    }

    async fn claim(
        &self,
        shares: &Shares,
        turn: &mut Turn,
        claims: &[Claim],
        now: Timestamp,
    ) -> bool {
        for claims in claims.chunks(CLAIMS_MAX) {
            let Some(granted) = shares.claim(claims, now, turn).await else { return false };
            self.book().grant(claims, &granted);
        }
        true
    }

    /// Gives back what is not needed, and renews what is.
    pub async fn tend(&self, now: Timestamp) {
        let Some(shares) = &self.shares else { return };
        let mut turn = shares.turn().await;
        if self.say_anew(shares, &mut turn, now).await {
            let claims = self.book().news(now, shares.lease, false);
            self.claim(shares, &mut turn, &claims, now).await;
        }
    }

    /// Looks after the shares until it is dropped; ends at once if there are none.
    pub async fn run(self, clock: impl Fn() -> Timestamp) {
        while self.shares.is_some() {
            tokio::time::sleep(TICK).await;
            self.tend(clock()).await;
        }
    }

    /// Every counter of which something counts.
    pub fn counters(&self, now: Timestamp) -> Vec<CounterState> {
        self.book().states(now)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

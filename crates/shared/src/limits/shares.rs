//! One limit for several nodes: each has a share, and Redis sees to it that the shares never add up to
//! more than the limit.
//!
//! A share says how much the node may have used of the window at any time, so it is as good for a
//! sliding window as for a day. A call that its node's share has room for asks nobody. What a share has
//! too much is given back within a second or two. While Redis does not answer, the shares that were
//! given hold until they expire, and no call gets more. `docs/limits.md` has the bounds.

use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use super::book::{Claim, Share};
use crate::{Error, Redis};

/// Counters in one call of the script.
pub(crate) const CLAIMS_MAX: usize = 100;
/// The key that all nodes know the growth of shares by.
const GROWTH_KEY: &str = "gatehouse:limits";

/// Shares of one node.
pub struct Shares {
    redis: Arc<Redis>,
    script: ::redis::Script,
    open: ::redis::Script,
    /// Name of this node; it keeps it over restarts.
    node: String,
    /// How long a share of a sliding window, or of calls in flight, holds without being renewed.
    pub(super) lease: Duration,
    /// Held while Redis is asked: one at a time, so that what a node keeps is known to be what it has.
    turn: Mutex<Turn>,
}

/// What one asker knows of those before it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) generation: u64,
    /// Goes with every claim over this connection: claims with another one change nothing.
    token: String,
    is_down: bool,
}

impl Shares {
    /// Shares of `node`, a name that no other node has.
    pub fn new(redis: Arc<Redis>, node: String, lease: Duration) -> Self {
        let script = ::redis::Script::new(include_str!("shares.lua"));
        let open = ::redis::Script::new("return redis.call('SET', KEYS[1], ARGV[1], 'EX', 604800)");
        Self { redis, script, open, node, lease, turn: Mutex::default() }
    }

    pub(super) async fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().await
    }

    /// The number of the connection: after another one, shares are to be said again.
    pub(super) async fn generation(&self, turn: &mut Turn) -> Option<u64> {
        let generation = self.redis.generation().await;
        turn.note(&generation);
        generation.ok()
    }

    /// From now on Redis takes only claims of this turn: one that was given up, and reaches Redis after
    /// later ones, would tell the others that this node has less than it has. False if Redis does not
    /// answer.
    pub(super) async fn open(&self, turn: &mut Turn) -> bool {
        let token = format!("{:016x}", rand::random::<u64>());
        let mut call = self.open.prepare_invoke();
        call.key(self.token_key()).arg(&token);
        let opened: Result<String, Error> = self.redis.run(&call).await;
        turn.note(&opened);
        turn.token = token;
        opened.is_ok()
    }

    fn token_key(&self) -> String {
        format!("{GROWTH_KEY}:token:{}", self.node)
    }

    /// Says what is kept and asks for more; none if Redis does not answer.
    pub(super) async fn claim(
        &self,
        claims: &[Claim],
        now: Timestamp,
        turn: &mut Turn,
    ) -> Option<Vec<Share>> {
        let mut call = self.script.prepare_invoke();
        call.key(GROWTH_KEY)
            .key(self.token_key())
            .arg(&self.node)
            .arg(&turn.token)
            .arg(u8::from(claims.iter().any(|claim| claim.keeps > 0)));
        for Claim { counter, most, keeps, wants, stored_for, .. } in claims {
            call.key(format!("{GROWTH_KEY}:{counter}"));
            call.arg(*most).arg(*keeps).arg(*wants).arg(most / 20);
            call.arg(u64::try_from(stored_for.as_millis()).unwrap_or(u64::MAX));
        }
        let answer: Result<Vec<u64>, Error> = self.redis.run(&call).await;
        turn.note(&answer);
        let answer = answer.ok()?;
        if answer.is_empty() {
            // The store has lost the token: it is opened again.
            turn.generation = 0;
        }
        let shares = claims.iter().zip(answer.chunks_exact(2));
        let shares: Vec<Share> = shares
            .map(|(claim, answer)| Share {
                amount: answer[0],
                of_others: answer[1],
                valid_until: claim.valid_until,
                granted_at: now,
            })
            .collect();
        (shares.len() == claims.len()).then_some(shares)
    }
}

impl Turn {
    fn note<T>(&mut self, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) if self.is_down => tracing::info!("Redis answers again: limits are shared"),
            Err(error) if !self.is_down => tracing::warn!(
                reason = error.story(),
                "Redis does not answer: only what was leased of shared limits is spent"
            ),
            _ => {}
        }
        self.is_down = outcome.is_err();
    }
}

impl std::fmt::Debug for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shares").field("node", &self.node).finish_non_exhaustive()
    }
}

//! A text that one node at a time works on: it holds a lease in Redis, and who takes the lease over gets
//! the text as it was left.

use std::time::Duration;

use ::redis::Script;

use crate::{Error, Redis};

/// What asking for the lease gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It was this node's already.
    Kept,
    /// It is this node's now; the text as another node left it, if one did.
    Taken(Option<String>),
    /// Another node has it.
    Theirs,
}

/// A text under a lease.
pub struct LeasedText {
    redis: Redis,
    node: String,
    keys: [String; 2],
    lease: Duration,
    take: Script,
    keep: Script,
}

const TAKE: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, false}
end
if holder then return {0, false} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {2, redis.call('GET', KEYS[2])}
";

const KEEP: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 1
";

impl LeasedText {
    /// The text of this name, for a node of this name.
    pub fn new(redis: Redis, name: &str, node: String, lease: Duration) -> Self {
        let key = |part: &str| format!("gatehouse:{{{name}}}:{part}");
        Self {
            redis,
            node,
            keys: [key("holder"), key("text")],
            lease,
            take: Script::new(TAKE),
            keep: Script::new(KEEP),
        }
    }

    /// Takes the lease, or makes it last longer.
    pub async fn take(&self) -> Result<Lease, Error> {
        let mut script = self.take.prepare_invoke();
        script.key(&self.keys[0]).key(&self.keys[1]);
        script.arg(&self.node).arg(self.lease.as_millis() as u64);
        let (result, text): (i64, Option<String>) = self.redis.run(&script).await?;
        Ok(match result {
            0 => Lease::Theirs,
            1 => Lease::Kept,
            _ => Lease::Taken(text),
        })
    }

    /// Leaves the text, if the lease is still this node's; false if not.
    pub async fn keep(&self, text: &str) -> Result<bool, Error> {
        let mut script = self.keep.prepare_invoke();
        script.key(&self.keys[0]).key(&self.keys[1]);
        script.arg(&self.node).arg(self.lease.as_millis() as u64).arg(text);
        let kept: i64 = self.redis.run(&script).await?;
        Ok(kept == 1)
    }
}

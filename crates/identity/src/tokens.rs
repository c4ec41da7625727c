//! Tokens that were verified, by their hash, so that the next request with one costs a look-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;

use crate::identity::Identity;

/// Parts that are locked by themselves.
const SHARDS: usize = 16;
/// How long a token is believed before it is verified again, in seconds.
const BELIEVED_S: i64 = 300;

/// Hash of a token.
pub(crate) type TokenHash = [u8; 32];

/// Verified tokens.
pub(crate) struct TokenCache {
    shards: Vec<Mutex<HashMap<TokenHash, Entry>>>,
    shard_max: usize,
}

struct Entry {
    identity: Arc<Identity>,
    /// Of the provider's keys that verified it.
    generation: u64,
    until: i64,
}

pub(crate) fn hash(token: &str) -> TokenHash {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl TokenCache {
    pub(crate) fn new(tokens_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, shard_max: tokens_max.div_ceil(SHARDS) }
    }

    /// Who the token is about and the generation of the keys that said so.
    pub(crate) fn get(&self, hash: &TokenHash, now: i64) -> Option<(Arc<Identity>, u64)> {
        let shard = self.shard(hash);
        let entry = shard.get(hash)?;
        (now < entry.until).then(|| (entry.identity.clone(), entry.generation))
    }

    pub(crate) fn put(&self, hash: TokenHash, identity: Arc<Identity>, generation: u64, now: i64) {
        // What lacks groups is asked for again soon.
        let believed = if identity.groups_missing { 10 } else { BELIEVED_S };
        let until = identity.expires_at.min(now.saturating_add(believed));
        let mut shard = self.shard(&hash);
        if shard.len() >= self.shard_max {
            shard.retain(|_, entry| now < entry.until);
        }
        if shard.len() >= self.shard_max {
            shard.clear();
        }
        shard.insert(hash, Entry { identity, generation, until });
    }

    fn shard(&self, hash: &TokenHash) -> std::sync::MutexGuard<'_, HashMap<TokenHash, Entry>> {
        let shard = &self.shards[usize::from(hash[0]) % SHARDS];
        shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

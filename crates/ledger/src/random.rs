//! Random words, for identities and salts: unpredictable, not secret. And secrets.

use std::hash::{BuildHasher, RandomState};

/// Sixty-four bits from the hasher that the operating system seeds.
pub(crate) fn word() -> u64 {
    RandomState::new().hash_one(std::time::Instant::now())
}

/// An identity.
pub(crate) fn identity() -> [u8; 16] {
    let (high, low) = (word(), word());
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// Bytes that nobody can guess.
pub(crate) fn secret() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

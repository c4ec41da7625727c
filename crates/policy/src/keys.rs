//! Subscription keys as keyed hashes: who reads the configuration cannot use a key from it.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

const PREFIX: &str = "hmac-sha256:";

/// HMAC-SHA-256 of a key. Look-ups compare hashes, so their timing says nothing about keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// Makes [`KeyHash`]es under one secret.
#[derive(Clone)]
pub struct KeyHasher {
    keyed: Hmac<Sha256>,
}

/// Text that is not `hmac-sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHashError;

impl KeyHasher {
    /// A hasher under `secret`; use at least 32 random bytes.
    pub fn new(secret: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(secret).expect("HMAC takes a key of any length") }
    }

    /// The hash of a presented key.
    pub fn hash(&self, key: &str) -> KeyHash {
        let mut mac = self.keyed.clone();
        mac.update(key.as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let digits = text.strip_prefix(PREFIX).ok_or(KeyHashError)?.as_bytes();
        if digits.len() != 64 {
            return Err(KeyHashError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, KeyHashError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyHashError),
    }
}

impl fmt::Display for KeyHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key hash: make one with `gatehouse keys create`")
    }
}

impl std::error::Error for KeyHashError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text_and_depends_on_the_secret() {
        let hash = KeyHasher::new(b"one").hash("key");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_ne!(KeyHasher::new(b"two").hash("key"), hash);
        assert_ne!(KeyHasher::new(b"one").hash("kez"), hash);
    }

    #[test]
    fn text_that_is_no_hash_is_refused() {
        for text in
            ["", "hmac-sha256:", "hmac-sha256:zz", &format!("hmac-sha256:{}", "g".repeat(64))]
        {
            assert_eq!(text.parse::<KeyHash>(), Err(KeyHashError), "{text}");
        }
    }
}

//! Passwords of local accounts: kept as argon2id hashes (RFC 9106), never as text.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2};

/// Shortest password that is hashed, in characters.
const PASSWORD_CHARS_MIN: usize = 16;

/// The hash of a password, with a salt of its own, in the form `$argon2id$v=19$…`.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!("the password must have at least {PASSWORD_CHARS_MIN} characters"));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| format!("no hash can be made: {error}"))
}

/// The password is the one that was hashed. It takes tens of milliseconds: keep it off the runtime's
/// threads. The error says what is wrong with the hash.
pub fn is_password(hash: &str, password: &str) -> Result<bool, String> {
    let fix = "make one with `gatehouse keys password`";
    let parsed = PasswordHash::new(hash.trim())
        .map_err(|error| format!("it is no argon2id hash ({error}): {fix}"))?;
    if parsed.algorithm.as_str() != Algorithm::Argon2id.as_str() {
        return Err(format!("it is a hash of another kind than argon2id: {fix}"));
    }
    Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_opens_for_its_password_alone() {
        let password = "correct horse battery staple";
        let hash = hash_password(password).expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$") && !hash.contains(password));
        assert_ne!(hash, hash_password(password).expect("hashed"), "each has its own salt");
        assert_eq!(is_password(&hash, password), Ok(true));
        assert_eq!(is_password(&format!("{hash}\n"), password), Ok(true), "a file ends its lines");
        assert_eq!(is_password(&hash, "correct horse battery stapl"), Ok(false));
        assert_eq!(is_password(&hash, ""), Ok(false));
    }

    #[test]
    fn what_is_no_good_hash_or_password_is_told() {
        let argon2i =
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
        for hash in ["", "secret", argon2i] {
            assert!(is_password(hash, "x").expect_err("refused").contains("keys password"));
        }
        assert!(hash_password("too short").expect_err("refused").contains("16"));
    }
}

//! How parts of the state are shown: without secrets, with a tag of their content.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

/// The same without hashes of keys: each is told apart by eight digits that say nothing of the key.
pub fn redacted(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                *field = match field.as_str() {
                    Some(hash) if name.ends_with("key_hash") && !hash.is_empty() => {
                        format!("key {}", &digest(hash)[..8]).into()
                    }
                    _ => redacted(field.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = redacted(item.take())),
        _ => {}
    }
    value
}

/// A tag that is the same as long as the content is (RFC 9110, section 8.8.3), quotes included.
pub fn etag(content: &impl Serialize) -> String {
    let text = serde_json::to_string(content).unwrap_or_default();
    format!("\"{}\"", &digest(&text)[..32])
}

/// A new key: 256 random bits, as text without characters that need quoting.
pub fn random_key() -> Result<String, Error> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled
        .map_err(|error| Error::new(ErrorKind::Unavailable, format!("no randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

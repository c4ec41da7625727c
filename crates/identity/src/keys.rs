//! A provider's public keys, from its JWKS document (RFC 7517). Pure.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

/// Keys of one provider that are looked at; what comes after is ignored.
const KEYS_MAX: usize = 100;
/// Longest key id.
pub(crate) const KEY_ID_BYTES_MAX: usize = 256;

/// The keys that may sign tokens.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may verify, whatever a token's header says.
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

impl KeySet {
    /// The usable keys of a document. Keys that are secret, for encryption, of unknown kind or broken are
    /// left out, as RFC 7517 demands.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, String> {
        let map = crate::json::object(document).map_err(|error| format!("no JWKS: {error}"))?;
        let Some(Value::Array(all)) = map.get("keys") else {
            return Err("no JWKS: it has no array `keys`".into());
        };
        let keys = all.iter().take(KEYS_MAX).filter_map(|key| Key::parse(key.as_object()?));
        Ok(Self(keys.collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that a header may mean: those with its key id; without one, the only one there is.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fits = |key: &&Key| {
            key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id)
        };
        let found: Vec<&Key> = self.0.iter().filter(fits).collect();
        if id.is_none() && found.len() > 1 {
            return Vec::new();
        }
        found.into_iter().map(|key| &key.public).collect()
    }

    /// A key with this id is known, whatever it may verify.
    pub(crate) fn knows(&self, id: Option<&str>) -> bool {
        match id {
            Some(id) => self.0.iter().any(|key| key.id.as_deref() == Some(id)),
            None => !self.0.is_empty(),
        }
    }
}

impl Key {
    fn parse(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let id = match key.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KEY_ID_BYTES_MAX => Some(id.clone()),
            Some(_) => return None,
        };
        if key.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = key.get("key_ops") {
            operations.as_array()?.iter().find(|operation| *operation == "verify")?;
        }
        let (mut algorithms, public) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
                (parse_algorithms(&all), DecodingKey::from_rsa_components(text("n")?, text("e")?))
            }
            ("EC", Some("P-256")) => (vec![Algorithm::ES256], elliptic(text("x")?, text("y")?, 43)),
            ("EC", Some("P-384")) => (vec![Algorithm::ES384], elliptic(text("x")?, text("y")?, 64)),
            ("OKP", Some("Ed25519")) => {
                (vec![Algorithm::EdDSA], DecodingKey::from_ed_components(text("x")?))
            }
            _ => return None,
        };
        if let Some(stated) = key.get("alg") {
            let stated: Algorithm = stated.as_str()?.parse().ok()?;
            algorithms.retain(|algorithm| *algorithm == stated);
        }
        (!algorithms.is_empty()).then_some(Self { id, algorithms, public: public.ok()? })
    }
}

fn parse_algorithms(names: &[&str]) -> Vec<Algorithm> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Coordinates have the length of the curve's field, leading zeros included (RFC 7518, 6.2.1.2).
fn elliptic(x: &str, y: &str, length: usize) -> jsonwebtoken::errors::Result<DecodingKey> {
    if x.len() != length || y.len() != length {
        return Err(jsonwebtoken::errors::ErrorKind::InvalidEcdsaKey.into());
    }
    DecodingKey::from_ec_components(x, y)
}

//! Makes tokens, good ones and others.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"key-1"}"#;
pub(crate) const PROVIDER: &str = include_str!("../../testdata/provider.pem");
pub(crate) const STRANGER: &str = include_str!("../../testdata/stranger.pem");
const ELLIPTIC: &str = include_str!("../../testdata/elliptic.pem");
pub(crate) const JWKS: &str = include_str!("../../testdata/jwks.json");

/// The claims of a person's version 2 token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": "api-1",
        "tid": TENANT, "oid": "oid-1", "sub": "subject-1", "azp": "client-1", "ver": "2.0",
        "scp": "Models.Use Other", "name": "Ann", "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3_600,
    })
}

/// The claims with others in place of some; null takes one away.
pub(crate) fn merged(changes: &Value) -> Value {
    let mut claims = claims();
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => {
                all.remove(name);
            }
            value => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    claims
}

pub(crate) fn token(header: &str, payload: &str, how: &str) -> String {
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = sign(&message, how);
    format!("{message}.{signature}")
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(message: &str, how: &str) -> String {
    let rsa = |pem: &str, algorithm| {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key");
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("signs")
    };
    let secret = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        encode(hmac::sign(&key, message.as_bytes()).as_ref())
    };
    let elliptic = || {
        let key = EncodingKey::from_ec_pem(ELLIPTIC.as_bytes()).expect("a key");
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).expect("signs")
    };
    match how {
        "rs256" => rsa(PROVIDER, Algorithm::RS256),
        "rs512" => rsa(PROVIDER, Algorithm::RS512),
        "stranger" => rsa(STRANGER, Algorithm::RS256),
        "es256" => elliptic(),
        "es256-der" => encode(&der(&URL_SAFE_NO_PAD.decode(elliptic()).expect("base64"))),
        "empty" => String::new(),
        "zero" => encode(&[0]),
        "zeros" => encode(&[0; 256]),
        "zeros64" => encode(&[0; 64]),
        "hs256-pem" => secret(public_pem().as_bytes()),
        "hs256-modulus" => secret(&URL_SAFE_NO_PAD.decode(modulus()).expect("base64")),
        "hs256-empty" => secret(b""),
        "hs256-secret" => secret(b"a shared secret of 32 bytes ....."),
        other => panic!("no such way to sign: {other}"),
    }
}

/// The two halves of an elliptic signature as ASN.1 has them.
fn der(halves: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
    let body = [integer(&halves[..32]), integer(&halves[32..])].concat();
    [&[0x30, u8::try_from(body.len()).expect("short")], &body[..]].concat()
}

fn modulus() -> String {
    let document: Value = serde_json::from_str(JWKS).expect("JSON");
    document["keys"][0]["n"].as_str().expect("a modulus").to_owned()
}

/// What an attacker takes for the public key's text.
fn public_pem() -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", modulus())
}

//! Keys that vouch for the ledger: Ed25519 (RFC 8032), in PEM as OpenSSL reads and writes them (PKCS#8,
//! RFC 8410).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::{Error, ErrorKind};

/// What stands before the 32 bytes of a public key in its SubjectPublicKeyInfo (RFC 8410, 4).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
const SIGNING_FIX: &str = "`gatehouse audit key` or `openssl genpkey -algorithm ed25519` makes one";
const PUBLIC_FIX: &str = "`gatehouse audit public-key` or `openssl pkey -in KEY -pubout` prints the one of a signing key";

/// Signs checkpoints.
pub struct SigningKey(Ed25519KeyPair);

/// Tells whether a [`SigningKey`] signed something.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, Error> {
        let key = Ed25519KeyPair::generate();
        key.map(Self)
            .map_err(|_| invalid("no signing key can be made: the system gives no random bytes"))
    }

    /// Reads a private key in PEM (`BEGIN PRIVATE KEY`).
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let wrong = |why: &dyn fmt::Display| {
            invalid(format!("it is no Ed25519 private key in PEM ({why}): {SIGNING_FIX}"))
        };
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        key.map(Self).map_err(|error| wrong(&error))
    }

    /// The private key in PEM.
    pub fn to_pem(&self) -> Result<String, Error> {
        let der =
            self.0.to_pkcs8v1().map_err(|_| invalid("the signing key has no private part"))?;
        Ok(pem("PRIVATE KEY", der.as_ref()))
    }

    /// The key that its signatures are checked with.
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        PublicKey(bytes.expect("a public key of Ed25519 has 32 bytes"))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.0.sign(message))
    }
}

impl PublicKey {
    /// Reads a public key in PEM (`BEGIN PUBLIC KEY`).
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let wrong = |why: &dyn fmt::Display| {
            invalid(format!("it is no Ed25519 public key in PEM ({why}): {PUBLIC_FIX}"))
        };
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|error| wrong(&error))?;
        let key = der.strip_prefix(&PUBLIC_PREFIX).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or_else(|| wrong(&"another algorithm"))
    }

    /// The public key in PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[&PUBLIC_PREFIX[..], &self.0].concat())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        BASE64.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

/// In base64, as in `LedgerCheckpoints`.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {:?}", self.public_key())
    }
}

/// Keys of Ed25519 are short: their PEM has one line.
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text.into())
}
